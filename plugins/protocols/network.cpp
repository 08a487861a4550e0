// IPv4 (RFC 791) and IPv6 (RFC 8200).
#include <cstring>

#include "plugins/protocols/bytes.h"
#include "plugins/protocols/headers.h"

namespace plugins::protocols {
namespace {

// The fragment header, behind those that may come before it (RFC 8200, 4.1); at most as many as decode looks at.
void find_fragment(engine_ip& ip, Bytes header) noexcept {
  constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;
  std::uint8_t next = ip._next_header;
  std::uint32_t at = 40;
  for (int depth = 0; depth < 8 && header.has(at, 8); ++depth) {
    if (next == kFragment) {
      const std::uint16_t fragment = header.u16(at + 2);
      ip._fragment_off = fragment & 0xfff8;
      ip._mf = (fragment & 1) != 0;
      ip._id = header.u32(at + 4);
      ip._has_id = true;
      return;
    }
    if (next != kHopByHop && next != kRouting && next != kDestination) return;
    next = header.u8(at);
    at += (header.u8(at + 1) + 1u) * 8;
  }
}

void read_ip4(engine_ip& ip, Bytes header) noexcept {
  const std::uint16_t fragment = header.u16(6);
  ip._header_len = static_cast<std::uint16_t>((header.u8(0) & 15) * 4);
  ip._total_len = header.u16(2);
  ip._id = header.u16(4);
  ip._has_id = true;
  ip._df = (fragment & 0x4000) != 0;
  ip._mf = (fragment & 0x2000) != 0;
  ip._fragment_off = static_cast<std::uint16_t>((fragment & 0x1fff) * 8);
  ip._next_header = header.u8(9);
}

void read_ip6(engine_ip& ip, Bytes header) noexcept {
  ip._header_len = 40;
  ip._total_len = header.u16(4) + 40u;
  ip._flow_label = header.u32(0) & 0xfffff;
  ip._next_header = header.u8(6);
  ip._has_hop_by_hop = ip._next_header == 0;
  find_fragment(ip, header);
}

}  // namespace

engine_addr address4(Bytes bytes, std::uint32_t at) noexcept {
  std::uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  std::memcpy(mapped + 12, bytes.data + at, 4);
  return address6({mapped, sizeof mapped}, 0);
}

engine_addr address6(Bytes bytes, std::uint32_t at) noexcept {
  engine_addr address;
  std::memcpy(static_cast<void*>(&address), bytes.data + at, sizeof address);
  return address;
}

bool parse_ip(engine_ip* ip, const engine_cell* cell, const engine_packet* packet) noexcept {
  const Bytes header = frame_of(*cell, *packet).from(packet->l3_off);
  // decode has seen the header, if there is one.
  if (packet->ip_version == 0 || !header.has(0, packet->ip_version == 4 ? 20 : 40)) return false;
  ip->_src = packet->src;
  ip->_dst = packet->dst;
  ip->_version = packet->ip_version;
  ip->_tos = packet->tos;
  ip->_ttl = packet->ttl;
  ip->_proto = packet->proto;
  ip->_id = ip->_flow_label = 0;
  ip->_fragment_off = 0;
  ip->_has_id = ip->_df = ip->_mf = ip->_has_hop_by_hop = false;
  if (packet->ip_version == 4) {
    read_ip4(*ip, header);
  } else {
    read_ip6(*ip, header);
  }
  open(*ip, *cell, *packet, packet->l3_off);
  return true;
}

}  // namespace plugins::protocols
