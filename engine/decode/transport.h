// The headers behind IP. Internal to decode; see decode.h for what the fields mean.
#pragma once

#include <netinet/in.h>

#include <algorithm>
#include <cstdint>

#include "engine/decode/bytes.h"
#include "plugins/abi.h"

namespace engine {

// The payload begins at `offset` and goes on to `end`, the datagram's last captured byte; a header that claims to be
// longer than what is there leaves an empty payload.
inline void set_payload(engine_packet& packet, std::uint32_t offset, std::uint32_t end) noexcept {
  packet.payload_off = static_cast<std::uint16_t>(std::min(offset, end));
  packet.payload_len = offset < end ? end - offset : 0;
}

// RFC 9293, 3.1. Ports first: they are known also where the capture ends within the header.
inline void decode_tcp(const Frame& frame, std::uint32_t at, std::uint32_t end, engine_packet& packet) noexcept {
  constexpr std::uint32_t kHeaderBytes = 20;
  if (end - at < kHeaderBytes) return;
  const std::uint32_t header_bytes = (frame.u8(at + 12) >> 4) * 4u;
  if (header_bytes < kHeaderBytes) return;
  packet.tcp_seq = frame.u32(at + 4);
  packet.tcp_ack = frame.u32(at + 8);
  packet.tcp_flags = frame.u8(at + 13);
  packet.tcp_window = frame.u16(at + 14);
  set_payload(packet, at + header_bytes, end);
}

// RFC 768. The length may be smaller than what IP carries; 0 stands for "to the end" (RFC 2675, jumbograms; segments
// merged by the kernel).
inline void decode_udp(const Frame& frame, std::uint32_t at, std::uint32_t end, engine_packet& packet) noexcept {
  constexpr std::uint32_t kHeaderBytes = 8;
  if (end - at < kHeaderBytes) return;
  const std::uint32_t length = frame.u16(at + 4);
  if (length == 0) return set_payload(packet, at + kHeaderBytes, end);
  if (length < kHeaderBytes) return;
  set_payload(packet, at + kHeaderBytes, std::min(end, at + length));
}

// RFC 792 and RFC 4443: type, code, checksum and four bytes that depend on the type.
inline void decode_icmp(const Frame& frame, std::uint32_t at, std::uint32_t end, engine_packet& packet) noexcept {
  constexpr std::uint32_t kHeaderBytes = 8;
  if (end - at < 2) return;
  packet.icmp_type = frame.u8(at);
  packet.icmp_code = frame.u8(at + 1);
  if (end - at >= kHeaderBytes) set_payload(packet, at + kHeaderBytes, end);
}

// `at` is where IP says that the transport header lies, at most `end`; `end` is at most the captured size.
inline void decode_transport(const Frame& frame, std::uint32_t at, std::uint32_t end, engine_packet& packet) noexcept {
  packet.l4_off = static_cast<std::uint16_t>(at);
  set_payload(packet, at, end);
  const std::uint8_t proto = packet.proto;
  const bool has_ports =
      proto == IPPROTO_UDP || proto == IPPROTO_TCP || proto == IPPROTO_SCTP || proto == IPPROTO_UDPLITE;
  if (has_ports && end - at >= 4) {
    packet.src_port = frame.u16(at);
    packet.dst_port = frame.u16(at + 2);
  }
  switch (proto) {
    case IPPROTO_TCP:
      return decode_tcp(frame, at, end, packet);
    case IPPROTO_UDP:
      return decode_udp(frame, at, end, packet);
    case IPPROTO_UDPLITE:  // RFC 3828: the length field is the checksum's coverage
      if (end - at >= 8) set_payload(packet, at + 8, end);
      return;
    case IPPROTO_SCTP:  // RFC 9260, 3.1
      if (end - at >= 12) set_payload(packet, at + 12, end);
      return;
    case IPPROTO_ICMP:
      if (packet.ip_version == 4) decode_icmp(frame, at, end, packet);
      return;
    case IPPROTO_ICMPV6:
      if (packet.ip_version == 6) decode_icmp(frame, at, end, packet);
      return;
    default:
      return;
  }
}

}  // namespace engine
