// Decode where the headers lie, end early or go on for ever; IPv6 extension headers; other link types.
#include <gtest/gtest.h>

#include <random>

#include "tests/decode/frames.h"
#include "tests/decode/guarded_frame.h"

namespace test {
namespace {

TEST(Hostile, StaysWithinEveryPrefixOfAFrame) {
  for (const Bytes& frame : sample_frames())
    for (std::size_t size = 0; size <= frame.size(); ++size)
      ASSERT_STREQ(broken_promise(decode_at_guard(cut(frame, size)), size), "");
}

TEST(Hostile, StaysWithinTheFrameWhateverOneByteSays) {
  for (const Bytes& frame : sample_frames()) {
    for (std::size_t at = 12; at < frame.size(); ++at) {
      for (unsigned value = 0; value < 256; ++value) {
        Bytes changed = frame;
        changed[at] = static_cast<std::uint8_t>(value);
        ASSERT_STREQ(broken_promise(decode_at_guard(changed), changed.size()), "");
      }
    }
  }
}

TEST(Hostile, StaysWithinRandomFramesOfEveryLinkType) {
  std::mt19937 random(7);
  for (int round = 0; round < 200000; ++round) {
    Bytes frame(random() % 200);
    for (auto& byte : frame) byte = static_cast<std::uint8_t>(random() % 3 ? random() : random() % 8);
    if (frame.size() > 20 && random() % 2 == 0) {
      frame[12] = random() % 2 ? 0x08 : 0x86;
      frame[13] = frame[12] == 0x08 ? 0x00 : 0xdd;
      frame[14] = frame[12] == 0x08 ? 0x40 | (random() % 16) : 0x60;
    }
    const auto link = static_cast<engine::LinkType>(random() % 6);
    ASSERT_STREQ(broken_promise(decode_at_guard(frame, link), frame.size()), "");
  }
}

TEST(Hostile, DecodesNothingOfAnIpv4HeaderThatIsTooShort) {
  for (const int ihl : {0, 1, 4}) {
    const engine_packet p = decode_at_guard(ethernet(0x0800) + ipv4({.ihl = ihl}, udp(1, 2, filled(9))));
    EXPECT_EQ(p.ip_version, 0);
    EXPECT_EQ(p.src4, 0u);
    EXPECT_EQ(p.l3_off, 0);
    EXPECT_EQ(p.payload_off, 14);
  }
}

TEST(Hostile, DecodesNothingOfAnIpv4TotalLengthBelowItsHeader) {
  const engine_packet p =
      decode_at_guard(ethernet(0x0800) + ipv4({.options = filled(8, 1), .total_bytes = 27}, udp(1, 2, filled(9))));
  EXPECT_EQ(p.ip_version, 0);
}

TEST(Hostile, TakesATotalLengthOfZeroForUntilTheEnd) {
  const engine_packet p = decode_at_guard(ethernet(0x0800) + ipv4({.total_bytes = 0}, udp(1, 2, filled(9))));
  EXPECT_EQ(p.payload_len, 9u);
  const engine_packet six = decode_at_guard(ethernet(0x86dd) + ipv6({.payload_bytes = 0}, udp(1, 2, filled(9))));
  EXPECT_EQ(six.payload_len, 9u);
}

TEST(Hostile, RefusesTheWrongVersionForTheEtherType) {
  EXPECT_EQ(decode_at_guard(ethernet(0x86dd) + ipv4({}, udp(1, 2, filled(30)))).ip_version, 0);
  EXPECT_EQ(decode_at_guard(ethernet(0x0800) + ipv6({}, udp(1, 2, filled(30)))).ip_version, 0);
}

TEST(Hostile, ReadsPortsOnlyWithinTheIpTotalLength) {
  // Behind the total length lies padding that looks like a UDP header.
  const engine_packet p = decode_at_guard(ethernet(0x0800) + ipv4({.total_bytes = 23}, udp(1, 2, filled(20))));
  EXPECT_EQ(p.src_port, 0);
  EXPECT_EQ(p.payload_len, 3u);
}

TEST(Hostile, ReadsPortsButNoMoreOfATcpHeaderThatIsTooShort) {
  const engine_packet p =
      decode_at_guard(ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 0x3f, filled(20), {}, /*data_offset=*/4)));
  EXPECT_EQ(p.src_port, 1);
  EXPECT_EQ(p.tcp_flags, 0);
  EXPECT_EQ(p.payload_off, 34);
}

TEST(Hostile, GivesNoPayloadToATcpHeaderThatEndsBehindTheSegment) {
  const engine_packet p =
      decode_at_guard(ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 0x3f, filled(4), {}, /*data_offset=*/15)));
  EXPECT_EQ(p.tcp_flags, 0x3f);
  EXPECT_EQ(p.payload_len, 0u);
}

TEST(Hostile, BoundsAUdpPayloadByBothLengths) {
  EXPECT_EQ(decode_at_guard(ethernet(0x0800) + ipv4({}, udp(1, 2, filled(20), 13))).payload_len, 5u);
  EXPECT_EQ(decode_at_guard(ethernet(0x0800) + ipv4({}, udp(1, 2, filled(20), 9999))).payload_len, 20u);
  EXPECT_EQ(decode_at_guard(ethernet(0x0800) + ipv4({}, udp(1, 2, filled(20), 7))).payload_off, 34);
}

TEST(Ipv6, WalksTheExtensionHeaders) {
  const engine_packet p =
      decode_at_guard(ethernet(0x86dd) + ipv6({.next = 0, .traffic_class = 0xb8, .hop_limit = 9},
                                              extension(43) + extension(60, 2) + extension(51, 1) + Bytes{135, 4} +
                                                  filled(22, 0) + extension(17) + udp(9, 10, filled(6))));
  EXPECT_EQ(p.ip_version, 6);
  EXPECT_EQ(p.tos, 0xb8);
  EXPECT_EQ(p.ttl, 9);
  EXPECT_EQ(p.proto, 17);
  EXPECT_EQ(p.src_port, 9);
  EXPECT_EQ(p.l4_off, 14 + 40 + 8 + 24 + 16 + 24 + 8 + 8 - 8);
  EXPECT_EQ(p.payload_len, 6u);
}

TEST(Ipv6, GivesUpAfterEightExtensionHeaders) {
  Bytes chain;
  for (int i = 0; i < 7; ++i) chain = chain + extension(60);
  const engine_packet eight =
      decode_at_guard(ethernet(0x86dd) + ipv6({.next = 60}, chain + extension(17) + udp(9, 10, {})));
  EXPECT_EQ(eight.src_port, 9);
  const engine_packet nine =
      decode_at_guard(ethernet(0x86dd) + ipv6({.next = 60}, chain + extension(60) + extension(17) + udp(9, 10, {})));
  EXPECT_EQ(nine.src_port, 0);
  EXPECT_EQ(nine.proto, 60);
  EXPECT_EQ(nine.l4_off, 0);
}

TEST(Ipv6, ReadsPortsFromTheFirstFragmentOnly) {
  const Bytes first = ipv6({.next = 44}, fragment_header(17, 1) + udp(9, 10, filled(16), 4000));
  const engine_packet p = decode_at_guard(ethernet(0x86dd) + first);
  EXPECT_TRUE(p.is_fragment);
  EXPECT_EQ(p.dst_port, 10);
  const engine_packet later =
      decode_at_guard(ethernet(0x86dd) + ipv6({.next = 44}, fragment_header(17, 24 << 3) + filled(16)));
  EXPECT_TRUE(later.is_fragment);
  EXPECT_EQ(later.proto, 17);
  EXPECT_EQ(later.dst_port, 0);
  EXPECT_EQ(later.payload_len, 16u);
}

TEST(Ipv6, TakesAnAtomicFragmentForAWholeDatagram) {
  const engine_packet p =
      decode_at_guard(ethernet(0x86dd) + ipv6({.next = 44}, fragment_header(17, 0) + udp(9, 10, {})));
  EXPECT_FALSE(p.is_fragment);
  EXPECT_EQ(p.src_port, 9);
}

TEST(LinkTypes, FindIpBehindEachKnownHeader) {
  const Bytes four = ipv4({}, udp(53, 99, filled(4))), six = ipv6({}, udp(53, 99, filled(4)));
  const Bytes cooked = be16(0) + be16(1) + be16(6) + filled(8, 0);
  const Bytes cooked2 = be16(0) + be32(2) + be16(1) + Bytes{0, 6} + filled(8, 0);
  using engine::LinkType;
  const std::vector<std::pair<LinkType, Bytes>> cases = {
      {LinkType::linux_cooked, cooked + be16(0x0800) + four},
      {LinkType::linux_cooked, cooked + be16(0x8100) + vlan_tag(5, 0x86dd) + six},
      {LinkType::linux_cooked2, be16(0x86dd) + cooked2 + six},
      {LinkType::ip, four},
      {LinkType::ip, six},
      {LinkType::loopback, be32(2) + four},
      {LinkType::loopback, Bytes{2, 0, 0, 0} + four},
      {LinkType::loopback, Bytes{30, 0, 0, 0} + six}};
  for (const auto& [link, frame] : cases) {
    const engine_packet p = decode_at_guard(frame, link);
    EXPECT_EQ(p.src_port, 53) << static_cast<int>(link);
    EXPECT_EQ(p.eth_type, p.ip_version == 4 ? 0x0800 : 0x86dd);
    EXPECT_EQ(p.payload_len, 4u);
  }
}

TEST(LinkTypes, GiveLengthsOnlyWhereTheHeaderIsNotKnown) {
  const engine_packet p = decode_at_guard(ipv4({}, udp(53, 99, filled(4))), engine::LinkType::other);
  EXPECT_EQ(p.ip_version, 0);
  EXPECT_EQ(p.eth_type, 0);
  EXPECT_EQ(p.payload_len, 32u);
}

}  // namespace
}  // namespace test
