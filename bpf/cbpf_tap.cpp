// The filter as a socket filter, for AF_PACKET. r8 keeps A over a call, r9 points to the counters.
//
// The kernel keeps the outer VLAN tag beside the frame. The expression is written twice, for frames with and without:
// with one, the tag is where it was on the wire, at bytes 12 to 15, and what was behind it lies four bytes further
// down than it did. Whether a load straddles is known here for constant offsets, in the program for X + k.
#include <linux/if_packet.h>

#include <climits>
#include <cstddef>

#include "bpf/cbpf_view.h"
#include "bpf/tap_filter.h"

namespace bpf {
namespace {

constexpr std::uint8_t kept_a = BPF_REG_8, counters = BPF_REG_9;
constexpr std::int32_t tag_begin = 12, tag_end = 16, tag_bytes = tag_end - tag_begin;

// What lies around a removed tag: up to four bytes before it, the tag in network order, up to four behind it.
constexpr std::int16_t window_tag = stack_loaded - 8;
constexpr std::int16_t window_behind = window_tag + tag_bytes;

// By the two loads that eBPF kept for socket buffers: in host order into r0, faster than bpf_skb_load_bytes. Where they
// leave the packet they would end the program, uncounted (kernel/bpf/verifier.c: check_ld_abs): so the length is
// compared before.
class SkbView : public PacketView {
 public:
  using PacketView::PacketView;

  std::uint32_t last_offset(std::uint8_t) const override {
    return INT_MAX - 4;
  }  // net/core/filter.c: bpf_skb_load_bytes

  void load(std::uint8_t dst, std::uint8_t size, std::uint32_t k, EbpfWriter::Label outside) override {
    SkbView::length(T);
    out_.jump(BPF_JMP | BPF_JLT | BPF_K, T, 0, static_cast<std::int32_t>(k) + bytes_of(size), outside);
    if (dst != A) out_.move(kept_a, A);
    out_.emit(static_cast<std::uint8_t>(BPF_LD | BPF_ABS | size), 0, 0, static_cast<std::int32_t>(k));
    if (dst != A) out_.move(dst, BPF_REG_0);
    if (dst != A) out_.move(A, kept_a);
  }

  void load_indirect(std::uint8_t size, std::uint32_t k, EbpfWriter::Label outside) override {
    add_index(size, k, outside);
    load_at(size, outside);
  }

  void length(std::uint8_t dst) override { out_.load(BPF_W, dst, CTX, offsetof(__sk_buff, len)); }

 protected:
  // r2 = X + k. The sum must not wrap: libpcap compares X and k with the length one by one.
  void add_index(std::uint8_t size, std::uint32_t k, EbpfWriter::Label outside) {
    out_.move32(BPF_REG_2, X);
    out_.add(BPF_REG_2, static_cast<std::int32_t>(k));
    out_.jump(BPF_JMP | BPF_JGT | BPF_K, BPF_REG_2, 0, static_cast<std::int32_t>(last_offset(size)), outside);
  }

  // A, from offset r2 of what the socket buffer holds.
  void load_at(std::uint8_t size, EbpfWriter::Label outside) {
    SkbView::length(T);
    out_.move(P, BPF_REG_2);
    out_.add(P, bytes_of(size));
    out_.jump(BPF_JMP | BPF_JLT | BPF_X, T, P, 0, outside);
    out_.emit(static_cast<std::uint8_t>(BPF_LD | BPF_IND | size), 0, BPF_REG_2);
  }

  // Loses r0 to r5.
  void copy(std::int32_t bytes, std::int16_t place, EbpfWriter::Label outside) {
    out_.move(BPF_REG_1, CTX);
    out_.move(BPF_REG_3, FRAME);
    out_.add(BPF_REG_3, place);
    out_.set32(BPF_REG_4, static_cast<std::uint32_t>(bytes));
    out_.call(BPF_FUNC_skb_load_bytes);
    out_.jump(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 0, outside);
  }
};

class TaggedSkbView : public SkbView {
 public:
  using SkbView::SkbView;

  // The tag, once a frame. vlan_proto is in network order, vlan_tci is not.
  void begin() {
    out_.load(BPF_W, T, CTX, offsetof(__sk_buff, vlan_proto));
    out_.store(BPF_H, FRAME, window_tag, T);
    out_.load(BPF_W, T, CTX, offsetof(__sk_buff, vlan_tci));
    out_.to_host_order(T, 16);
    out_.store(BPF_H, FRAME, window_tag + 2, T);
  }

  void load(std::uint8_t dst, std::uint8_t size, std::uint32_t k, EbpfWriter::Label outside) override {
    const auto first = static_cast<std::int32_t>(k);
    if (first + bytes_of(size) <= tag_begin) return SkbView::load(dst, size, k, outside);
    if (first >= tag_end) return SkbView::load(dst, size, k - tag_bytes, outside);
    load_around_tag(dst, size, first, outside);
  }

  void load_indirect(std::uint8_t size, std::uint32_t k, EbpfWriter::Label outside) override {
    const EbpfWriter::Label behind = out_.label(), whole = out_.label(), loaded = out_.label();
    const std::int32_t first = tag_begin - bytes_of(size) + 1;  // that touches the tag
    add_index(size, k, outside);
    out_.jump(BPF_JMP | BPF_JGE | BPF_K, BPF_REG_2, 0, tag_end, behind);
    out_.jump(BPF_JMP | BPF_JLT | BPF_K, BPF_REG_2, 0, first, whole);
    for (std::int32_t offset = first; offset < tag_end; ++offset) {
      const EbpfWriter::Label next = out_.label();
      if (offset + 1 < tag_end) out_.jump(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, offset, next);
      load_around_tag(A, size, offset, outside);
      out_.jump_always(loaded);
      out_.place(next);
    }
    out_.place(behind);
    out_.add(BPF_REG_2, -tag_bytes);
    out_.place(whole);
    load_at(size, outside);
    out_.place(loaded);
  }

  void length(std::uint8_t dst) override {
    SkbView::length(dst);
    out_.add(dst, tag_bytes);
  }

 private:
  // A load that touches the tag: what it wants of its neighbours is copied next to the tag. Byte by byte, since the
  // verifier follows aligned accesses of the stack only.
  void load_around_tag(std::uint8_t dst, std::uint8_t size, std::int32_t first, EbpfWriter::Label outside) {
    const std::int32_t last = first + bytes_of(size);
    if (dst != A) out_.move(kept_a, A);
    if (first < tag_begin) {
      out_.set32(BPF_REG_2, static_cast<std::uint32_t>(first));
      copy(tag_begin - first, static_cast<std::int16_t>(window_tag - (tag_begin - first)), outside);
    }
    if (last > tag_end) {
      out_.set32(BPF_REG_2, tag_begin);
      copy(last - tag_end, window_behind, outside);
    }
    if (dst != A) out_.move(A, kept_a);
    out_.set32(dst, 0);
    for (std::int32_t byte = first; byte < last; ++byte) {
      out_.load(BPF_B, T, FRAME, static_cast<std::int16_t>(window_tag + byte - tag_begin));
      out_.emit(BPF_ALU | BPF_LSH | BPF_K, dst, 0, 8);
      out_.emit(BPF_ALU | BPF_OR | BPF_X, dst, T);
    }
  }
};

void find_counters(EbpfWriter& out, int counters_fd, EbpfWriter::Label missing) {
  out.emit(BPF_ST | BPF_MEM | BPF_W, FRAME, 0, 0, stack_loaded);
  out.set_map(BPF_REG_1, counters_fd);
  out.move(BPF_REG_2, FRAME);
  out.add(BPF_REG_2, stack_loaded);
  out.call(BPF_FUNC_map_lookup_elem);
  out.jump(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, missing);
  out.move(counters, BPF_REG_0);
}

// Of this CPU: the socket's filter runs with softirqs off (net/core/dev.c), one frame at a time.
void count(EbpfWriter& out, std::size_t counter) {
  out.load(BPF_DW, T, counters, static_cast<std::int16_t>(counter));
  out.add(T, 1);
  out.store(BPF_DW, counters, static_cast<std::int16_t>(counter), T);
}

}  // namespace

std::vector<bpf_insn> translate_for_tap(const ClassicExpression& expression, int counters_fd, bool ignore_outgoing) {
  EbpfWriter out;
  SkbView untagged(out);
  TaggedSkbView tagged(out);
  const EbpfWriter::Label match = out.label(), no_match = out.label(), no_tag = out.label(), leave = out.label();
  out.move(CTX, BPF_REG_1);
  if (ignore_outgoing) {
    out.set32(BPF_REG_0, 0);
    out.load(BPF_W, T, CTX, offsetof(__sk_buff, pkt_type));
    out.jump(BPF_JMP | BPF_JEQ | BPF_K, T, 0, PACKET_OUTGOING, leave);
  }
  find_counters(out, counters_fd, leave);
  count(out, offsetof(TapCounters, seen));
  clear_memory(out, expression);
  out.load(BPF_W, T, CTX, offsetof(__sk_buff, vlan_present));
  out.jump(BPF_JMP | BPF_JEQ | BPF_K, T, 0, 0, no_tag);
  tagged.begin();
  translate(out, tagged, expression, match, no_match);
  out.place(no_tag);
  translate(out, untagged, expression, match, no_match);
  if (out.used(match)) {
    out.place(match);
    count(out, offsetof(TapCounters, accepted));
    out.set32(BPF_REG_0, UINT_MAX);
    out.exit();
  }
  if (out.used(no_match)) {
    out.place(no_match);
    count(out, offsetof(TapCounters, rejected));
    out.set32(BPF_REG_0, 0);
    out.exit();
  }
  out.place(leave);  // there is an element 0, but the verifier cannot know; r0 is 0
  out.exit();
  return finish(out, expression);
}

}  // namespace bpf
