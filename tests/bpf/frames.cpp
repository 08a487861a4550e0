#include "tests/bpf/frames.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>

#include <algorithm>
#include <array>
#include <initializer_list>

namespace bpf_test {
namespace {

using Random = std::mt19937_64;

std::uint32_t below(Random& random, std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); }

template <typename T>
T one_of(Random& random, std::initializer_list<T> values) {
  return values.begin()[below(random, static_cast<std::uint32_t>(values.size()))];
}

void put8(Frame& frame, unsigned value) { frame.push_back(static_cast<std::uint8_t>(value)); }
void put16(Frame& frame, unsigned value) {
  put8(frame, value >> 8);
  put8(frame, value);
}
void put32(Frame& frame, std::uint32_t value) {
  put16(frame, value >> 16);
  put16(frame, value & 0xffff);
}
void put_noise(Frame& frame, Random& random, std::uint32_t bytes) {
  while (bytes-- > 0) put8(frame, static_cast<unsigned>(random()));
}
void put_address(Frame& frame, int family, const std::string& text) {
  std::array<std::uint8_t, 16> bytes;
  EXPECT_EQ(inet_pton(family, text.c_str(), bytes.data()), 1) << text;
  frame.insert(frame.end(), bytes.begin(), bytes.begin() + (family == AF_INET ? 4 : 16));
}

void put_mac(Frame& frame, Random& random) {
  const std::uint32_t kind = below(random, 16);
  if (kind < 2) return put_noise(frame, random, 6);
  if (kind == 2) return frame.insert(frame.end(), 6, 0xff), void();
  for (const unsigned byte : {0x02, 0x00, 0x00, 0x00, 0x00, 0x01}) put8(frame, byte);
}

unsigned random_port(Random& random) { return one_of<unsigned>(random, {22, 53, 80, 443, 8080, below(random, 65536)}); }

void put_transport(Frame& frame, Random& random, unsigned protocol) {
  if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP) {
    put16(frame, random_port(random));
    put16(frame, random_port(random));
  }
  if (protocol == IPPROTO_TCP) {
    put_noise(frame, random, 8);
    put8(frame, 0x50);
    put8(frame, one_of<unsigned>(random, {0x02, 0x10, 0x12, 0x18, 0x11, 0x04}));
  }
  if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) put8(frame, one_of<unsigned>(random, {0, 8, 3, 128}));
  put_noise(frame, random, below(random, 64));
}

void put_ipv4(Frame& frame, Random& random) {
  const unsigned words = one_of<unsigned>(random, {5, 5, 5, 6, 8, 15, below(random, 16)});
  const unsigned protocol = one_of<unsigned>(
      random, {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_SCTP, 50, below(random, 256)});
  put8(frame, (below(random, 32) == 0 ? 0x60 : 0x40) | words);
  put8(frame, below(random, 256));
  put16(frame, 20 + below(random, 1480));
  put16(frame, below(random, 65536));
  put16(frame, one_of<unsigned>(random, {0, 0, 0, 0x4000, 0x2000, 0x2010, 0x0010, below(random, 65536)}));
  put8(frame, one_of<unsigned>(random, {1, 64, 255}));
  put8(frame, protocol);
  put16(frame, below(random, 65536));
  for (int end = 0; end < 2; ++end) {
    const char* text = one_of<const char*>(
        random, {"10.0.0.1", "10.1.2.3", "192.168.1.1", "192.168.1.77", "192.0.2.9", "224.0.0.1", "255.255.255.255"});
    if (below(random, 6) == 0) {
      put32(frame, static_cast<std::uint32_t>(random()));
    } else {
      put_address(frame, AF_INET, text);
    }
  }
  for (unsigned word = 5; word < words; ++word) put_noise(frame, random, 4);
  put_transport(frame, random, protocol);
}

void put_ipv6(Frame& frame, Random& random) {
  const unsigned protocol = one_of<unsigned>(
      random, {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMPV6, IPPROTO_SCTP, below(random, 256)});
  const unsigned extension = one_of<unsigned>(random, {256, 256, 256, IPPROTO_HOPOPTS, IPPROTO_FRAGMENT});
  put32(frame, 0x60000000 | below(random, 1 << 28));
  put16(frame, below(random, 1400));
  put8(frame, extension < 256 ? extension : protocol);
  put8(frame, 64);
  for (int end = 0; end < 2; ++end)
    put_address(frame, AF_INET6,
                one_of<const char*>(random, {"2001:db8::1", "2001:db8:1::5", "fe80::1", "ff02::1", "::ffff:10.0.0.1"}));
  if (extension < 256) {
    put8(frame, protocol);
    put8(frame, 0);
    put_noise(frame, random, 6);
  }
  put_transport(frame, random, protocol);
}

void put_arp(Frame& frame, Random& random) {
  put32(frame, 0x00010800);
  put16(frame, 0x0604);
  put16(frame, 1 + below(random, 2));
  for (int end = 0; end < 2; ++end) {
    put_mac(frame, random);
    put_address(frame, AF_INET, one_of<const char*>(random, {"10.0.0.1", "192.168.1.1", "192.0.2.9"}));
  }
}

}  // namespace

Frame udp_frame(const std::string& source, const std::string& target, std::uint16_t source_port,
                std::uint16_t target_port, const std::vector<std::uint16_t>& tags) {
  const bool v6 = source.find(':') != std::string::npos;
  Frame frame = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  for (std::size_t tag = 0; tag < tags.size(); ++tag) {
    put16(frame, tags.size() > 1 && tag == 0 ? ETH_P_8021AD : ETH_P_8021Q);
    put16(frame, tags[tag]);
  }
  put16(frame, v6 ? ETH_P_IPV6 : ETH_P_IP);
  if (v6) {
    put32(frame, 0x60000000);
    put16(frame, 10);
    put16(frame, IPPROTO_UDP << 8 | 64);
  } else {
    put32(frame, 0x4500001e);
    put32(frame, 0);
    put32(frame, 64U << 24 | IPPROTO_UDP << 16);
  }
  put_address(frame, v6 ? AF_INET6 : AF_INET, source);
  put_address(frame, v6 ? AF_INET6 : AF_INET, target);
  put16(frame, source_port);
  put16(frame, target_port);
  put32(frame, 10U << 16);
  frame.resize(std::max<std::size_t>(frame.size(), 64));
  return frame;
}

Frame random_frame(Random& random) {
  Frame frame;
  put_mac(frame, random);
  put_mac(frame, random);
  for (unsigned tags = one_of<unsigned>(random, {0, 0, 0, 1, 1, 2, 3}); tags > 0; --tags) {
    put16(frame, one_of<unsigned>(random, {ETH_P_8021Q, ETH_P_8021Q, ETH_P_8021AD, 0x9100}));
    put16(frame, one_of<unsigned>(random, {5, 42, below(random, 65536)}));
  }
  const unsigned type = one_of<unsigned>(
      random, {ETH_P_IP, ETH_P_IP, ETH_P_IP, ETH_P_IPV6, ETH_P_IPV6, ETH_P_ARP, 0x8847, 0x8864, below(random, 65536)});
  put16(frame, type);
  if (type == 0x8847) put32(frame, below(random, 1 << 20) << 12 | 0x140);  // MPLS: one label, bottom of the stack
  if (type == 0x8864) put32(frame, 0x11000007), put32(frame, 0x00200021);  // PPPoE session 7, PPP protocol IPv4
  if (type == ETH_P_IP || type == 0x8847 || type == 0x8864) put_ipv4(frame, random);
  if (type == ETH_P_IPV6) put_ipv6(frame, random);
  if (type == ETH_P_ARP) put_arp(frame, random);
  put_noise(frame, random, below(random, 40));
  if (below(random, 4) == 0) frame.resize(14 + below(random, static_cast<std::uint32_t>(frame.size() - 13)));
  return frame;
}

}  // namespace bpf_test
