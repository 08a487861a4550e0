// What the translator's parts share: registers, stack, and how a kind of packet is read. Internal to cbpf*.cpp.
//
// r0 A, r6 context, r7 X, r10 the stack's top; r1 to r5 scratch, lost at each call of a helper, but for what a view
// keeps there; r8 and r9 are the view's.
#pragma once

#include <cstdint>

#include "bpf/cbpf.h"
#include "bpf/ebpf_writer.h"

namespace bpf {

enum Register : std::uint8_t {
  A = BPF_REG_0,
  T = BPF_REG_4,
  P = BPF_REG_5,
  CTX = BPF_REG_6,
  X = BPF_REG_7,
  FRAME = BPF_REG_10
};

// M[i] lies at r10 - 4 * (i + 1); below are eight bytes that a helper loads into, then what the view wants.
inline constexpr std::int16_t stack_memory = -4 * BPF_MEMWORDS;
inline constexpr std::int16_t stack_loaded = stack_memory - 8;

constexpr std::int32_t bytes_of(std::uint8_t size) { return size == BPF_W ? 4 : size == BPF_H ? 2 : 1; }

// Reads a packet. Each load jumps to `outside` if it does not lie in the packet.
class PacketView {
 public:
  explicit PacketView(EbpfWriter& out) : out_(out) {}
  virtual ~PacketView() = default;
  PacketView(const PacketView&) = delete;
  PacketView& operator=(const PacketView&) = delete;

  virtual std::uint32_t last_offset(std::uint8_t size) const = 0;  // no load starts behind it
  virtual void load(std::uint8_t dst, std::uint8_t size, std::uint32_t k, EbpfWriter::Label outside) = 0;  // A or X
  virtual void load_indirect(std::uint8_t size, std::uint32_t k, EbpfWriter::Label outside) = 0;  // A, at X + k
  virtual void length(std::uint8_t dst) = 0;

 protected:
  EbpfWriter& out_;
};

// The expression's programs over that view, each way out a jump to one of the labels.
void translate(EbpfWriter& out, PacketView& view, const ClassicExpression& expression, EbpfWriter::Label match,
               EbpfWriter::Label no_match);

// Before the first of them: the scratch cells that they use. The verifier refuses reads of stack never written.
void clear_memory(EbpfWriter& out, const ClassicExpression& expression);

// The instructions, jumps filled in. Throws SetupError(bad_usage) if one is too far.
std::vector<bpf_insn> finish(EbpfWriter& out, const ClassicExpression& expression);

}  // namespace bpf
