// The flow hash: symmetric, the same for all fragments, and spread evenly.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "tests/decode/frames.h"
#include "tests/decode/guarded_frame.h"

namespace test {
namespace {

unsigned hash_of(const Bytes& frame) { return decode_at_guard(frame).hash; }

TEST(FlowHash, IsTheSameForBothDirections) {
  EXPECT_EQ(hash_of(ethernet(0x0800) + ipv4({.src = 1, .dst = 2}, udp(10, 20, {}))),
            hash_of(ethernet(0x0800) + ipv4({.src = 2, .dst = 1}, udp(20, 10, {}))));
  EXPECT_EQ(hash_of(ethernet(0x86dd) + ipv6({.src_last = 1, .dst_last = 2}, udp(10, 20, {}))),
            hash_of(ethernet(0x86dd) + ipv6({.src_last = 2, .dst_last = 1}, udp(20, 10, {}))));
}

TEST(FlowHash, TellsPortsOfDifferentEndsApart) {
  EXPECT_NE(hash_of(ethernet(0x0800) + ipv4({.src = 1, .dst = 2}, udp(10, 20, {}))),
            hash_of(ethernet(0x0800) + ipv4({.src = 1, .dst = 2}, udp(20, 10, {}))));
}

TEST(FlowHash, KeepsAllFragmentsOfADatagramTogether) {
  const unsigned first = hash_of(ethernet(0x0800) + ipv4({.fragment = 0x2000}, udp(10, 20, filled(24))));
  const unsigned middle = hash_of(ethernet(0x0800) + ipv4({.fragment = 0x2004}, filled(32)));
  const unsigned last = hash_of(ethernet(0x0800) + ipv4({.fragment = 0x0008}, filled(5)));
  EXPECT_EQ(first, middle);
  EXPECT_EQ(first, last);
  EXPECT_EQ(hash_of(ethernet(0x86dd) + ipv6({.next = 44}, fragment_header(17, 1) + udp(1, 2, filled(16)))),
            hash_of(ethernet(0x86dd) + ipv6({.next = 44}, fragment_header(17, 24 << 3) + filled(16))));
}

// 100,000 flows over n buckets: chi-squared with n - 1 degrees of freedom stays within 6 standard deviations.
void expect_even(const std::vector<unsigned>& hashes) {
  for (const unsigned buckets : {2u, 3u, 4u, 7u, 8u, 64u, 1024u}) {
    std::vector<double> counts(buckets);
    for (const unsigned hash : hashes) ++counts[hash % buckets];
    const double expected = static_cast<double>(hashes.size()) / buckets;
    double chi = 0;
    for (const double count : counts) chi += (count - expected) * (count - expected) / expected;
    EXPECT_LT(chi, buckets - 1 + 6 * std::sqrt(2.0 * (buckets - 1))) << buckets << " buckets";
  }
  // Of 1e5 values drawn from 2^32, 1.2 pairs collide on average.
  EXPECT_GT(std::unordered_set<unsigned>(hashes.begin(), hashes.end()).size(), hashes.size() - 20);
}

void put(Bytes& frame, std::size_t at, const Bytes& bytes) {
  std::copy(bytes.begin(), bytes.end(), frame.begin() + static_cast<std::ptrdiff_t>(at));
}

TEST(FlowHash, SpreadsConsecutivePortsOfOnePairOfHosts) {
  std::vector<unsigned> hashes;
  Bytes frame = ethernet(0x0800) + ipv4({.proto = 6}, tcp(0, 0, 2, {}));
  for (unsigned src = 0; src < 50000; ++src) {
    for (const unsigned dst : {80u, 443u}) {
      put(frame, 34, be16(10000 + src) + be16(dst));
      hashes.push_back(hash_of(frame));
    }
  }
  expect_even(hashes);
}

TEST(FlowHash, SpreadsThePairsOfTwoSubnets) {
  std::vector<unsigned> hashes;
  Bytes frame = ethernet(0x0800) + ipv4({}, udp(53, 53, {}));
  for (unsigned a = 0; a < 400; ++a) {
    for (unsigned b = 0; b < 250; ++b) {
      put(frame, 26, be32(0x0a000000 + a) + be32(0x0a010000 + b));
      hashes.push_back(hash_of(frame));
    }
  }
  expect_even(hashes);
}

TEST(FlowHash, SpreadsIpv6Flows) {
  std::vector<unsigned> hashes;
  Bytes frame = ethernet(0x86dd) + ipv6({.dst_last = 255}, udp(0, 53, {}));
  for (unsigned host = 0; host < 200; ++host) {
    frame[14 + 23] = static_cast<std::uint8_t>(host);
    for (unsigned port = 0; port < 500; ++port) {
      put(frame, 54, be16(port));
      hashes.push_back(hash_of(frame));
    }
  }
  expect_even(hashes);
}

}  // namespace
}  // namespace test
