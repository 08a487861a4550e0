// The filter as an XDP program. r2 first byte of the frame, r3 its end; where helpers are called r8 keeps A meanwhile
// and r9 an offset. With neither frags nor by_helpers none is called before the final tail call.
#include <cstddef>

#include "bpf/cbpf_view.h"

namespace bpf {
namespace {

constexpr std::uint8_t data = BPF_REG_2, end = BPF_REG_3, kept_a = BPF_REG_8, offset = BPF_REG_9;

// The verifier follows packet pointers up to this offset (kernel/bpf/verifier.c: MAX_PACKET_OFF), and
// bpf_xdp_load_bytes reads no further (net/core/filter.c: bpf_xdp_pointer).
constexpr std::uint32_t max_packet_offset = 0xffff;

class XdpView : public PacketView {
 public:
  XdpView(EbpfWriter& out, const XdpTarget& target)
      : PacketView(out), frags_(target.frags), by_helpers_(target.by_helpers) {}

  void find_ends() {
    out_.load(BPF_W, data, CTX, offsetof(xdp_md, data));
    out_.load(BPF_W, end, CTX, offsetof(xdp_md, data_end));
  }

  std::uint32_t last_offset(std::uint8_t size) const override {
    return max_packet_offset - static_cast<std::uint32_t>(bytes_of(size));
  }

  void load(std::uint8_t dst, std::uint8_t size, std::uint32_t k, EbpfWriter::Label outside) override {
    out_.move(T, data);
    out_.add(T, static_cast<std::int32_t>(k));
    if (frags_) out_.set32(offset, k);
    checked_load(dst, size, outside);
  }

  // The sum of X and k must not wrap: libpcap compares X and k with the length one by one.
  void load_indirect(std::uint8_t size, std::uint32_t k, EbpfWriter::Label outside) override {
    const std::uint8_t sum = frags_ || by_helpers_ ? offset : static_cast<std::uint8_t>(P);
    out_.move32(sum, X);
    out_.add(sum, static_cast<std::int32_t>(k));
    out_.jump(BPF_JMP | BPF_JGT | BPF_K, sum, 0, static_cast<std::int32_t>(last_offset(size)), outside);
    if (by_helpers_) {
      load_by_helper(A, size, outside);
      return to_host_order(A, size);
    }
    out_.move(T, data);
    out_.emit(BPF_ALU64 | BPF_ADD | BPF_X, T, sum);
    checked_load(A, size, outside);
  }

  void length(std::uint8_t dst) override {
    if (!frags_ && !by_helpers_) {
      out_.move(dst, end);
      return out_.emit(BPF_ALU64 | BPF_SUB | BPF_X, dst, data);
    }
    if (dst != A) out_.move(kept_a, A);
    out_.move(BPF_REG_1, CTX);
    out_.call(BPF_FUNC_xdp_get_buff_len);
    if (dst != A) out_.move(dst, BPF_REG_0);
    if (dst != A) out_.move(A, kept_a);
    find_ends();
  }

 private:
  // From T, after the comparison with the frame's end that the verifier wants to see.
  void checked_load(std::uint8_t dst, std::uint8_t size, EbpfWriter::Label outside) {
    out_.move(P, T);
    out_.add(P, bytes_of(size));
    if (!frags_) {
      out_.jump(BPF_JMP | BPF_JGT | BPF_X, P, end, 0, outside);
      out_.load(size, dst, T, 0);
    } else {
      const EbpfWriter::Label linear = out_.label(), loaded = out_.label();
      out_.jump(BPF_JMP | BPF_JLE | BPF_X, P, end, 0, linear);
      load_by_helper(dst, size, outside);
      out_.jump_always(loaded);
      out_.place(linear);
      out_.load(size, dst, T, 0);
      out_.place(loaded);
    }
    to_host_order(dst, size);
  }

  void to_host_order(std::uint8_t dst, std::uint8_t size) {
    if (size != BPF_B) out_.to_host_order(dst, bytes_of(size) * 8);
  }

  // At the offset in r9.
  void load_by_helper(std::uint8_t dst, std::uint8_t size, EbpfWriter::Label outside) {
    if (dst != A) out_.move(kept_a, A);
    out_.move(BPF_REG_1, CTX);
    out_.move(BPF_REG_2, offset);
    out_.move(BPF_REG_3, FRAME);
    out_.add(BPF_REG_3, stack_loaded);
    out_.set32(BPF_REG_4, static_cast<std::uint32_t>(bytes_of(size)));
    out_.call(BPF_FUNC_xdp_load_bytes);
    find_ends();  // first: the program that comes next after one without a match wants them too
    out_.jump(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 0, outside);
    if (dst != A) out_.move(A, kept_a);
    out_.load(size, dst, FRAME, stack_loaded);
  }

  bool frags_;
  bool by_helpers_;
};

void tail_call(EbpfWriter& out, EbpfWriter::Label label, int slots_fd, int slot) {
  if (!out.used(label)) return;
  out.place(label);
  out.move(BPF_REG_1, CTX);
  out.set_map(BPF_REG_2, slots_fd);
  out.emit(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, slot);
  out.call(BPF_FUNC_tail_call);
  out.emit(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, XDP_PASS);
  out.exit();
}

}  // namespace

std::vector<bpf_insn> translate_for_xdp(const ClassicExpression& expression, const XdpTarget& target) {
  EbpfWriter out;
  XdpView view(out, target);
  const EbpfWriter::Label match = out.label(), no_match = out.label();
  out.move(CTX, BPF_REG_1);
  view.find_ends();
  clear_memory(out, expression);
  translate(out, view, expression, match, no_match);
  tail_call(out, match, target.slots_fd, target.match_slot);
  tail_call(out, no_match, target.slots_fd, target.no_match_slot);
  return finish(out, expression);
}

}  // namespace bpf
