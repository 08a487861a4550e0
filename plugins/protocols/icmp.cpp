// ICMP (RFC 792) and ICMPv6 (RFC 4443), and of an error the packet that it is about.
#include "plugins/protocols/bytes.h"
#include "plugins/protocols/headers.h"

namespace plugins::protocols {
namespace {

constexpr std::uint32_t kHeader_bytes = 8;
constexpr std::uint8_t kIcmp = 1, kIcmp6 = 58;

bool has_ports(std::uint8_t proto) noexcept {
  return proto == kTcp || proto == kUdp || proto == 132 || proto == 136;  // SCTP, UDP-Lite
}

void read_inner_ports(engine_icmp& icmp, Bytes inner, std::uint32_t at) noexcept {
  if (!has_ports(icmp._inner_proto) || !inner.has(at, 4)) return;
  icmp._inner_src_port = inner.u16(at);
  icmp._inner_dst_port = inner.u16(at + 2);
  icmp._has_inner_ports = true;
}

void read_inner4(engine_icmp& icmp, Bytes inner) noexcept {
  if (!inner.has(0, 20) || inner.u8(0) >> 4 != 4) return;
  const std::uint32_t header_bytes = (inner.u8(0) & 15) * 4u;
  if (header_bytes < 20) return;
  icmp._has_inner = true;
  icmp._inner_proto = inner.u8(9);
  icmp._inner_src = address4(inner, 12);
  icmp._inner_dst = address4(inner, 16);
  if ((inner.u16(6) & 0x1fff) == 0) read_inner_ports(icmp, inner, header_bytes);
}

// Hop-by-hop, routing and destination options, fragment (RFC 8200, 4.1).
bool is_extension(std::uint8_t header) noexcept { return header == 0 || header == 43 || header == 60 || header == 44; }

void read_inner6(engine_icmp& icmp, Bytes inner) noexcept {
  if (!inner.has(0, 40) || inner.u8(0) >> 4 != 6) return;
  icmp._has_inner = true;
  icmp._inner_src = address6(inner, 8);
  icmp._inner_dst = address6(inner, 24);
  std::uint8_t header = inner.u8(6);
  std::uint32_t at = 40;
  bool is_later_fragment = false;
  for (int depth = 0; depth < 8 && is_extension(header) && inner.has(at, 8) && !is_later_fragment; ++depth) {
    is_later_fragment = header == 44 && (inner.u16(at + 2) & 0xfff8) != 0;
    const std::uint32_t bytes = header == 44 ? 8 : (inner.u8(at + 1) + 1u) * 8;
    header = inner.u8(at);
    at += bytes;
  }
  icmp._inner_proto = header;
  if (!is_later_fragment) read_inner_ports(icmp, inner, at);
}

// The types whose second word is an identifier and a sequence number: echo (RFC 792), timestamp, information, address
// mask (RFC 950), extended echo (RFC 8335, where the sequence number is one byte).
bool has_id4(std::uint8_t type) noexcept {
  return type == 0 || type == 8 || (type >= 13 && type <= 18) || type == 42 || type == 43;
}
bool has_id6(std::uint8_t type) noexcept { return type == 128 || type == 129 || type == 160 || type == 161; }
bool has_short_sequence(std::uint8_t type) noexcept { return type == 42 || type == 43 || type == 160 || type == 161; }

void read4(engine_icmp& icmp, Bytes message) noexcept {
  icmp._has_id = has_id4(icmp._type);
  // Unreachable, source quench, redirect, time exceeded, parameter problem.
  icmp._is_error = icmp._type == 3 || icmp._type == 4 || icmp._type == 5 || icmp._type == 11 || icmp._type == 12;
  if (icmp._is_error) read_inner4(icmp, message.from(kHeader_bytes));
  if (icmp._type == 3 && icmp._code == 4) icmp._mtu = message.u16(6), icmp._has_mtu = true;  // RFC 1191, 4
  if (icmp._type == 5) icmp._target = address4(message, 4), icmp._has_target = true;
}

void read6(engine_icmp& icmp, Bytes message) noexcept {
  icmp._has_id = has_id6(icmp._type);
  icmp._is_error = icmp._type < 128;  // RFC 4443, 2.1
  if (icmp._is_error) read_inner6(icmp, message.from(kHeader_bytes));
  if (icmp._type == 2) icmp._mtu = message.u32(4), icmp._has_mtu = true;  // packet too big (RFC 4443, 3.2)
  // Neighbour solicitation and advertisement, redirect (RFC 4861, 4.3 to 4.5).
  if (icmp._type >= 135 && icmp._type <= 137 && message.has(8, 16))
    icmp._target = address6(message, 8), icmp._has_target = true;
}

}  // namespace

bool parse_icmp(engine_icmp* icmp, const engine_cell* cell, const engine_packet* packet) noexcept {
  const std::uint8_t proto = packet->ip_version == 4 ? kIcmp : kIcmp6;
  if (packet->l4_off == 0 || packet->proto != proto) return false;
  // The payload ends where the datagram does; what Ethernet padded is no part of the message.
  const std::uint32_t end = packet->payload_off + packet->payload_len;
  if (end < packet->l4_off + kHeader_bytes) return false;
  const Bytes message = frame_of(*cell, *packet).part(packet->l4_off, end - packet->l4_off);
  if (!message.has(0, kHeader_bytes)) return false;
  *icmp = {};
  icmp->_version = packet->ip_version;
  icmp->_type = message.u8(0);
  icmp->_code = message.u8(1);
  if (packet->ip_version == 4) {
    read4(*icmp, message);
  } else {
    read6(*icmp, message);
  }
  if (icmp->_has_id) {
    icmp->_id = message.u16(4);
    icmp->_sequence = has_short_sequence(icmp->_type) ? message.u8(6) : message.u16(6);
  }
  open(*icmp, *cell, *packet, packet->l4_off);
  return true;
}

}  // namespace plugins::protocols
