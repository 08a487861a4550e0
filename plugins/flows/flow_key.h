// What makes two packets one flow: both endpoints, the protocol and the VLAN tags, the same for both directions.
//
// Ports are what the Community ID specification takes for ports (github.com/corelight/community-id-spec): for ICMP the
// type and the type of its answer where there is one (an echo and its reply are one flow); else type and code, in the
// direction of the packet alone. Fragments have no ports behind the first, so all fragments between two addresses are
// one flow with ports 0. Pure functions, any thread.
#pragma once

#include <cstdint>

#include "plugins/flows_native.h"

namespace plugins {

inline constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kSctp = 132;

struct FlowKey {
  std::uint64_t words[5];  // one address, the other, and both ports, VLAN tags and protocol
  unsigned side;           // 0: the packet's source is the first endpoint; 1: its destination is
};

// Ports, and whether the flow has one direction only.
struct IcmpPorts {
  std::uint16_t source;
  std::uint16_t destination;
  bool one_way;
};
IcmpPorts icmp_ports(std::uint8_t proto, std::uint8_t type, std::uint8_t code) noexcept;

// An endpoint of the key, 0 or 1.
struct FlowEndpoint {
  engine_addr address;
  std::uint16_t port;
};
inline FlowEndpoint endpoint_of(const std::uint64_t* key, unsigned side) noexcept {
  return {{key[2 * side], key[2 * side + 1]}, static_cast<std::uint16_t>(key[4] >> (16 * side))};
}
inline std::uint8_t proto_of(const std::uint64_t* key) noexcept { return static_cast<std::uint8_t>(key[4] >> 56); }
inline std::uint16_t vlan_of(const std::uint64_t* key) noexcept { return key[4] >> 32 & 0xfff; }
inline std::uint16_t inner_vlan_of(const std::uint64_t* key) noexcept { return key[4] >> 44 & 0xfff; }

inline bool is_tcp(const engine_packet& packet) noexcept {
  return packet.proto == kTcp && packet.l4_off != 0 && !packet.is_fragment;
}

// False if the packet is not IP. Which endpoint is the first has no meaning; the choice needs no branch, since traffic
// in both directions would mispredict it every other time.
inline bool make_key(const engine_packet& packet, FlowKey& key) noexcept {
  if (packet.ip_version == 0) return false;
  std::uint64_t source = packet.src_port, destination = packet.dst_port;
  bool one_way = false;
  if (packet.is_fragment) {
    source = destination = 0;
  } else if ((packet.proto == kIcmp || packet.proto == kIcmp6) && packet.l4_off != 0) {
    const IcmpPorts ports = icmp_ports(packet.proto, packet.icmp_type, packet.icmp_code);
    source = ports.source;
    destination = ports.destination;
    one_way = ports.one_way;
  }
  __extension__ using Wide = unsigned __int128;
  const Wide from = static_cast<Wide>(packet.src._hi) << 64 | packet.src._lo;
  const Wide to = static_cast<Wide>(packet.dst._hi) << 64 | packet.dst._lo;
  const bool turned = (from > to || (from == to && source > destination)) && !one_way;
  const std::uint64_t turn = 0 - std::uint64_t{turned};
  const std::uint64_t high = (packet.src._hi ^ packet.dst._hi) & turn, low = (packet.src._lo ^ packet.dst._lo) & turn;
  const std::uint64_t port = (source ^ destination) & turn;
  key.words[0] = packet.src._hi ^ high;
  key.words[1] = packet.src._lo ^ low;
  key.words[2] = packet.dst._hi ^ high;
  key.words[3] = packet.dst._lo ^ low;
  key.words[4] = (source ^ port) | (destination ^ port) << 16 | std::uint64_t{packet.vlan & 0xfffu} << 32 |
                 std::uint64_t{packet.inner_vlan & 0xfffu} << 44 | std::uint64_t{packet.proto} << 56;
  key.side = turned;
  return true;
}

inline bool same_key(const std::uint64_t* a, const std::uint64_t* b) noexcept {
  return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4])) == 0;
}

// 64 bits of a key. With secrets nobody can choose keys that collide; the mixing step is wyhash's: a product of 64x64
// bits, folded.
struct FlowSecrets {
  std::uint64_t words[5];
};
FlowSecrets random_secrets() noexcept;

inline std::uint64_t fold_product(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t hash_key(const std::uint64_t* key, const FlowSecrets& secrets) noexcept {
  const std::uint64_t first = fold_product(key[0] ^ secrets.words[0], key[1] ^ secrets.words[1]);
  const std::uint64_t second = fold_product(key[2] ^ secrets.words[2], key[3] ^ secrets.words[3]);
  return fold_product(first ^ (second << 32 | second >> 32) ^ secrets.words[4], key[4] ^ secrets.words[1]);
}

// The same in every run and on every worker. Connections of one key get different ones where their handshake was seen:
// the initiator's first sequence number is in its SYN and, plus one, in the SYN/ACK, so both halves know it.
std::uint64_t flow_id(const std::uint64_t* key, bool handshake, std::uint32_t isn) noexcept;

}  // namespace plugins
