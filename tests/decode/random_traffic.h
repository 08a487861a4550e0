// Valid frames at random: what a comparison with another reader is made over.
#pragma once

#include <cstdint>
#include <random>
#include <utility>

#include "tests/decode/frames.h"

namespace test {

class Traffic {
 public:
  // Every kind of frame that decode knows, with random addresses, ports, sizes and VLAN tags.
  Bytes frame() {
    const bool six = pick(3) == 0;
    const Bytes payload = filled(pick(300), static_cast<std::uint8_t>(pick(256)));
    const unsigned kind = pick(12);
    if (kind == 0) return link(0x0806, Bytes{0, 1, 8, 0, 6, 4, 0, 1} + filled(20, 3));
    if (kind == 1) return link(0x88cc, Bytes{0x02, 0x07, 0x04} + filled(6) + Bytes{0, 0});
    const auto [proto, l4] = transport(kind, six, payload);
    return six ? link(0x86dd, over_ipv6(proto, l4)) : link(0x0800, over_ipv4(proto, l4));
  }

 private:
  unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }
  // Ports for which tshark has no dissector of its own that might refuse the payload.
  unsigned port() { return 40000 + pick(3000); }

  std::pair<std::uint8_t, Bytes> transport(unsigned kind, bool six, const Bytes& payload) {
    if (kind < 5) {
      const Bytes options = pick(2) != 0 ? Bytes{1, 1, 8, 10} + filled(8, 7) : Bytes{};
      return {6, tcp(port(), port(), static_cast<std::uint8_t>(pick(256)), payload, options)};
    }
    if (kind < 9) return {17, udp(port(), port(), payload)};
    if (kind == 9) return {132, be16(port()) + be16(port()) + be32(1) + be32(2)};
    if (kind == 10) return {47, be16(0) + be16(0x6558) + filled(4)};
    return {static_cast<std::uint8_t>(six ? 58 : 1), icmp(six ? 128 : 8, 0, payload)};
  }

  Bytes over_ipv4(std::uint8_t proto, const Bytes& l4) {
    Ip4 ip{.proto = proto, .src = 0x0a000000 + pick(99999), .dst = 0xac100000 + pick(99999)};
    ip.ttl = static_cast<std::uint8_t>(1 + pick(255));
    ip.tos = static_cast<std::uint8_t>(pick(256));
    if (pick(4) == 0) ip.options = filled(4 * (1 + pick(10)), 1);
    if (pick(8) == 0) {
      ip.fragment = 1 + pick(1000);
      return ipv4(ip, filled(40));
    }
    return ipv4(ip, l4);
  }

  Bytes over_ipv6(std::uint8_t proto, const Bytes& l4) {
    Ip6 ip{.next = proto,
           .src_last = static_cast<std::uint8_t>(pick(256)),
           .dst_last = static_cast<std::uint8_t>(pick(256))};
    ip.hop_limit = static_cast<std::uint8_t>(1 + pick(255));
    switch (pick(6)) {
      case 0:
        ip.next = 60;
        return ipv6(ip, Bytes{proto, 0, 1, 4, 0, 0, 0, 0} + l4);
      case 1:
        ip.next = 0;
        return ipv6(ip, Bytes{60, 0, 1, 4, 0, 0, 0, 0} + Bytes{proto, 0, 1, 4, 0, 0, 0, 0} + l4);
      case 2:
        ip.next = 44;
        return ipv6(ip, fragment_header(proto, (1 + pick(100)) << 3) + filled(40));
      default:
        return ipv6(ip, l4);
    }
  }

  Bytes link(unsigned type, const Bytes& payload) {
    Bytes frame = ethernet(type) + payload;
    if (const unsigned tags = pick(6); tags == 0) {
      frame = ethernet(0x8100) + vlan_tag(1 + pick(4094), type) + payload;
    } else if (tags == 1) {
      frame = ethernet(0x88a8) + vlan_tag(1 + pick(4094), 0x8100) + vlan_tag(1 + pick(4094), type) + payload;
    }
    return frame.size() < 60 ? cut(frame, 60) : frame;
  }

  std::mt19937 random_{42};
};

}  // namespace test
