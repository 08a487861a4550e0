// Ethernet, ARP, IP, TCP and ICMP headers, well-formed and hostile. Each frame ends at an unreadable page.
#include <gtest/gtest.h>

#include "tests/plugins/protocol_lab.h"

namespace test {
namespace {

const engine_protocol_natives& natives() { return plugins::protocol_natives(); }

template <typename Object>
using Parse = bool (*engine_protocol_natives::*)(Object*, const engine_cell*, const engine_packet*);

template <typename Object>
struct Parsed : Object {
  Parsed(Parse<Object> parse, const Bytes& frame, engine::LinkType link = engine::LinkType::ethernet)
      : from(frame, link) {
    std::memset(static_cast<void*>(static_cast<Object*>(this)), 0xaa, sizeof(Object));
    is_one = (natives().*parse)(this, &from.cell, &from.packet);
  }
  GuardedFrame from;
  bool is_one;
};

auto eth(const Bytes& frame, engine::LinkType link = engine::LinkType::ethernet) {
  return Parsed<engine_eth>(&engine_protocol_natives::eth, frame, link);
}
auto arp(const Bytes& frame) { return Parsed<engine_arp>(&engine_protocol_natives::arp, frame); }
auto ip(const Bytes& frame) { return Parsed<engine_ip>(&engine_protocol_natives::ip, frame); }
auto tcp_of(const Bytes& frame) { return Parsed<engine_tcp>(&engine_protocol_natives::tcp, frame); }
auto icmp_of(const Bytes& frame) { return Parsed<engine_icmp>(&engine_protocol_natives::icmp, frame); }

TEST(Eth, ReadsTypeAndTags) {
  const auto plain = eth(ethernet(0x0800) + ipv4({}, udp(1, 2, {})));
  ASSERT_TRUE(plain.is_one);
  EXPECT_EQ(plain._type, 0x0800);
  EXPECT_EQ(plain._vlan_tags, 0);
  const auto tagged = eth(ethernet(0x88a8) + vlan_tag(0xa064, 0x8100) + vlan_tag(7, 0x86dd) + ipv6({}, udp(1, 2, {})));
  ASSERT_TRUE(tagged.is_one);
  EXPECT_EQ(tagged._type, 0x86dd);
  EXPECT_EQ(tagged._vlan_tags, 2);
  EXPECT_EQ(tagged._vlan, 100);
  EXPECT_EQ(tagged._inner_vlan, 7);
  EXPECT_EQ(tagged._priority, 5);
  const auto priority = eth(ethernet(0x8100) + vlan_tag(0x6000, 0x0806) + filled(28));
  EXPECT_EQ(priority._vlan_tags, 1) << "priority-tagged: VLAN 0";
  EXPECT_EQ(priority._priority, 3);
  const auto length = eth(ethernet(46) + filled(46));
  ASSERT_TRUE(length.is_one);
  EXPECT_EQ(length._type, 0) << "802.3";
  char text[17];
  natives().mac_text(length.from.cell.frames + length._off + 6, text);
  EXPECT_EQ(std::string(text, 17), "02:00:00:00:00:01");
}

TEST(Eth, IsNoneOnOtherLinks) {
  EXPECT_FALSE(eth(cut(ethernet(0x0800), 13)).is_one);
  EXPECT_FALSE(eth(ipv4({}, udp(1, 2, filled(40))), engine::LinkType::ip).is_one);
  EXPECT_FALSE(eth(filled(14, 0) + be16(0x0800) + ipv4({}, udp(1, 2, {})), engine::LinkType::linux_cooked).is_one);
  EXPECT_FALSE(eth(filled(60), engine::LinkType::other).is_one);
}

Bytes arp_message(unsigned op) {
  return be16(1) + be16(0x0800) + Bytes{6, 4} + be16(op) + Bytes{2, 0, 0, 0, 0, 1} + be32(0x0a000001) + filled(6, 0) +
         be32(0x0a000002);
}

TEST(Arp, ReadsWhoAsksForWhom) {
  const auto request = arp(ethernet(0x0806) + arp_message(1) + filled(18, 0));
  ASSERT_TRUE(request.is_one);
  EXPECT_EQ(request._op, 1);
  EXPECT_EQ(text_of(request._sender), "10.0.0.1");
  EXPECT_EQ(text_of(request._target), "10.0.0.2");
  EXPECT_TRUE(arp(ethernet(0x8100) + vlan_tag(5, 0x0806) + arp_message(2)).is_one);
  EXPECT_FALSE(arp(ethernet(0x0806) + cut(arp_message(1), 27)).is_one);
  Bytes other = arp_message(1);
  other[4] = 8;
  EXPECT_FALSE(arp(ethernet(0x0806) + other).is_one) << "addresses of 8 bytes";
  EXPECT_FALSE(arp(ethernet(0x0800) + arp_message(1)).is_one);
}

TEST(Ip, ReadsVersion4) {
  Bytes frame =
      ethernet(0x0800) + ipv4({.proto = 6, .fragment = 0x4000, .options = filled(4, 1), .tos = 0xb9}, tcp(1, 2, 2, {}));
  const auto header = ip(frame);
  ASSERT_TRUE(header.is_one);
  EXPECT_EQ(header._version, 4);
  EXPECT_EQ(header._header_len, 24);
  EXPECT_EQ(header._total_len, 44u);
  EXPECT_EQ(header._tos, 0xb9);
  EXPECT_EQ(header._id, 1u);
  EXPECT_TRUE(header._df);
  EXPECT_FALSE(header._mf);
  EXPECT_EQ(header._proto, 6);
  EXPECT_EQ(text_of(header._src), "10.0.0.1");
  const auto fragment = ip(ethernet(0x0800) + ipv4({.fragment = 0x2003}, filled(16)));
  EXPECT_TRUE(fragment._mf);
  EXPECT_EQ(fragment._fragment_off, 24);
}

TEST(Ip, ReadsVersion6AndItsFragmentHeader) {
  const auto plain = ip(ethernet(0x86dd) + ipv6({.next = 17, .hop_limit = 3}, udp(1, 2, {})));
  ASSERT_TRUE(plain.is_one);
  EXPECT_EQ(plain._version, 6);
  EXPECT_EQ(plain._header_len, 40);
  EXPECT_EQ(plain._total_len, 48u);
  EXPECT_EQ(plain._ttl, 3);
  EXPECT_FALSE(plain._has_id);
  EXPECT_EQ(text_of(plain._dst), "2001:db8::2");
  const auto fragment = ip(
      ethernet(0x86dd) + ipv6({.next = 0}, extension(60) + extension(44, 2) + fragment_header(17, 0x0b9) + filled(20)));
  ASSERT_TRUE(fragment.is_one);
  EXPECT_TRUE(fragment._has_hop_by_hop);
  EXPECT_EQ(fragment._next_header, 0);
  EXPECT_TRUE(fragment._has_id);
  EXPECT_EQ(fragment._id, 0x1234u);
  EXPECT_TRUE(fragment._mf);
  EXPECT_EQ(fragment._fragment_off, 0xb8);
  EXPECT_TRUE(ip(ethernet(0x86dd) + ipv6({.next = 0, .payload_bytes = 200}, Bytes{44, 200})).is_one);
  EXPECT_FALSE(ip(ethernet(0x86dd) + cut(ipv6({}, {}), 39)).is_one);
  EXPECT_FALSE(ip(ethernet(0x0806) + filled(28)).is_one);
}

TEST(Tcp, ReadsTheOptionsOfASyn) {
  const Bytes options = Bytes{2, 4} + be16(1460) + Bytes{4, 2, 8, 10} + be32(0xfffffffe) + be32(7) + Bytes{1, 3, 3, 9};
  const auto syn = tcp_of(ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 0xc2, filled(5), options)));
  ASSERT_TRUE(syn.is_one);
  EXPECT_EQ(syn._seq, 0x01020304u);
  EXPECT_EQ(syn._ack, 0x05060708u);
  EXPECT_EQ(syn._flags, 0xc2);
  EXPECT_EQ(syn._window, 0xfaf0);
  EXPECT_EQ(syn._header_len, 40);
  EXPECT_EQ(syn._payload_len, 5u);
  EXPECT_TRUE(syn._has_mss);
  EXPECT_EQ(syn._mss, 1460);
  EXPECT_TRUE(syn._has_window_scale);
  EXPECT_EQ(syn._window_scale, 9);
  EXPECT_TRUE(syn._sack_permitted);
  EXPECT_TRUE(syn._has_ts);
  EXPECT_EQ(syn._ts_val, 0xfffffffeu);
  EXPECT_EQ(syn._ts_ecr, 7u);
}

TEST(Tcp, StopsAtABrokenOption) {
  const auto read = [](const Bytes& options) {
    return tcp_of(ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 2, {}, options)));
  };
  EXPECT_FALSE(read(Bytes{2, 0} + be16(1460))._has_mss) << "length 0: no endless loop";
  EXPECT_FALSE(read(Bytes{2, 1} + be16(1460))._has_mss);
  EXPECT_FALSE(read(Bytes{1, 1, 2, 4})._has_mss) << "beyond the header";
  EXPECT_FALSE(read(Bytes{0, 2, 4, 5, 6, 0, 0, 0})._has_mss) << "behind the end of the list";
  EXPECT_FALSE(read(Bytes{3, 4, 9, 9})._has_window_scale) << "a length that the kind has not";
  EXPECT_FALSE(read(Bytes{1, 1, 1, 2})._has_mss);
  EXPECT_TRUE(read(Bytes{99, 4, 0, 0, 2, 4, 5, 6})._has_mss) << "behind an unknown one";
  EXPECT_EQ(read(Bytes{1, 1, 5, 18} + filled(16))._sack_blocks, 2);
  const auto none = read({});
  EXPECT_TRUE(none.is_one);
  EXPECT_FALSE(none._has_mss || none._has_ts || none._has_window_scale || none._sack_permitted);
}

TEST(Tcp, IsNoneWithoutAWholeHeader) {
  const Bytes frame = ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 2, {}));
  EXPECT_TRUE(tcp_of(frame).is_one);
  EXPECT_FALSE(tcp_of(cut(frame, frame.size() - 1)).is_one);
  EXPECT_FALSE(tcp_of(ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 2, {}, {}, 4))).is_one) << "a header of 16 bytes";
  EXPECT_FALSE(tcp_of(ethernet(0x0800) + ipv4({.proto = 6, .fragment = 1}, filled(40))).is_one);
  EXPECT_FALSE(tcp_of(udp4(1, 2, filled(20))).is_one);
  // The options' end was not captured: those that were are read.
  const Bytes syn = ethernet(0x0800) + ipv4({.proto = 6}, tcp(1, 2, 2, {}, Bytes{2, 4, 5, 6, 3, 3, 9, 0}));
  const auto cut_syn = tcp_of(cut(syn, syn.size() - 4));
  ASSERT_TRUE(cut_syn.is_one);
  EXPECT_TRUE(cut_syn._has_mss);
  EXPECT_FALSE(cut_syn._has_window_scale);
}

TEST(Icmp, ReadsAnEcho) {
  const auto echo = icmp_of(ethernet(0x0800) + ipv4({.proto = 1}, icmp(8, 0, filled(20))));
  ASSERT_TRUE(echo.is_one);
  EXPECT_EQ(echo._type, 8);
  EXPECT_TRUE(echo._has_id);
  EXPECT_EQ(echo._id, 1);
  EXPECT_EQ(echo._sequence, 2);
  EXPECT_FALSE(echo._is_error || echo._has_inner || echo._has_mtu || echo._has_target);
  EXPECT_EQ(icmp_of(ethernet(0x86dd) + ipv6({.next = 58}, icmp(129, 0, {})))._sequence, 2);
  EXPECT_FALSE(icmp_of(ethernet(0x0800) + ipv4({.proto = 1}, cut(icmp(8, 0, {}), 7))).is_one);
  EXPECT_FALSE(icmp_of(ethernet(0x0800) + ipv4({.proto = 58}, icmp(128, 0, {}))).is_one) << "ICMPv6 in IPv4";
  EXPECT_FALSE(icmp_of(ethernet(0x86dd) + ipv6({.next = 1}, icmp(8, 0, {}))).is_one);
  // What Ethernet pads is no part of the message.
  const auto padded = icmp_of(ethernet(0x0800) + ipv4({.proto = 1}, icmp(3, 1, {})) + ipv4({}, udp(1, 2, {})));
  ASSERT_TRUE(padded.is_one);
  EXPECT_FALSE(padded._has_inner);
}

TEST(Icmp, SaysWhatAnErrorIsAbout) {
  const Bytes inner = ipv4({.src = 0xc0000201, .dst = 0xc0000202, .options = filled(4, 1)}, udp(1000, 53, {}));
  const auto error = icmp_of(ethernet(0x0800) + ipv4({.proto = 1}, icmp(3, 4, inner)));
  ASSERT_TRUE(error.is_one);
  EXPECT_TRUE(error._is_error && error._has_inner && error._has_inner_ports && error._has_mtu);
  EXPECT_FALSE(error._has_id);
  EXPECT_EQ(text_of(error._inner_src), "192.0.2.1");
  EXPECT_EQ(text_of(error._inner_dst), "192.0.2.2");
  EXPECT_EQ(error._inner_proto, 17);
  EXPECT_EQ(error._inner_src_port, 1000);
  EXPECT_EQ(error._inner_dst_port, 53);
  EXPECT_EQ(error._mtu, 2u);
  const auto redirect = icmp_of(ethernet(0x0800) + ipv4({.proto = 1}, icmp(5, 1, ipv4({.fragment = 9}, filled(8)))));
  EXPECT_EQ(text_of(redirect._target), "0.1.0.2");
  EXPECT_TRUE(redirect._has_inner);
  EXPECT_FALSE(redirect._has_inner_ports) << "of a later fragment";
  const Bytes inner6 = ipv6({.next = 0, .src_last = 7}, extension(44) + fragment_header(6, 1) + tcp(5, 6, 2, {}));
  const auto too_big = icmp_of(ethernet(0x86dd) + ipv6({.next = 58}, icmp(2, 0, inner6)));
  ASSERT_TRUE(too_big.is_one);
  EXPECT_EQ(too_big._mtu, 0x00010002u);
  EXPECT_EQ(text_of(too_big._inner_src), "2001:db8::7");
  EXPECT_EQ(too_big._inner_proto, 6);
  EXPECT_EQ(too_big._inner_dst_port, 6);
  const auto neighbour = icmp_of(ethernet(0x86dd) + ipv6({.next = 58}, icmp(135, 0, ip6_address(5))));
  EXPECT_TRUE(neighbour._has_target);
  EXPECT_EQ(text_of(neighbour._target), "2001:db8::5");
}

TEST(Icmp, ReadsAnInnerPacketAsFarAsItGoes) {
  const Bytes inner = ipv4({.proto = 6}, tcp(1, 2, 2, {}));
  const Bytes inner6 = ipv6({.next = 0}, extension(43) + extension(6) + tcp(1, 2, 2, {}));
  for (std::size_t size = 0; size <= inner.size(); ++size) {
    const auto error = icmp_of(ethernet(0x0800) + ipv4({.proto = 1}, icmp(11, 0, cut(inner, size))));
    ASSERT_TRUE(error.is_one);
    EXPECT_EQ(error._has_inner, size >= 20);
    EXPECT_EQ(error._has_inner_ports, size >= 24);
  }
  for (std::size_t size = 0; size <= inner6.size(); ++size) {
    const auto error = icmp_of(ethernet(0x86dd) + ipv6({.next = 58}, icmp(3, 0, cut(inner6, size))));
    ASSERT_TRUE(error.is_one);
    EXPECT_EQ(error._has_inner, size >= 40);
    EXPECT_EQ(error._has_inner_ports, size >= 60);
  }
}

}  // namespace
}  // namespace test
