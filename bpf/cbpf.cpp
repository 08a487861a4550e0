// Registers: r6 ctx (tail calls want it), r2 first byte of the frame, r3 its end, r0 A, r7 X, r4 and r5 scratch.
// No helper is called before the final tail call, so nothing needs saving. M[i] lies at r10 - 4 * (i + 1).
#include "bpf/cbpf.h"

#include <cstddef>
#include <string>

#include "bpf/ebpf_writer.h"
#include "engine/base/error.h"

namespace bpf {
namespace {

enum Register : std::uint8_t {
  A = BPF_REG_0,
  DATA = BPF_REG_2,
  END = BPF_REG_3,
  T = BPF_REG_4,
  P = BPF_REG_5,
  CTX = BPF_REG_6,
  X = BPF_REG_7,
  FRAME = BPF_REG_10
};

// The verifier follows packet pointers up to this offset (kernel/bpf/verifier.c: MAX_PACKET_OFF); no frame is longer.
constexpr std::uint32_t max_packet_offset = 0xffff;

// Labels: one for each classic instruction, then the two ways out.
class Translator {
 public:
  Translator(std::span<const sock_filter> code, std::string_view text)
      : code_(code), text_(text), match_(code.size()), no_match_(code.size() + 1), out_(code.size() + 2) {}

  std::vector<bpf_insn> run(int slots_fd, int match_slot, int no_match_slot) {
    prologue();
    // The verifier refuses code that cannot be reached. Jumps go forward, so one pass finds what can.
    reachable_.assign(code_.size(), false);
    reach(0);
    for (at_ = 0; at_ < code_.size(); ++at_) {
      out_.place(at_);
      if (reachable_[at_]) translate(code_[at_]);
    }
    leave(match_, slots_fd, match_slot);
    leave(no_match_, slots_fd, no_match_slot);
    if (!out_.resolve()) refuse("is too long: a jump spans more than 32,767 instructions");
    return out_.take();
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw engine::SetupError(engine::ExitCode::bad_usage, "filter \"" + std::string(text_) + "\"", why,
                             "leave that part of the filter to the analyzer, or to tcpdump");
  }

  void prologue() {
    out_.move(CTX, BPF_REG_1);
    out_.emit(BPF_LDX | BPF_MEM | BPF_W, DATA, CTX, 0, offsetof(xdp_md, data));
    out_.emit(BPF_LDX | BPF_MEM | BPF_W, END, CTX, 0, offsetof(xdp_md, data_end));
    out_.set32(A, 0);
    out_.set32(X, 0);
    std::uint32_t used = 0;  // the verifier refuses reads of stack that was never written
    for (const sock_filter& insn : code_) {
      const bool loads = BPF_CLASS(insn.code) <= BPF_LDX && BPF_MODE(insn.code) == BPF_MEM;
      if (loads && insn.k < BPF_MEMWORDS) used |= 1U << insn.k;
    }
    for (std::uint32_t k = 0; k < BPF_MEMWORDS; ++k)
      if (used & (1U << k)) out_.emit(BPF_ST | BPF_MEM | BPF_W, FRAME, 0, 0, memory(k));
  }

  void leave(EbpfWriter::Label label, int slots_fd, int slot) {
    if (!out_.used(label)) return;
    out_.place(label);
    out_.move(BPF_REG_1, CTX);
    out_.emit(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_FD, slots_fd);
    out_.emit(0);
    out_.emit(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, slot);
    out_.emit(BPF_JMP | BPF_CALL, 0, 0, BPF_FUNC_tail_call);
    out_.emit(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, XDP_PASS);
    out_.emit(BPF_JMP | BPF_EXIT);
  }

  void reach(std::size_t instruction) {
    if (instruction >= code_.size()) refuse("jumps beyond its end");
    reachable_[instruction] = true;
  }

  // Cannot match whatever the frame: a load beyond any frame, a division by the constant zero.
  static bool never_matches(const sock_filter& insn) {
    const bool loads = BPF_CLASS(insn.code) <= BPF_LDX;
    const std::uint8_t mode = BPF_MODE(insn.code);
    if (loads && (mode == BPF_ABS || mode == BPF_IND || mode == BPF_MSH))
      return insn.k > max_packet_offset - 4 && insn.k < static_cast<std::uint32_t>(SKF_LL_OFF);
    const std::uint8_t op = BPF_OP(insn.code);
    return BPF_CLASS(insn.code) == BPF_ALU && (op == BPF_DIV || op == BPF_MOD) && BPF_SRC(insn.code) == BPF_K &&
           insn.k == 0;
  }

  void translate(const sock_filter& insn) {
    if (never_matches(insn)) return out_.jump_always(no_match_);
    if (BPF_CLASS(insn.code) == BPF_JMP) return branch(insn);
    if (BPF_CLASS(insn.code) == BPF_RET) return finish(insn);
    reach(at_ + 1);
    switch (BPF_CLASS(insn.code)) {
      case BPF_LD:
        return load_a(insn);
      case BPF_LDX:
        return load_x(insn);
      case BPF_ST:
        return out_.emit(BPF_STX | BPF_MEM | BPF_W, FRAME, A, 0, memory(insn.k));
      case BPF_STX:
        return out_.emit(BPF_STX | BPF_MEM | BPF_W, FRAME, X, 0, memory(insn.k));
      case BPF_ALU:
        return arithmetic(insn);
      default:
        return BPF_MISCOP(insn.code) == BPF_TAX ? out_.move32(X, A) : out_.move32(A, X);
    }
  }

  std::int16_t memory(std::uint32_t k) const {
    if (k >= BPF_MEMWORDS) refuse("uses a scratch cell beyond the sixteenth");
    return static_cast<std::int16_t>(-4 * static_cast<int>(k + 1));
  }

  void length(std::uint8_t dst) {
    out_.move(dst, END);
    out_.emit(BPF_ALU64 | BPF_SUB | BPF_X, dst, DATA);
  }

  void load_a(const sock_filter& insn) {
    const std::uint8_t size = BPF_SIZE(insn.code);
    switch (BPF_MODE(insn.code)) {
      case BPF_IMM:
        return out_.set32(A, insn.k);
      case BPF_LEN:
        return length(A);
      case BPF_MEM:
        return out_.emit(BPF_LDX | BPF_MEM | BPF_W, A, FRAME, 0, memory(insn.k));
      case BPF_ABS:
        return load_absolute(A, size, insn.k);
      case BPF_IND:
        return load_indirect(size, insn.k);
      default:
        refuse("has a load that is not known (code " + std::to_string(insn.code) + ")");
    }
  }

  void load_x(const sock_filter& insn) {
    switch (BPF_MODE(insn.code)) {
      case BPF_IMM:
        return out_.set32(X, insn.k);
      case BPF_LEN:
        return length(X);
      case BPF_MEM:
        return out_.emit(BPF_LDX | BPF_MEM | BPF_W, X, FRAME, 0, memory(insn.k));
      case BPF_MSH:  // X = 4 * low nibble: the length of an IPv4 header
        load_absolute(X, BPF_B, insn.k);
        out_.emit(BPF_ALU | BPF_AND | BPF_K, X, 0, 0xf);
        return out_.emit(BPF_ALU | BPF_LSH | BPF_K, X, 0, 2);
      default:
        refuse("has a load that is not known (code " + std::to_string(insn.code) + ")");
    }
  }

  static std::int32_t bytes_of(std::uint8_t size) { return size == BPF_W ? 4 : size == BPF_H ? 2 : 1; }

  // Offsets that the kernel's socket filters give another meaning (uapi/linux/filter.h); libpcap uses them too.
  void refuse_ancillary(std::uint32_t k) const {
    if (k > max_packet_offset) refuse("asks for something that is not in the frame (`inbound`, `outbound`, `ifindex`)");
  }

  void load_absolute(std::uint8_t dst, std::uint8_t size, std::uint32_t k) {
    refuse_ancillary(k);
    out_.move(T, DATA);
    out_.add(T, static_cast<std::int32_t>(k));
    checked_load(dst, size);
  }

  // The sum of X and k must not wrap: libpcap compares X and k with the length one by one.
  void load_indirect(std::uint8_t size, std::uint32_t k) {
    refuse_ancillary(k);
    out_.move32(P, X);
    out_.add(P, static_cast<std::int32_t>(k));
    out_.jump(BPF_JMP | BPF_JGT | BPF_K, P, 0, max_packet_offset - 4, no_match_);
    out_.move(T, DATA);
    out_.emit(BPF_ALU64 | BPF_ADD | BPF_X, T, P);
    checked_load(A, size);
  }

  // From T, after the comparison with the frame's end that the verifier wants to see.
  void checked_load(std::uint8_t dst, std::uint8_t size) {
    out_.move(P, T);
    out_.add(P, bytes_of(size));
    out_.jump(BPF_JMP | BPF_JGT | BPF_X, P, END, 0, no_match_);
    out_.emit(static_cast<std::uint8_t>(BPF_LDX | BPF_MEM | size), dst, T);
    if (size != BPF_B) out_.emit(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, bytes_of(size) * 8);
  }

  void arithmetic(const sock_filter& insn) {
    const std::uint8_t op = BPF_OP(insn.code);
    const bool by_x = BPF_SRC(insn.code) == BPF_X;
    const bool shift = op == BPF_LSH || op == BPF_RSH;
    if (op == BPF_NEG) return out_.emit(BPF_ALU | BPF_NEG, A);
    if ((op == BPF_DIV || op == BPF_MOD) && by_x)  // eBPF's own division by zero goes on with 0
      out_.jump(BPF_JMP32 | BPF_JEQ | BPF_K, X, 0, 0, no_match_);
    if (shift && by_x) return shift_by_x(op);
    if (shift && insn.k > 31) return out_.set32(A, 0);
    out_.emit(static_cast<std::uint8_t>(BPF_ALU | op | BPF_SRC(insn.code)), A, X * by_x,
              by_x ? 0 : static_cast<std::int32_t>(insn.k));
  }

  // eBPF takes the count modulo 32, libpcap has 0 for more.
  void shift_by_x(std::uint8_t op) {
    out_.emit(BPF_JMP32 | BPF_JGT | BPF_K, X, 0, 31, 2);
    out_.emit(static_cast<std::uint8_t>(BPF_ALU | op | BPF_X), A, X);
    out_.emit(BPF_JMP | BPF_JA, 0, 0, 0, 1);
    out_.set32(A, 0);
  }

  void branch(const sock_filter& insn) {
    const std::uint8_t op = BPF_OP(insn.code);
    if (op == BPF_JA) {
      if (static_cast<std::int32_t>(insn.k) < 0) refuse("has a loop, as `protochain` makes");
      reach(at_ + 1 + insn.k);
      return out_.jump_always(at_ + 1 + insn.k);
    }
    const std::size_t if_true = at_ + 1 + insn.jt;
    const std::size_t if_false = at_ + 1 + insn.jf;
    reach(if_true);
    reach(if_false);
    const std::uint8_t source = BPF_SRC(insn.code);
    const std::uint8_t src = source == BPF_X ? X : 0;
    const std::int32_t imm = source == BPF_X ? 0 : static_cast<std::int32_t>(insn.k);
    if (insn.jt == 0 && op != BPF_JSET) {  // one instruction less: fall through when true
      const std::uint8_t inverse = op == BPF_JEQ ? BPF_JNE : op == BPF_JGT ? BPF_JLE : BPF_JLT;
      return out_.jump(static_cast<std::uint8_t>(BPF_JMP32 | inverse | source), A, src, imm, if_false);
    }
    out_.jump(static_cast<std::uint8_t>(BPF_JMP32 | op | source), A, src, imm, if_true);
    if (insn.jf != 0) out_.jump_always(if_false);
  }

  void finish(const sock_filter& insn) {
    if (BPF_RVAL(insn.code) == BPF_A) {
      out_.jump(BPF_JMP32 | BPF_JEQ | BPF_K, A, 0, 0, no_match_);
      return out_.jump_always(match_);
    }
    out_.jump_always(insn.k == 0 ? no_match_ : match_);
  }

  std::span<const sock_filter> code_;
  std::string_view text_;
  EbpfWriter::Label match_;
  EbpfWriter::Label no_match_;
  EbpfWriter out_;
  std::size_t at_ = 0;
  std::vector<bool> reachable_;
};

}  // namespace

std::vector<bpf_insn> translate_filter(std::span<const sock_filter> code, std::string_view text, int slots_fd,
                                       int match_slot, int no_match_slot) {
  return Translator(code, text).run(slots_fd, match_slot, no_match_slot);
}

}  // namespace bpf
