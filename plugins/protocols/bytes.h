// Bounded reading of captured bytes: a parser asks has() before it loads, so that nothing outside of them is touched,
// whatever the message claims. Everything is big-endian and lies at any alignment.
#pragma once

#include <cstdint>

#include "plugins/abi.h"

namespace plugins::protocols {

// Two registers: pass it by value.
struct Bytes {
  const std::uint8_t* data;
  std::uint32_t size;

  bool has(std::uint32_t at, std::uint32_t bytes) const noexcept { return at <= size && size - at >= bytes; }

  std::uint8_t u8(std::uint32_t at) const noexcept { return data[at]; }
  std::uint16_t u16(std::uint32_t at) const noexcept {
    return static_cast<std::uint16_t>(data[at] << 8 | data[at + 1]);
  }
  std::uint32_t u24(std::uint32_t at) const noexcept { return std::uint32_t{data[at]} << 16 | u16(at + 1); }
  std::uint32_t u32(std::uint32_t at) const noexcept { return std::uint32_t{u16(at)} << 16 | u16(at + 2); }

  // From `at` on, at most so many.
  Bytes part(std::uint32_t at, std::uint32_t bytes) const noexcept {
    if (at >= size) return {data, 0};
    return {data + at, bytes < size - at ? bytes : size - at};
  }
  Bytes from(std::uint32_t at) const noexcept { return part(at, size); }
};

inline Bytes frame_of(const engine_cell& cell, const engine_packet& packet) noexcept {
  return {cell.frames + packet._off, packet.caplen};
}

// What every object begins with: whose it is, and where it lies.
template <typename Object>
inline void open(Object& object, const engine_cell& cell, const engine_packet& packet, std::uint32_t at) noexcept {
  object._generation = cell.generation;
  object._packet = cell.next;
  object._off = packet._off + at;
}

inline constexpr std::uint8_t kTcp = 6, kUdp = 17;

// The payload of a UDP datagram or TCP segment whose header was captured; empty if there is none. decode leaves the
// payload at the transport header where that is cut or lies (RFC 768: 8 bytes; RFC 9293, 3.1: 20 at least).
inline Bytes payload_of(const engine_cell& cell, const engine_packet& packet) noexcept {
  const std::uint32_t header = packet.proto == kTcp ? 20u : packet.proto == kUdp ? 8u : 0u;
  if (header == 0 || packet.l4_off == 0 || packet.payload_off < packet.l4_off + header) return {nullptr, 0};
  return frame_of(cell, packet).part(packet.payload_off, packet.payload_len);
}

// An address as packets have it: IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2).
engine_addr address4(Bytes bytes, std::uint32_t at) noexcept;
engine_addr address6(Bytes bytes, std::uint32_t at) noexcept;

}  // namespace plugins::protocols
