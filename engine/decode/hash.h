// The flow hash: the same for both directions of a flow and for all fragments of its datagrams, the same in every run
// (files are dealt to workers by it, and a file must give the same results twice).
//
// The two end points are brought into order first instead of being combined by a symmetric operation: with XOR, all
// pairs of addresses of one subnet share few values (10.0.0.1-10.0.0.2 and 10.0.0.5-10.0.0.6 meet).
#pragma once

#include <algorithm>
#include <cstdint>

namespace engine {

namespace hash_detail {

// A full 64x64 multiplication folded in half spreads every input bit over the whole word in about 4 cycles.
inline std::uint64_t fold_multiply(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Odd constants with about half of their bits set; digits of pi.
inline constexpr std::uint64_t kFirst = 0x243f6a8885a308d3, kSecond = 0x13198a2e03707345, kThird = 0xa4093822299f31d1;

}  // namespace hash_detail

// An end point as one word; the port is 0 where there is none, and for fragments.
inline std::uint64_t end_point(std::uint32_t ip4, std::uint16_t port) noexcept {
  return std::uint64_t{ip4} << 16 | port;
}
inline std::uint64_t end_point(std::uint64_t ip6_high, std::uint64_t ip6_low, std::uint16_t port) noexcept {
  return hash_detail::fold_multiply(ip6_high ^ hash_detail::kSecond, ip6_low ^ hash_detail::kFirst) + port;
}

inline std::uint32_t flow_hash(std::uint64_t one, std::uint64_t other, std::uint8_t proto) noexcept {
  using namespace hash_detail;
  const std::uint64_t low = std::min(one, other), high = std::max(one, other);
  const std::uint64_t mixed = fold_multiply(low ^ kFirst, high ^ kSecond);
  return static_cast<std::uint32_t>(fold_multiply(mixed ^ proto, kThird));
}

}  // namespace engine
