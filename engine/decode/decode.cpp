// The link layer, and the way from there to IP.
#include "engine/decode/decode.h"

#include <net/ethernet.h>
#include <linux/if_arp.h>

#include "engine/decode/network.h"

namespace engine {
namespace {

constexpr std::uint16_t kMinEtherType = 0x0600;  // below it is the length of an 802.3 frame (IEEE 802.3, 3.2.6)

bool is_vlan_tag(std::uint16_t type) noexcept { return type == ETHERTYPE_VLAN || type == 0x88a8 || type == 0x9100; }

// Up to two tags (IEEE 802.1Q, 9.6). `type` is what the last header said, `at` lies behind it; both move on.
void decode_vlan_tags(const Frame& frame, std::uint16_t& type, std::uint32_t& at, engine_packet& packet) noexcept {
  if (!is_vlan_tag(type) || !frame.has(at, 4)) return;
  packet.vlan = frame.u16(at) & 0x0fff;
  type = frame.u16(at + 2);
  at += 4;
  if (!is_vlan_tag(type) || !frame.has(at, 4)) return;
  packet.inner_vlan = frame.u16(at) & 0x0fff;
  type = frame.u16(at + 2);
  at += 4;
}

// Goes on behind a header that ended at `at` and named the EtherType `type`.
inline void decode_from_type(const Frame& frame, std::uint16_t type, std::uint32_t at, engine_packet& packet) noexcept {
  if (is_vlan_tag(type)) [[unlikely]]
    decode_vlan_tags(frame, type, at, packet);
  packet.eth_type = type >= kMinEtherType ? type : 0;
  set_payload(packet, at, frame.size);
  if (type == ETHERTYPE_IP) [[likely]] {
    decode_ipv4(frame, at, packet);
  } else if (type == ETHERTYPE_IPV6) {
    decode_ipv6(frame, at, packet);
  } else if (type < kMinEtherType && type != 0) {
    set_payload(packet, at, std::min(frame.size, at + type));  // 802.3: the length without padding
  }
}

// The IP header itself; its first four bits tell which one.
void decode_ip(const Frame& frame, std::uint32_t at, engine_packet& packet) noexcept {
  const int version = frame.has(at, 1) ? frame.u8(at) >> 4 : 0;
  if (version == 4 || version == 6) {
    decode_from_type(frame, version == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6, at, packet);
  } else {
    set_payload(packet, at, frame.size);
  }
}

// Of these devices the protocol field is no EtherType (libpcap, pcap-linktype: LINKTYPE_LINUX_SLL).
bool cooked_with_ether_type(std::uint16_t device_type) noexcept {
  return device_type != ARPHRD_NETLINK && device_type != ARPHRD_IPGRE && device_type != ARPHRD_FRAD &&
         device_type != ARPHRD_IEEE80211_RADIOTAP;
}

void decode_cooked(const Frame& frame, std::uint32_t header_bytes, std::uint32_t protocol_at,
                   std::uint32_t device_type_at, engine_packet& packet) noexcept {
  if (!frame.has(0, header_bytes)) return set_payload(packet, 0, frame.size);
  set_payload(packet, header_bytes, frame.size);
  if (!cooked_with_ether_type(frame.u16(device_type_at))) return;
  const std::uint16_t type = frame.u16(protocol_at);
  // Here small numbers are Linux' own (if_ether.h: ETH_P_802_3 = 1, ETH_P_802_2 = 4), not lengths.
  if (type >= kMinEtherType) decode_from_type(frame, type, header_bytes, packet);
}

// The address family in the byte order of the machine that captured; IPv6 has a number per BSD.
void decode_loopback(const Frame& frame, engine_packet& packet) noexcept {
  if (!frame.has(0, 4)) return set_payload(packet, 0, frame.size);
  std::uint32_t family = frame.u32(0);
  if (family > 0xffff) family = __builtin_bswap32(family);
  const bool is_ip = family == 2 || family == 10 || family == 24 || family == 28 || family == 30;
  if (is_ip) return decode_ip(frame, 4, packet);
  set_payload(packet, 4, frame.size);
}

}  // namespace

void decode_frame(const std::uint8_t* data, std::uint32_t caplen, engine_packet& packet) noexcept {
  constexpr std::uint32_t kHeaderBytes = 14;
  const Frame frame{data, caplen};
  packet = engine_packet{};
  if (!frame.has(0, kHeaderBytes)) [[unlikely]]
    return set_payload(packet, 0, caplen);
  decode_from_type(frame, frame.u16(12), kHeaderBytes, packet);
}

void decode_link(LinkType link, const std::uint8_t* data, std::uint32_t caplen, engine_packet& packet) noexcept {
  const Frame frame{data, caplen};
  if (link == LinkType::ethernet) return decode_frame(data, caplen, packet);
  packet = engine_packet{};
  switch (link) {
    case LinkType::linux_cooked:
      return decode_cooked(frame, 16, 14, 2, packet);
    case LinkType::linux_cooked2:
      return decode_cooked(frame, 20, 0, 8, packet);
    case LinkType::ip:
      return decode_ip(frame, 0, packet);
    case LinkType::loopback:
      return decode_loopback(frame, packet);
    default:
      return set_payload(packet, 0, caplen);
  }
}

}  // namespace engine
