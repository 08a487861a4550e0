// The headers behind IP. Internal to decode; see decode.h for what the fields mean.
//
// These functions are inlined into one per link type: values stay in registers on the way down, because a store to the
// packet might change frame bytes as far as the compiler knows, and would make it reload everything.
#pragma once

#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/decode/bytes.h"
#include "plugins/abi.h"

namespace engine {

// What lies behind the last header that was decoded, as far as it was captured. `begin` beyond `end`: that header's
// own end was not captured.
struct Rest {
  std::size_t begin;
  std::size_t end;
};

struct Ports {
  std::uint16_t src = 0;
  std::uint16_t dst = 0;
};

// Known also where the capture ends within the header.
inline Ports decode_ports(Frame frame, const Rest& rest, engine_packet& packet) noexcept {
  if (rest.end - rest.begin < 4) return {};
  const Ports ports{frame.u16(rest.begin), frame.u16(rest.begin + 2)};
  packet.src_port = ports.src;
  packet.dst_port = ports.dst;
  return ports;
}

// RFC 9293, 3.1.
inline void decode_tcp(Frame frame, Rest& rest, engine_packet& packet) noexcept {
  constexpr std::size_t kHeaderBytes = 20;
  const std::size_t at = rest.begin;
  if (rest.end - at < kHeaderBytes) return;
  const std::size_t header_bytes = std::size_t{4} * (frame.u8(at + 12) >> 4);
  if (header_bytes < kHeaderBytes) return;
  packet.tcp_seq = frame.u32(at + 4);
  packet.tcp_ack = frame.u32(at + 8);
  packet.tcp_flags = frame.u8(at + 13);
  packet.tcp_window = frame.u16(at + 14);
  rest.begin = at + header_bytes;
}

// RFC 768. The length may be smaller than what IP carries; 0 stands for "to the end" (RFC 2675, jumbograms; segments
// merged by the kernel).
inline void decode_udp(Frame frame, Rest& rest) noexcept {
  constexpr std::size_t kHeaderBytes = 8;
  const std::size_t at = rest.begin;
  if (rest.end - at < kHeaderBytes) return;
  const std::size_t length = frame.u16(at + 4);
  if (length != 0 && length < kHeaderBytes) return;
  rest.begin = at + kHeaderBytes;
  if (length != 0) rest.end = std::min(rest.end, at + length);
}

// RFC 792 and RFC 4443: type, code, checksum and four bytes that depend on the type.
inline void decode_icmp(Frame frame, Rest& rest, engine_packet& packet) noexcept {
  constexpr std::size_t kHeaderBytes = 8;
  const std::size_t at = rest.begin;
  if (rest.end - at < 2) return;
  packet.icmp_type = frame.u8(at);
  packet.icmp_code = frame.u8(at + 1);
  if (rest.end - at >= kHeaderBytes) rest.begin = at + kHeaderBytes;
}

// RFC 9260, 3.1 (SCTP); RFC 3828 (UDP-Lite, whose length field is the checksum's coverage).
inline void decode_fixed(std::size_t header_bytes, Rest& rest) noexcept {
  if (rest.end - rest.begin >= header_bytes) rest.begin += header_bytes;
}

// `rest` begins where IP says that the transport header lies, and that place was captured.
[[gnu::always_inline]] inline Ports decode_transport(Frame frame, std::uint8_t proto, std::uint8_t version, Rest& rest,
                                                     engine_packet& packet) noexcept {
  packet.l4_off = static_cast<std::uint16_t>(rest.begin);
  if (proto == IPPROTO_UDP) {
    const Ports ports = decode_ports(frame, rest, packet);
    decode_udp(frame, rest);
    return ports;
  }
  if (proto == IPPROTO_TCP) {
    const Ports ports = decode_ports(frame, rest, packet);
    decode_tcp(frame, rest, packet);
    return ports;
  }
  if (proto == IPPROTO_SCTP || proto == IPPROTO_UDPLITE) {
    const Ports ports = decode_ports(frame, rest, packet);
    decode_fixed(proto == IPPROTO_SCTP ? 12 : 8, rest);
    return ports;
  }
  if ((version == 4 && proto == IPPROTO_ICMP) || (version == 6 && proto == IPPROTO_ICMPV6))
    decode_icmp(frame, rest, packet);
  return {};
}

}  // namespace engine
