// The Internet checksum (RFC 1071), in the pieces the generator needs.
//
// A sum is kept unfolded in 64 bits and taken over words as they lie in memory: RFC 1071 section 2(B) makes the result
// independent of byte order, so neither side swaps. Frames are patched by adding to a prepared sum instead of by the
// difference of RFC 1624: the sum of a template with its varying fields zero never changes, so the old value of a
// field need not be known and an error cannot carry over from one packet to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace engine::gen {

// Sum over bytes; an odd last byte is padded with zero (RFC 1071 section 4.1).
inline std::uint64_t sum_bytes(std::span<const std::byte> bytes) noexcept {
  std::uint64_t sum = 0;
  std::size_t at = 0;
  for (; at + 2 <= bytes.size(); at += 2) {
    std::uint16_t word;
    std::memcpy(&word, bytes.data() + at, 2);
    sum += word;
  }
  if (at < bytes.size()) {
    std::uint16_t word = 0;
    std::memcpy(&word, bytes.data() + at, 1);
    sum += word;
  }
  return sum;
}

inline std::uint64_t sum_word32(std::uint32_t word) noexcept { return (word & 0xffff) + (word >> 16); }
inline std::uint64_t sum_word64(std::uint64_t word) noexcept {
  return (word & 0xffff) + ((word >> 16) & 0xffff) + ((word >> 32) & 0xffff) + (word >> 48);
}

// The checksum field for a sum.
inline std::uint16_t finish(std::uint64_t sum) noexcept {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

}  // namespace engine::gen
