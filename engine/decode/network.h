// IPv4 and IPv6. Internal to decode; see decode.h for what the fields mean.
//
// Both are called with `rest` beginning at the IP header. They move it on behind what they decode, and shorten it to
// the datagram's end; a header that is cut off or lies is left in it.
#pragma once

#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "engine/decode/bytes.h"
#include "engine/decode/hash.h"
#include "engine/decode/transport.h"
#include "plugins/abi.h"

namespace engine {

// The last word of ::ffff:a.b.c.d, network byte order, from the address as it lies in the header (RFC 4291, 2.5.5.2).
inline std::uint64_t mapped_ip4(std::uint32_t raw) noexcept {
  if constexpr (std::endian::native == std::endian::little) return std::uint64_t{raw} << 32 | 0xffff0000u;
  return std::uint64_t{0xffff} << 32 | raw;
}

// Where the datagram ends within the captured bytes. A length of 0 occurs in captures taken before the NIC segments
// (TSO; BIG TCP) and in IPv6 jumbograms (RFC 2675): then it ends with the frame.
inline std::size_t datagram_end(Frame frame, std::size_t at, std::size_t length) noexcept {
  return length == 0 ? frame.size : std::min(frame.size, at + length);
}

// RFC 791, 3.1. The header was captured without its options at least.
[[gnu::always_inline]] inline void decode_ipv4_header(Frame frame, std::size_t header_bytes, std::size_t total_bytes,
                                                      Rest& rest, engine_packet& packet) noexcept {
  const std::size_t at = rest.begin;
  const std::uint16_t fragment = frame.u16(at + 6);
  const std::uint8_t proto = frame.u8(at + 9);
  const std::uint32_t src_raw = frame.load<std::uint32_t>(at + 12), dst_raw = frame.load<std::uint32_t>(at + 16);
  const std::uint32_t src4 = from_network(src_raw), dst4 = from_network(dst_raw);
  const bool is_fragment = (fragment & 0x3fff) != 0;  // more to come, or an offset
  packet.l3_off = static_cast<std::uint16_t>(at);
  packet.ip_version = 4;
  packet.tos = frame.u8(at + 1);
  packet.ttl = frame.u8(at + 8);
  packet.proto = proto;
  packet.src._lo = mapped_ip4(src_raw);
  packet.dst._lo = mapped_ip4(dst_raw);
  packet.src4 = src4;
  packet.dst4 = dst4;

  rest = {at + header_bytes, datagram_end(frame, at, total_bytes)};
  Ports ports;
  if ((fragment & 0x1fff) == 0 && rest.begin <= rest.end) [[likely]]
    ports = decode_transport(frame, proto, 4, rest, packet);
  if (is_fragment) [[unlikely]] {
    packet.is_fragment = true;
    ports = {};
  }
  packet.hash = flow_hash(end_point(src4, ports.src), end_point(dst4, ports.dst), proto);
}

[[gnu::always_inline]] inline void decode_ipv4(Frame frame, Rest& rest, engine_packet& packet) noexcept {
  constexpr std::size_t kHeaderBytes = 20;
  const std::size_t at = rest.begin;
  if (!frame.has(at, kHeaderBytes)) return;
  const std::uint8_t first = frame.u8(at);
  const std::size_t total_bytes = frame.u16(at + 2);
  if (first == 0x45 && total_bytes >= kHeaderBytes) [[likely]]  // no options: all offsets are known
    return decode_ipv4_header(frame, kHeaderBytes, total_bytes, rest, packet);
  const std::size_t header_bytes = std::size_t{4} * (first & 0x0f);
  if (first >> 4 != 4 || header_bytes < kHeaderBytes || (total_bytes != 0 && total_bytes < header_bytes)) return;
  decode_ipv4_header(frame, header_bytes, total_bytes, rest, packet);
}

// The IPv6 extension headers that name a next header (RFC 8200, 4; RFC 6275, 7401, 5533), fragment apart.
inline bool is_extension(std::uint8_t header) noexcept {
  switch (header) {
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_DSTOPTS:
    case IPPROTO_AH:
    case IPPROTO_MH:
    case 139:  // HIP
    case 140:  // Shim6
      return true;
    default:
      return false;
  }
}

// Walks the extension headers; `proto` is left at the last value read. False if no transport header can be told: a
// later fragment, a chain that was cut off or is too long.
inline bool skip_extensions(Frame frame, std::uint8_t& proto, Rest& rest, engine_packet& packet) noexcept {
  constexpr int kMaxHeaders = 8;  // more than any sender needs; hostile chains end here
  for (int depth = 0;; ++depth) {
    const bool is_fragment_header = proto == IPPROTO_FRAGMENT;
    if (!is_fragment_header && !is_extension(proto)) return true;
    const std::size_t at = rest.begin;
    if (depth == kMaxHeaders || rest.end - at < 8) return false;
    std::size_t bytes = 8;
    if (!is_fragment_header) {
      const std::size_t units = frame.u8(at + 1);
      bytes = proto == IPPROTO_AH ? (units + 2) * 4 : (units + 1) * 8;  // RFC 4302, 2.2
    }
    if (rest.end - at < bytes) return false;
    proto = frame.u8(at);
    rest.begin = at + bytes;
    if (!is_fragment_header) continue;
    // An atomic fragment (no offset, nothing to come) is a whole datagram (RFC 6946).
    const std::uint16_t fragment = frame.u16(at + 2);
    packet.is_fragment = packet.is_fragment || (fragment & 0xfff9) != 0;
    if ((fragment & 0xfff8) != 0) return false;
  }
}

// RFC 8200, 3.
inline void decode_ipv6(Frame frame, Rest& rest, engine_packet& packet) noexcept {
  constexpr std::size_t kHeaderBytes = 40;
  const std::size_t at = rest.begin;
  if (!frame.has(at, kHeaderBytes)) return;
  const std::uint32_t first = frame.u32(at);
  if (first >> 28 != 6) return;

  const engine_addr src{frame.load<std::uint64_t>(at + 8), frame.load<std::uint64_t>(at + 16)};
  const engine_addr dst{frame.load<std::uint64_t>(at + 24), frame.load<std::uint64_t>(at + 32)};
  std::uint8_t proto = frame.u8(at + 6);
  packet.l3_off = static_cast<std::uint16_t>(at);
  packet.ip_version = 6;
  packet.tos = static_cast<std::uint8_t>(first >> 20);
  packet.ttl = frame.u8(at + 7);
  packet.src = src;
  packet.dst = dst;

  rest = {at + kHeaderBytes, datagram_end(frame, at + kHeaderBytes, frame.u16(at + 4))};
  Ports ports;
  if (skip_extensions(frame, proto, rest, packet)) ports = decode_transport(frame, proto, 6, rest, packet);
  packet.proto = proto;
  if (packet.is_fragment) ports = {};
  packet.hash = flow_hash(end_point(src._hi, src._lo, ports.src), end_point(dst._hi, dst._lo, ports.dst), proto);
}

}  // namespace engine
