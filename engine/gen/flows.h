// Which flow a packet belongs to: a pure function of the packet's number, so that every way of sending and the
// capture file give the same sequence, and nothing has to be remembered between packets.
//
// Uniform: packet n takes flow n mod N, so every flow has exactly its share. Zipf(s): flow i is drawn with a
// probability proportional to 1/(i+1)^s by the alias method (Walker 1974, Vose 1991): one multiplication, one table
// cell and one comparison a draw, cheap enough for the BPF program, which reads the same table.
#pragma once

#include <cstdint>
#include <vector>

#include "bpf/gen_abi.h"

namespace engine::gen {

// Sebastiano Vigna's splitmix64 finalizer over a counter: 64 well-mixed bits for each n.
constexpr std::uint64_t mix64(std::uint64_t n) noexcept {
  std::uint64_t z = n * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

class FlowPicker {
 public:
  FlowPicker(std::uint32_t flows, double zipf, std::uint64_t seed);

  std::uint32_t pick(std::uint64_t n) const noexcept {
    if (cells_.empty()) return static_cast<std::uint32_t>(n % flows_);
    const std::uint64_t bits = mix64(seed_ + n);
    const auto column = static_cast<std::uint32_t>(((bits >> 32) * flows_) >> 32);
    const gen_alias_cell& cell = cells_[column];
    return static_cast<std::uint32_t>(bits) < cell.threshold ? column : cell.alias;
  }

  std::uint32_t flows() const noexcept { return flows_; }
  const std::vector<gen_alias_cell>& cells() const noexcept { return cells_; }  // empty: uniform

 private:
  std::uint32_t flows_;
  std::uint64_t seed_;
  std::vector<gen_alias_cell> cells_;
};

}  // namespace engine::gen
