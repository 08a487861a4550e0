// The flow hash: the same for both directions of a flow and for all fragments of its datagrams, the same in every run
// (files are dealt to workers by it, and a file must give the same results twice).
//
// Symmetric because multiplication is: the two end points, each scrambled with the same constant, are multiplied to
// 128 bits, which are folded; twice, as the low bits of one product see little more than the sum of two small
// differences (tests/decode/hash_test.cpp: the pairs of two subnets). Unlike XOR or a sum of the end points this does
// not let the pairs of one subnet share a few values (10.0.0.1-10.0.0.2 and 10.0.0.5-10.0.0.6), and unlike putting them
// into order first it needs no branch, which random addresses would mispredict every other time.
#pragma once

#include <cstdint>

namespace engine {

// A 64x64 multiplication folded in half spreads every input bit over the word in about 4 cycles.
inline std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Digits of pi: constants with about half of their bits set.
inline constexpr std::uint64_t kScramble = 0x243f6a8885a308d3, kScrambleHigh = 0x13198a2e03707345;

// An end point as one word; the port is 0 where there is none, and for fragments.
inline std::uint64_t end_point(std::uint32_t ip4, std::uint16_t port) noexcept {
  return std::uint64_t{ip4} << 16 | port;
}
inline std::uint64_t end_point(std::uint64_t ip6_high, std::uint64_t ip6_low, std::uint16_t port) noexcept {
  return fold_multiply(ip6_high ^ kScrambleHigh, ip6_low ^ kScramble) + port;
}

inline std::uint32_t flow_hash(std::uint64_t one, std::uint64_t other, std::uint8_t proto) noexcept {
  const std::uint64_t mixed = fold_multiply(one ^ kScramble, other ^ kScramble);
  return static_cast<std::uint32_t>(fold_multiply(mixed ^ proto, kScrambleHigh));
}

}  // namespace engine
