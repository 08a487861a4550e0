// Frames for the tests, byte by byte and independent of the product's own generator.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}
inline Bytes be16(unsigned value) { return {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)}; }
inline Bytes be32(unsigned value) { return be16(value >> 16) + be16(value & 0xffff); }
inline Bytes filled(std::size_t bytes, std::uint8_t value = 0x5a) { return Bytes(bytes, value); }
inline Bytes cut(Bytes bytes, std::size_t size) {
  bytes.resize(size);
  return bytes;
}

inline Bytes ethernet(unsigned type) { return Bytes{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1} + be16(type); }
inline Bytes vlan_tag(unsigned tci, unsigned next_type) { return be16(tci) + be16(next_type); }

struct Ip4 {
  std::uint8_t proto = 17;
  unsigned src = 0x0a000001;  // 10.0.0.1
  unsigned dst = 0x0a000002;
  unsigned fragment = 0;  // flags and offset
  Bytes options = {};
  int total_bytes = -1;  // -1: right
  int ihl = -1;          // words; -1: right
  std::uint8_t tos = 0, ttl = 64;
};

inline Bytes ipv4(const Ip4& ip, const Bytes& payload) {
  const std::size_t header = 20 + ip.options.size();
  const unsigned total = ip.total_bytes >= 0 ? ip.total_bytes : header + payload.size();
  const unsigned ihl = ip.ihl >= 0 ? ip.ihl : header / 4;
  return Bytes{static_cast<std::uint8_t>(0x40 | ihl), ip.tos} + be16(total) + be16(1) + be16(ip.fragment) +
         Bytes{ip.ttl, ip.proto} + be16(0) + be32(ip.src) + be32(ip.dst) + ip.options + payload;
}

struct Ip6 {
  std::uint8_t next = 17;
  std::uint8_t src_last = 1, dst_last = 2;
  int payload_bytes = -1;  // -1: right
  std::uint8_t traffic_class = 0, hop_limit = 64;
};

inline Bytes ip6_address(std::uint8_t last) { return Bytes{0x20, 0x01, 0x0d, 0xb8} + filled(11, 0) + Bytes{last}; }

inline Bytes ipv6(const Ip6& ip, const Bytes& payload) {
  const unsigned length = ip.payload_bytes >= 0 ? ip.payload_bytes : payload.size();
  return Bytes{static_cast<std::uint8_t>(0x60 | ip.traffic_class >> 4),
               static_cast<std::uint8_t>(ip.traffic_class << 4), 0, 0} +
         be16(length) + Bytes{ip.next, ip.hop_limit} + ip6_address(ip.src_last) + ip6_address(ip.dst_last) + payload;
}

// An IPv6 extension header of 8 bytes a unit (`units` more than the first).
inline Bytes extension(std::uint8_t next, std::uint8_t units = 0) {
  return Bytes{next, units} + filled(6 + std::size_t{units} * 8, 0);
}
inline Bytes fragment_header(std::uint8_t next, unsigned offset_and_flag) {
  return Bytes{next, 0} + be16(offset_and_flag) + be32(0x1234);
}

inline Bytes udp(unsigned src, unsigned dst, const Bytes& payload, int length = -1) {
  return be16(src) + be16(dst) + be16(length >= 0 ? length : 8 + payload.size()) + be16(0) + payload;
}

inline Bytes tcp(unsigned src, unsigned dst, std::uint8_t flags, const Bytes& payload, const Bytes& options = {},
                 int data_offset = -1) {
  const unsigned words = data_offset >= 0 ? data_offset : (20 + options.size()) / 4;
  return be16(src) + be16(dst) + be32(0x01020304) + be32(0x05060708) +
         Bytes{static_cast<std::uint8_t>(words << 4), flags} + be16(0xfaf0) + be16(0) + be16(0) + options + payload;
}

inline Bytes icmp(std::uint8_t type, std::uint8_t code, const Bytes& payload) {
  return Bytes{type, code} + be16(0) + be32(0x00010002) + payload;
}

// One of each kind that decode has a way for: what the mutations start from.
inline std::vector<Bytes> sample_frames() {
  return {
      ethernet(0x0800) + ipv4({.proto = 6, .options = filled(8, 1)}, tcp(1, 2, 0x02, filled(20), filled(12, 1))),
      ethernet(0x8100) + vlan_tag(1, 0x88a8) + vlan_tag(2, 0x0800) + ipv4({}, udp(1, 2, filled(20))),
      ethernet(0x0800) + ipv4({.proto = 1}, icmp(8, 0, filled(20))),
      ethernet(0x0800) + ipv4({.proto = 132}, filled(30)),
      ethernet(0x86dd) + ipv6({.next = 0}, extension(43) + extension(44, 2) + fragment_header(51, 1) + Bytes{60, 4} +
                                               filled(22, 0) + extension(6) + tcp(1, 2, 0x10, filled(9))),
      ethernet(0x86dd) + ipv6({.next = 58}, icmp(128, 0, filled(20))),
      ethernet(46) + filled(46)};
}

}  // namespace test
