// Frames of every kind, size and tagging, read back by an independent reader.
#include "engine/gen/frame.h"

#include <gtest/gtest.h>

#include <cstring>

#include "engine/gen/checksum.h"
#include "engine/gen/dns.h"
#include "engine/gen/traffic.h"
#include "tests/gen/independent.h"

namespace engine::gen::test {
namespace {

constexpr Kind all_kinds[] = {Kind::udp4,  Kind::udp6,  Kind::tcp4, Kind::tcp6,
                              Kind::icmp4, Kind::icmp6, Kind::dns4, Kind::dns6};
constexpr std::uint8_t protos[] = {17, 17, 6, 6, 1, 58, 17, 17};

std::vector<std::byte> packet_of(const FrameTemplate& frame, const Variation& variation) {
  std::vector<std::byte> bytes = frame.bytes;
  patch(frame.layout, variation, bytes.data());
  return bytes;
}

TEST(Frame, ReadsBackRightInEveryKindSizeAndTagging) {
  for (Kind kind : all_kinds) {
    if (is_dns(kind)) continue;
    for (const VlanTags vlans : {VlanTags{}, VlanTags{10, 0}, VlanTags{100, 4094}}) {
      for (std::uint16_t size : {60, 61, 64, 83, 590, 1514, 3506}) {
        const FrameTemplate frame = build_frame({}, kind, vlans, size);
        for (std::uint32_t flow : {0U, 1U, 254U, 65535U, 999'999U, max_flows - 1}) {
          const auto bytes = packet_of(frame, {flow, 77, 0x0102030405060708, 0x1112131415161718});
          const Seen seen = read_packet(bytes);
          ASSERT_EQ(seen.fault, "") << name_of(kind) << " of " << size << ", flow " << flow;
          EXPECT_GE(bytes.size(), size);
          EXPECT_EQ(seen.proto, protos[static_cast<std::size_t>(kind)]);
          EXPECT_EQ(seen.ip_version, is_ipv6(kind) ? 6 : 4);
          EXPECT_EQ(seen.source_low, (is_ipv6(kind) ? 1U : 0x0a000001U) + flow);
          EXPECT_EQ(seen.source_port, 1024 + flow % 64512);
          EXPECT_EQ(seen.vlans.size(), (vlans[0] != 0) + (vlans[1] != 0));
          if (!seen.vlans.empty()) {
            EXPECT_EQ(seen.vlans[0], vlans[0]);
          }
          if (seen.payload.size() >= stamp_bytes) {
            EXPECT_EQ(number(seen.payload, 0, 8), 0x0102030405060708U);
            EXPECT_EQ(number(seen.payload, 8, 8), 0x1112131415161718U);
          }
          EXPECT_EQ(frame.stamped(), seen.payload.size() >= stamp_bytes);
        }
      }
    }
  }
}

TEST(Frame, HasTheAddressesAndThePortAskedFor) {
  TrafficSpec spec;
  spec.source4 = parse_ipv4("192.0.2.250");
  spec.destination4 = parse_ipv4("203.0.113.9");
  spec.source6 = parse_ipv6("2001:db8::ff:fffe");
  spec.destination6 = parse_ipv6("2001:db8:1::2");
  spec.destination_port = 5555;
  for (Kind kind : {Kind::udp4, Kind::tcp4, Kind::udp6, Kind::tcp6}) {
    const auto bytes = packet_of(build_frame(spec, kind, {}, 100), {3, 0, 1, 2});
    const Seen seen = read_packet(bytes);
    EXPECT_EQ(seen.fault, "");
    EXPECT_EQ(seen.source_low, is_ipv6(kind) ? 0x01000001U : 0xc00002fdU);
    EXPECT_EQ(seen.destination_low, is_ipv6(kind) ? 2U : 0xcb007109U);
    EXPECT_EQ(seen.destination_port, 5555);
  }
  EXPECT_EQ(read_packet(packet_of(build_dns_frame(spec, Kind::dns4, {}, 0, false), {})).destination_port, 53);
}

TEST(Frame, IsAsLongAsAskedForOrAsItsHeaders) {
  EXPECT_EQ(build_frame({}, Kind::udp4, {}, 64).bytes.size(), 64U);
  EXPECT_EQ(build_frame({}, Kind::udp6, {}, 60).bytes.size(), 62U);
  EXPECT_EQ(build_frame({}, Kind::tcp6, {}, 60).bytes.size(), 74U);
  EXPECT_EQ(build_frame({}, Kind::tcp6, {5, 6}, 60).bytes.size(), 82U);
}

TEST(Frame, HasNoStampWhereSixteenBytesDoNotFit) {
  EXPECT_TRUE(build_frame({}, Kind::udp4, {}, 60).stamped());       // 42 bytes of headers
  EXPECT_FALSE(build_frame({}, Kind::udp4, {7, 0}, 61).stamped());  // 46
  EXPECT_TRUE(build_frame({}, Kind::udp4, {7, 0}, 62).stamped());
  EXPECT_FALSE(build_frame({}, Kind::tcp4, {}, 69).stamped());
  EXPECT_TRUE(build_frame({}, Kind::tcp4, {}, 70).stamped());
}

TEST(Frame, UdpNeverGoesWithoutAChecksum) {
  // Among 200,000 flows some sum to zero; 0 would mean "none" and is not allowed in IPv6 (RFC 8200 section 8.1).
  const FrameTemplate frame = build_frame({}, Kind::udp6, {}, 62);
  std::vector<std::byte> bytes = frame.bytes;
  std::size_t all_ones = 0;
  for (std::uint32_t flow = 0; flow < 200'000; ++flow) {
    patch(frame.layout, {flow, 0, 0, 0}, bytes.data());
    const std::uint64_t check = number(bytes, frame.layout.transport_check_off, 2);
    ASSERT_NE(check, 0U);
    all_ones += check == 0xffff;
  }
  EXPECT_GT(all_ones, 0U);
}

// Reads a name that is not compressed, and advances.
std::string read_name(std::span<const std::byte> message, std::size_t& at) {
  std::string name;
  for (std::uint64_t length; (length = number(message, at++, 1)) != 0; at += length) {
    if (!name.empty()) name += '.';
    name.append(reinterpret_cast<const char*>(message.data()) + at, length);
  }
  return name;
}

TEST(Dns, QueriesAndResponsesAreWholeMessagesAboutTheSameName) {
  for (Kind kind : {Kind::dns4, Kind::dns6}) {
    for (std::size_t i = 0; i < dns_name_count; ++i) {
      std::string names[2];
      for (bool response : {false, true}) {
        const auto bytes = packet_of(build_dns_frame({}, kind, {}, i, response), {5, 4242, 9, 9});
        const Seen seen = read_packet(bytes);
        ASSERT_EQ(seen.fault, "");
        EXPECT_EQ(response ? seen.source_port : seen.destination_port, 53);
        EXPECT_EQ(response ? seen.destination_port : seen.source_port, 1024 + 5);
        EXPECT_EQ(number(seen.payload, 0, 2), 4242U);
        EXPECT_EQ(number(seen.payload, 2, 2) >> 15, response);
        EXPECT_EQ(number(seen.payload, 4, 2), 1U);
        std::size_t at = 12;
        names[response] = read_name(seen.payload, at);
        const std::uint64_t type = number(seen.payload, at, 2);
        at += 4;
        if (number(seen.payload, 6, 2) == 1) {
          EXPECT_EQ(number(seen.payload, at, 2), 0xc00cU);
          EXPECT_EQ(number(seen.payload, at + 2, 2), type);
          EXPECT_EQ(number(seen.payload, at + 10, 2), type == 1 ? 4U : 16U);
          at += 12 + number(seen.payload, at + 10, 2);
        }
        EXPECT_EQ(at, seen.payload.size());
      }
      EXPECT_EQ(names[0], names[1]);
      EXPECT_NE(names[0].find("example"), std::string::npos);
    }
  }
}

TEST(Checksum, FoldsWhatAPlainSumFolds) {
  std::vector<std::byte> bytes;
  for (int i = 0; i < 3001; ++i) bytes.push_back(static_cast<std::byte>(mix64(static_cast<std::uint64_t>(i))));
  for (std::size_t length : {0U, 1U, 2U, 3U, 40U, 3001U}) {
    std::uint32_t plain = 0;
    for (std::size_t i = 0; i < length; ++i) {
      plain += std::to_integer<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
      plain = (plain & 0xffff) + (plain >> 16);
    }
    const std::uint16_t check = finish(sum_bytes(std::span(bytes).first(length)));
    std::byte stored[2];
    std::memcpy(stored, &check, 2);
    EXPECT_EQ(number(stored, 0, 2), static_cast<std::uint16_t>(~plain)) << length;
  }
}

}  // namespace
}  // namespace engine::gen::test
