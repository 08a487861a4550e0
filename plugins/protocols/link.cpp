// Ethernet and ARP.
#include "plugins/protocols/bytes.h"
#include "plugins/protocols/headers.h"

namespace plugins::protocols {
namespace {

constexpr std::uint32_t kEthHeader_bytes = 14;
constexpr std::uint16_t kArp = 0x0806, kLeastType = 0x0600;  // below: the length of an IEEE 802.3 frame

bool is_vlan_tag(std::uint16_t type) noexcept { return type == 0x8100 || type == 0x88a8 || type == 0x9100; }

// Behind the addresses and up to two tags; 0 if this is no Ethernet header. Packets don't say what their link is: files
// have others too. So the type has to be the one that decode has found, and IP has to lie behind it.
std::uint32_t link_end(Bytes frame, const engine_packet& packet, engine_eth& eth) noexcept {
  if (!frame.has(0, kEthHeader_bytes)) return 0;
  std::uint32_t end = kEthHeader_bytes;
  std::uint16_t type = frame.u16(12), tags = 0;
  eth._priority = 0;
  for (; tags < 2 && is_vlan_tag(type) && frame.has(end, 4); ++tags, end += 4) {
    if (tags == 0) eth._priority = static_cast<std::uint8_t>(frame.u8(end) >> 5);
    type = frame.u16(end + 2);
  }
  if (type < kLeastType) type = 0;
  if (type != packet.eth_type || (packet.l3_off != 0 && packet.l3_off != end)) return 0;
  eth._type = type;
  eth._vlan_tags = tags;
  return end;
}

}  // namespace

bool parse_eth(engine_eth* eth, const engine_cell* cell, const engine_packet* packet) noexcept {
  if (packet->_link != 0 || link_end(frame_of(*cell, *packet), *packet, *eth) == 0) return false;
  eth->_vlan = packet->vlan;
  eth->_inner_vlan = packet->inner_vlan;
  open(*eth, *cell, *packet, 0);
  return true;
}

bool parse_arp(engine_arp* arp, const engine_cell* cell, const engine_packet* packet) noexcept {
  constexpr std::uint32_t kSize_bytes = 28;
  if (packet->eth_type != kArp) return false;
  // decode leaves the payload behind the link layer's header, whatever that is.
  const Bytes bytes = frame_of(*cell, *packet).from(packet->payload_off);
  // Ethernet (1) and IPv4, with addresses of 6 and 4 bytes.
  if (!bytes.has(0, kSize_bytes) || bytes.u32(0) != 0x00010800 || bytes.u16(4) != 0x0604) return false;
  arp->_op = bytes.u16(6);
  arp->_sender = address4(bytes, 14);
  arp->_target = address4(bytes, 24);
  open(*arp, *cell, *packet, packet->payload_off);
  return true;
}

void mac_text(const std::uint8_t* mac, char* text) noexcept {
  constexpr char digits[] = "0123456789abcdef";
  for (int i = 0; i < 6; ++i) {
    text[3 * i] = digits[mac[i] >> 4];
    text[3 * i + 1] = digits[mac[i] & 15];
    if (i < 5) text[3 * i + 2] = ':';
  }
}

}  // namespace plugins::protocols
