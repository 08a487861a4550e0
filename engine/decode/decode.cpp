// The link layer, and the way from there to IP.
#include "engine/decode/decode.h"

#include <linux/if_arp.h>
#include <linux/if_ether.h>

#include <cstddef>

#include "engine/decode/network.h"

namespace engine {
namespace {

constexpr std::uint16_t kMinEtherType = 0x0600;  // below it is the length of an 802.3 frame (IEEE 802.3, 3.2.6)

// Eight 16-byte stores, written out: for `packet = {}` and for a loop GCC emits `rep stos`, whose start alone takes
// longer than the rest of decode (bench/decode_bench.cpp).
inline void clear(engine_packet& packet) noexcept {
  using Block [[gnu::vector_size(16), gnu::may_alias, gnu::aligned(alignof(engine_packet))]] = std::uint64_t;
  static_assert(sizeof packet == 8 * sizeof(Block));
  Block* block = reinterpret_cast<Block*>(&packet);  // not auto: that drops the alignment
  block[0] = block[1] = block[2] = block[3] = block[4] = block[5] = block[6] = block[7] = Block{};
}

inline void set_payload(Rest rest, engine_packet& packet) noexcept {
  const std::size_t begin = std::min(rest.begin, rest.end);
  packet.payload_off = static_cast<std::uint16_t>(begin);
  packet.payload_len = static_cast<std::uint32_t>(rest.end - begin);
}

bool is_vlan_tag(std::uint16_t type) noexcept {
  return type == ETH_P_8021Q || type == ETH_P_8021AD || type == ETH_P_QINQ1;
}

// Up to two tags (IEEE 802.1Q, 9.6). Returns the type that the last one names.
std::uint16_t decode_vlan_tags(Frame frame, std::uint16_t type, Rest& rest, engine_packet& packet) noexcept {
  for (std::uint16_t* vlan : {&packet.vlan, &packet.inner_vlan}) {
    if (!is_vlan_tag(type) || !frame.has(rest.begin, 4)) break;
    *vlan = frame.u16(rest.begin) & 0x0fff;
    type = frame.u16(rest.begin + 2);
    rest.begin += 4;
  }
  return type;
}

// Goes on behind a header that named the EtherType `type`.
void decode_from_type(Frame frame, std::uint16_t type, Rest& rest, engine_packet& packet) noexcept {
  type = decode_vlan_tags(frame, type, rest, packet);
  if (type >= kMinEtherType) packet.eth_type = type;
  if (type == ETH_P_IP) {
    decode_ipv4(frame, rest, packet);
  } else if (type == ETH_P_IPV6) {
    decode_ipv6(frame, rest, packet);
  } else if (type < kMinEtherType && type != 0) {
    rest.end = std::min(rest.end, rest.begin + type);  // 802.3: the length without padding
  }
}

// The IP header itself; its first four bits tell which one.
void decode_ip(Frame frame, Rest& rest, engine_packet& packet) noexcept {
  const int version = frame.has(rest.begin, 1) ? frame.u8(rest.begin) >> 4 : 0;
  if (version == 4) decode_from_type(frame, ETH_P_IP, rest, packet);
  if (version == 6) decode_from_type(frame, ETH_P_IPV6, rest, packet);
}

// Of these devices the protocol field is no EtherType (libpcap, pcap-linktype: LINKTYPE_LINUX_SLL).
bool has_ether_type(std::uint16_t device_type) noexcept {
  return device_type != ARPHRD_NETLINK && device_type != ARPHRD_IPGRE && device_type != ARPHRD_FRAD &&
         device_type != ARPHRD_IEEE80211_RADIOTAP;
}

struct CookedHeader {
  std::size_t bytes, protocol_at, device_type_at;
};

void decode_cooked(Frame frame, CookedHeader header, Rest& rest, engine_packet& packet) noexcept {
  if (!frame.has(0, header.bytes)) return;
  rest.begin = header.bytes;
  const std::uint16_t type = frame.u16(header.protocol_at);
  // Small numbers are Linux' own here (if_ether.h: ETH_P_802_3 = 1, ETH_P_802_2 = 4), not lengths.
  if (type >= kMinEtherType && has_ether_type(frame.u16(header.device_type_at)))
    decode_from_type(frame, type, rest, packet);
}

// The address family in the byte order of the machine that captured; IPv6 has a number per BSD.
void decode_loopback(Frame frame, Rest& rest, engine_packet& packet) noexcept {
  if (!frame.has(0, 4)) return;
  rest.begin = 4;
  std::uint32_t family = frame.u32(0);
  if (family > 0xffff) family = __builtin_bswap32(family);
  if (family == 2 || family == 10 || family == 24 || family == 28 || family == 30) decode_ip(frame, rest, packet);
}

// Ethernet frames that are not plain IPv4. Apart from those, so that their way needs no stack.
[[gnu::noinline]] void decode_other(Frame frame, std::uint16_t type, engine_packet& packet) noexcept {
  Rest rest{ETH_HLEN, frame.size};
  decode_from_type(frame, type, rest, packet);
  set_payload(rest, packet);
}

}  // namespace

void decode_frame(const std::uint8_t* data, std::uint32_t caplen, engine_packet& packet) noexcept {
  const Frame frame{data, caplen};
  clear(packet);
  if (!frame.has(0, ETH_HLEN)) [[unlikely]]
    return set_payload({0, caplen}, packet);
  const std::uint16_t type = frame.u16(12);
  if (type != ETH_P_IP) return decode_other(frame, type, packet);
  Rest rest{ETH_HLEN, caplen};
  packet.eth_type = ETH_P_IP;
  decode_ipv4(frame, rest, packet);
  set_payload(rest, packet);
}

void decode_link(LinkType link, const std::uint8_t* data, std::uint32_t caplen, engine_packet& packet) noexcept {
  if (link == LinkType::ethernet) return decode_frame(data, caplen, packet);
  const Frame frame{data, caplen};
  Rest rest{0, caplen};
  clear(packet);
  packet._link = static_cast<std::uint8_t>(link);
  switch (link) {
    case LinkType::linux_cooked:
      decode_cooked(frame, {16, 14, 2}, rest, packet);
      break;
    case LinkType::linux_cooked2:
      decode_cooked(frame, {20, 0, 8}, rest, packet);
      break;
    case LinkType::ip:
      decode_ip(frame, rest, packet);
      break;
    case LinkType::loopback:
      decode_loopback(frame, rest, packet);
      break;
    default:
      break;
  }
  set_payload(rest, packet);
}

}  // namespace engine
