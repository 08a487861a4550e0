// IPv4 and IPv6. Internal to decode; see decode.h for what the fields mean.
#pragma once

#include <netinet/in.h>

#include <algorithm>
#include <bit>
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
inline std::uint32_t datagram_end(const Frame& frame, std::uint32_t at, std::uint32_t length) noexcept {
  return length == 0 ? frame.size : std::min(frame.size, at + length);
}

// RFC 791, 3.1.
inline void decode_ipv4(const Frame& frame, std::uint32_t at, engine_packet& packet) noexcept {
  constexpr std::uint32_t kHeaderBytes = 20;
  if (!frame.has(at, kHeaderBytes)) return;
  const std::uint8_t first = frame.u8(at);
  const std::uint32_t header_bytes = (first & 0x0f) * 4u;
  const std::uint32_t total_bytes = frame.u16(at + 2);
  if (first >> 4 != 4 || header_bytes < kHeaderBytes || (total_bytes != 0 && total_bytes < header_bytes)) return;

  const std::uint16_t fragment = frame.u16(at + 6);
  packet.l3_off = static_cast<std::uint16_t>(at);
  packet.ip_version = 4;
  packet.tos = frame.u8(at + 1);
  packet.ttl = frame.u8(at + 8);
  packet.proto = frame.u8(at + 9);
  packet.src._lo = mapped_ip4(frame.load<std::uint32_t>(at + 12));
  packet.dst._lo = mapped_ip4(frame.load<std::uint32_t>(at + 16));
  packet.src4 = frame.u32(at + 12);
  packet.dst4 = frame.u32(at + 16);
  packet.is_fragment = (fragment & 0x3fff) != 0;  // more to come, or an offset

  const std::uint32_t end = datagram_end(frame, at, total_bytes);
  const std::uint32_t next = at + header_bytes;
  const bool first_part = (fragment & 0x1fff) == 0;
  if (first_part && next <= end) {
    decode_transport(frame, next, end, packet);
  } else {
    set_payload(packet, next, end);
  }
  const bool ports = !packet.is_fragment;
  packet.hash = flow_hash(end_point(packet.src4, ports ? packet.src_port : 0),
                          end_point(packet.dst4, ports ? packet.dst_port : 0), packet.proto);
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

// Walks the extension headers from `at`. Leaves proto at the last value read. Returns where the transport header lies,
// or 0 if none can be told; then the payload is set.
inline std::uint32_t skip_extensions(const Frame& frame, std::uint32_t at, std::uint32_t end,
                                     engine_packet& packet) noexcept {
  constexpr int kMaxHeaders = 8;  // more than any sender needs; hostile chains end here
  for (int depth = 0;; ++depth) {
    const bool is_fragment_header = packet.proto == IPPROTO_FRAGMENT;
    if (!is_fragment_header && !is_extension(packet.proto)) return at;
    set_payload(packet, at, end);
    if (depth == kMaxHeaders || end - at < 8) return 0;
    std::uint32_t bytes = 8;
    if (!is_fragment_header) {
      const std::uint32_t units = frame.u8(at + 1);
      bytes = packet.proto == IPPROTO_AH ? (units + 2) * 4 : (units + 1) * 8;  // RFC 4302, 2.2
    }
    if (end - at < bytes) return 0;
    packet.proto = frame.u8(at);
    at += bytes;
    if (!is_fragment_header) continue;
    // An atomic fragment (no offset, nothing to come) is a whole datagram (RFC 6946).
    const std::uint16_t fragment = frame.u16(at - 6);
    packet.is_fragment = packet.is_fragment || (fragment & 0xfff9) != 0;
    if ((fragment & 0xfff8) != 0) {
      set_payload(packet, at, end);
      return 0;
    }
  }
}

// RFC 8200, 3.
inline void decode_ipv6(const Frame& frame, std::uint32_t at, engine_packet& packet) noexcept {
  constexpr std::uint32_t kHeaderBytes = 40;
  if (!frame.has(at, kHeaderBytes)) return;
  const std::uint32_t first = frame.u32(at);
  if (first >> 28 != 6) return;

  packet.l3_off = static_cast<std::uint16_t>(at);
  packet.ip_version = 6;
  packet.tos = static_cast<std::uint8_t>(first >> 20);
  packet.proto = frame.u8(at + 6);
  packet.ttl = frame.u8(at + 7);
  packet.src = {frame.load<std::uint64_t>(at + 8), frame.load<std::uint64_t>(at + 16)};
  packet.dst = {frame.load<std::uint64_t>(at + 24), frame.load<std::uint64_t>(at + 32)};

  const std::uint32_t payload_bytes = frame.u16(at + 4);
  const std::uint32_t end = datagram_end(frame, at + kHeaderBytes, payload_bytes);
  const std::uint32_t next = skip_extensions(frame, at + kHeaderBytes, end, packet);
  if (next != 0) decode_transport(frame, next, end, packet);
  const bool ports = !packet.is_fragment;
  packet.hash = flow_hash(end_point(packet.src._hi, packet.src._lo, ports ? packet.src_port : 0),
                          end_point(packet.dst._hi, packet.dst._lo, ports ? packet.dst_port : 0), packet.proto);
}

}  // namespace engine
