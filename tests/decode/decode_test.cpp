// Decode over Ethernet: what each kind of frame gives. Every frame ends at an unreadable page.
#include "engine/decode/decode.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>

#include "tests/decode/frames.h"
#include "tests/decode/guarded_frame.h"

namespace test {
namespace {

TEST(Decode, FillsEveryFieldOfATcpSegment) {
  const Bytes frame = ethernet(0x0800) + ipv4({.proto = 6, .tos = 0x2e, .ttl = 57}, tcp(443, 50000, 0x18, filled(10)));
  const engine_packet p = decode_at_guard(frame);
  EXPECT_EQ(p.eth_type, 0x0800);
  EXPECT_EQ(p.ip_version, 4);
  EXPECT_EQ(p.proto, 6);
  EXPECT_EQ(p.tos, 0x2e);
  EXPECT_EQ(p.ttl, 57);
  EXPECT_EQ(p.src4, 0x0a000001u);
  EXPECT_EQ(p.dst4, 0x0a000002u);
  EXPECT_EQ(p.src_port, 443);
  EXPECT_EQ(p.dst_port, 50000);
  EXPECT_EQ(p.tcp_seq, 0x01020304u);
  EXPECT_EQ(p.tcp_ack, 0x05060708u);
  EXPECT_EQ(p.tcp_flags, 0x18);
  EXPECT_EQ(p.tcp_window, 0xfaf0);
  EXPECT_EQ(p.l3_off, 14);
  EXPECT_EQ(p.l4_off, 34);
  EXPECT_EQ(p.payload_off, 54);
  EXPECT_EQ(p.payload_len, 10u);
  EXPECT_FALSE(p.is_fragment);
  EXPECT_NE(p.hash, 0u);
}

TEST(Decode, WritesIpv4AddressesAsMappedInNetworkOrder) {
  const engine_packet p = decode_at_guard(ethernet(0x0800) + ipv4({.src = 0xc0a80163}, udp(1, 2, {})));
  const auto bytes = std::bit_cast<std::array<std::uint8_t, 16>>(p.src);
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 99}));
}

TEST(Decode, LeavesNoByteOfThePacketAsItWas) {
  // The packet is full of 0xaa before; nothing that a short frame does not tell may keep it.
  const engine_packet zero{};
  const engine_packet p = decode_at_guard(filled(5));
  engine_packet expected = zero;
  expected.payload_len = 5;
  EXPECT_EQ(std::memcmp(&p, &expected, sizeof p), 0);
}

TEST(Decode, LeavesTheCallersFieldsZero) {
  const engine_packet p = decode_at_guard(ethernet(0x0800) + ipv4({}, udp(1, 2, {})));
  EXPECT_EQ(p.time, 0);
  EXPECT_EQ(p._place, 0);
  EXPECT_EQ(p._off, 0u);
  EXPECT_EQ(p.len, 0u);
  EXPECT_EQ(p.caplen, 0u);
  EXPECT_EQ(p.queue, 0);
  EXPECT_EQ(p.rss_hash, 0u);
  EXPECT_EQ(p._ts_source, 0);
}

TEST(Decode, ReadsOneAndTwoVlanTagsOfAllThreeTypes) {
  const Bytes inner = ipv4({}, udp(53, 99, filled(4)));
  for (const unsigned outer : {0x8100u, 0x88a8u, 0x9100u}) {
    const engine_packet one = decode_at_guard(ethernet(outer) + vlan_tag(0xe123, 0x0800) + inner);
    EXPECT_EQ(one.vlan, 0x123);  // without priority and DEI
    EXPECT_EQ(one.inner_vlan, 0);
    EXPECT_EQ(one.src_port, 53);
    const engine_packet two = decode_at_guard(ethernet(outer) + vlan_tag(7, 0x8100) + vlan_tag(0x2008, 0x0800) + inner);
    EXPECT_EQ(two.vlan, 7);
    EXPECT_EQ(two.inner_vlan, 8);
    EXPECT_EQ(two.eth_type, 0x0800);
    EXPECT_EQ(two.l3_off, 22);
    EXPECT_EQ(two.dst_port, 99);
  }
}

TEST(Decode, StopsAtAThirdVlanTag) {
  const engine_packet p = decode_at_guard(ethernet(0x8100) + vlan_tag(1, 0x8100) + vlan_tag(2, 0x8100) +
                                          vlan_tag(3, 0x0800) + ipv4({}, udp(1, 2, {})));
  EXPECT_EQ(p.inner_vlan, 2);
  EXPECT_EQ(p.eth_type, 0x8100);
  EXPECT_EQ(p.ip_version, 0);
  EXPECT_EQ(p.payload_off, 22);
}

TEST(Decode, PassesOverIpv4Options) {
  const engine_packet p = decode_at_guard(ethernet(0x0800) + ipv4({.options = filled(40, 1)}, udp(5, 6, filled(3))));
  EXPECT_EQ(p.l4_off, 14 + 60);
  EXPECT_EQ(p.src_port, 5);
  EXPECT_EQ(p.payload_len, 3u);
}

TEST(Decode, DoesNotCountEthernetPaddingAsPayload) {
  const engine_packet p = decode_at_guard(cut(ethernet(0x0800) + ipv4({}, udp(5, 6, filled(2))), 60));
  EXPECT_EQ(p.payload_len, 2u);
  const engine_packet bare_ack = decode_at_guard(cut(ethernet(0x0800) + ipv4({.proto = 6}, tcp(5, 6, 0x10, {})), 60));
  EXPECT_EQ(bare_ack.payload_len, 0u);
  EXPECT_EQ(bare_ack.payload_off, 54);
}

TEST(Decode, ReadsNoPortsFromALaterFragment) {
  const engine_packet p = decode_at_guard(ethernet(0x0800) + ipv4({.fragment = 0x2001}, filled(32)));
  EXPECT_TRUE(p.is_fragment);
  EXPECT_EQ(p.proto, 17);
  EXPECT_EQ(p.src_port, 0);
  EXPECT_EQ(p.l4_off, 0);
  EXPECT_EQ(p.payload_off, 34);
  EXPECT_EQ(p.payload_len, 32u);
}

TEST(Decode, ReadsPortsFromAFirstFragment) {
  const engine_packet p = decode_at_guard(ethernet(0x0800) + ipv4({.fragment = 0x2000}, udp(7, 8, filled(32), 5000)));
  EXPECT_TRUE(p.is_fragment);
  EXPECT_EQ(p.src_port, 7);
  EXPECT_EQ(p.payload_len, 32u);
}

TEST(Decode, DoesNotTakeDontFragmentForAFragment) {
  EXPECT_FALSE(decode_at_guard(ethernet(0x0800) + ipv4({.fragment = 0x4000}, udp(7, 8, {}))).is_fragment);
}

TEST(Decode, ReadsIcmpTypeAndCode) {
  const engine_packet p = decode_at_guard(ethernet(0x0800) + ipv4({.proto = 1}, icmp(3, 13, filled(28))));
  EXPECT_EQ(p.icmp_type, 3);
  EXPECT_EQ(p.icmp_code, 13);
  EXPECT_EQ(p.payload_len, 28u);
  const engine_packet six = decode_at_guard(ethernet(0x86dd) + ipv6({.next = 58}, icmp(135, 0, filled(24))));
  EXPECT_EQ(six.icmp_type, 135);
  EXPECT_EQ(six.payload_off, 14 + 40 + 8);
}

TEST(Decode, ReadsSctpAndUdpLitePorts) {
  const engine_packet sctp =
      decode_at_guard(ethernet(0x0800) + ipv4({.proto = 132}, be16(38412) + be16(38413) + filled(12)));
  EXPECT_EQ(sctp.src_port, 38412);
  EXPECT_EQ(sctp.payload_len, 4u);
  const engine_packet lite = decode_at_guard(ethernet(0x0800) + ipv4({.proto = 136}, udp(1, 2, filled(9), 8)));
  EXPECT_EQ(lite.dst_port, 2);
  EXPECT_EQ(lite.payload_len, 9u);
}

TEST(Decode, GivesLengthsAndOffsetsForOtherTransports) {
  const engine_packet p = decode_at_guard(ethernet(0x0800) + ipv4({.proto = 47}, filled(30)));
  EXPECT_EQ(p.proto, 47);
  EXPECT_EQ(p.src_port, 0);
  EXPECT_EQ(p.l4_off, 34);
  EXPECT_EQ(p.payload_off, 34);
  EXPECT_EQ(p.payload_len, 30u);
}

TEST(Decode, GivesTypeAndLengthForOtherEtherTypes) {
  const engine_packet p = decode_at_guard(ethernet(0x0806) + filled(46, 0));
  EXPECT_EQ(p.eth_type, 0x0806);
  EXPECT_EQ(p.ip_version, 0);
  EXPECT_EQ(p.hash, 0u);
  EXPECT_EQ(p.payload_off, 14);
  EXPECT_EQ(p.payload_len, 46u);
}

TEST(Decode, TakesASmallTypeFor8023LengthWithoutPadding) {
  const engine_packet p = decode_at_guard(ethernet(38) + filled(46, 0x42));
  EXPECT_EQ(p.eth_type, 0);
  EXPECT_EQ(p.payload_len, 38u);
}

TEST(DecodeBatch, FillsOffsetsAndLengthsForAnyCount) {
  Bytes memory = filled(4096, 0);
  std::vector<engine::FrameSpan> spans;
  for (std::uint32_t i = 0; i < 20; ++i) {
    const Bytes frame = ethernet(0x0800) + ipv4({}, udp(1000 + i, 2, filled(i)));
    const std::uint64_t offset = 100 * i;
    std::copy(frame.begin(), frame.end(), memory.begin() + static_cast<std::ptrdiff_t>(offset));
    spans.push_back({offset, static_cast<std::uint32_t>(frame.size()), i == 3 ? 1500u : 0u});
  }
  for (std::uint32_t count = 0; count <= spans.size(); ++count) {
    std::vector<engine_packet> packets(spans.size() + 1);
    engine::decode_batch(
        count, memory.data(), [&](std::uint32_t i) { return spans[i]; }, packets.data());
    for (std::uint32_t i = 0; i < count; ++i) {
      EXPECT_EQ(packets[i].src_port, 1000 + i);
      EXPECT_EQ(packets[i]._off, 100 * i);
      EXPECT_EQ(packets[i].caplen, spans[i].caplen);
      EXPECT_EQ(packets[i].len, i == 3 ? 1500u : spans[i].caplen);
    }
    EXPECT_EQ(packets[count].src_port, 0);
  }
}

}  // namespace
}  // namespace test
