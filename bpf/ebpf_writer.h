// Writes eBPF instructions whose jumps go to labels. Pure; used by the filter's translator during set-up.
#pragma once

#include <linux/bpf.h>

#include <climits>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace bpf {

class EbpfWriter {
 public:
  using Label = std::size_t;

  Label label() { return labels(1); }
  Label labels(std::size_t count) {  // the first of so many in a row
    places_.resize(places_.size() + count, 0);
    used_.resize(places_.size(), false);
    return places_.size() - count;
  }

  void emit(std::uint8_t code, std::uint8_t dst = 0, std::uint8_t src = 0, std::int32_t imm = 0, std::int16_t off = 0) {
    bpf_insn insn = {};
    insn.code = code;
    insn.dst_reg = dst & 0xf;
    insn.src_reg = src & 0xf;
    insn.off = off;
    insn.imm = imm;
    code_.push_back(insn);
  }
  void move(std::uint8_t dst, std::uint8_t src) { emit(BPF_ALU64 | BPF_MOV | BPF_X, dst, src); }
  void move32(std::uint8_t dst, std::uint8_t src) { emit(BPF_ALU | BPF_MOV | BPF_X, dst, src); }
  void set32(std::uint8_t dst, std::uint32_t value) {
    emit(BPF_ALU | BPF_MOV | BPF_K, dst, 0, static_cast<std::int32_t>(value));
  }
  void set_map(std::uint8_t dst, int map_fd) {
    emit(BPF_LD | BPF_IMM | BPF_DW, dst, BPF_PSEUDO_MAP_FD, map_fd);
    emit(0);
  }
  void add(std::uint8_t dst, std::int32_t value) { emit(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, value); }
  void load(std::uint8_t size, std::uint8_t dst, std::uint8_t base, std::int16_t off) {
    emit(static_cast<std::uint8_t>(BPF_LDX | BPF_MEM | size), dst, base, 0, off);
  }
  void store(std::uint8_t size, std::uint8_t base, std::int16_t off, std::uint8_t src) {
    emit(static_cast<std::uint8_t>(BPF_STX | BPF_MEM | size), base, src, 0, off);
  }
  void to_host_order(std::uint8_t dst, std::int32_t bits) { emit(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, bits); }
  void call(std::int32_t helper) { emit(BPF_JMP | BPF_CALL, 0, 0, helper); }
  void exit() { emit(BPF_JMP | BPF_EXIT); }

  void jump(std::uint8_t code, std::uint8_t dst, std::uint8_t src, std::int32_t imm, Label to) {
    jumps_.push_back({code_.size(), to});
    used_[to] = true;
    emit(code, dst, src, imm);
  }
  void jump_always(Label to) { jump(BPF_JMP | BPF_JA, 0, 0, 0, to); }

  void place(Label label) { places_[label] = code_.size(); }  // what is written next
  bool used(Label label) const { return used_[label]; }       // by a jump written so far

  // Fills in the jumps; false if one is too far for the instruction's 16 bits.
  bool resolve() {
    for (const Jump& jump : jumps_) {
      const auto off = static_cast<std::ptrdiff_t>(places_[jump.to]) - static_cast<std::ptrdiff_t>(jump.at) - 1;
      if (off > SHRT_MAX || off < SHRT_MIN) return false;
      code_[jump.at].off = static_cast<std::int16_t>(off);
    }
    return true;
  }
  std::vector<bpf_insn> take() { return std::move(code_); }

 private:
  struct Jump {
    std::size_t at;
    Label to;
  };

  std::vector<bpf_insn> code_;
  std::vector<Jump> jumps_;
  std::vector<std::size_t> places_;
  std::vector<bool> used_;
};

}  // namespace bpf
