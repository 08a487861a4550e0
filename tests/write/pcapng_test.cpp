// The bytes of blocks, against the format's description (draft-ietf-opsawg-pcapng).
#include "engine/write/pcapng.h"

#include <gtest/gtest.h>

#include "tests/write/blocks.h"

namespace {

using namespace engine;
using namespace write_test;

std::string text_of(const pcapng::Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

Block only_block(const pcapng::Bytes& bytes) {
  const auto blocks = blocks_of(text_of(bytes));
  EXPECT_TRUE(blocks && blocks->size() == 1);
  return blocks && !blocks->empty() ? blocks->front() : Block{};
}

TEST(Pcapng, ASectionTellsByteOrderVersionAndWhoWroteIt) {
  pcapng::Bytes bytes;
  pcapng::append_section(bytes, {"x86_64", "Linux 6.1", "engine 9"});
  const Block block = only_block(bytes);
  EXPECT_EQ(block.type, 0x0a0d0d0au);
  EXPECT_EQ(number_at<std::uint32_t>(block.body, 0), 0x1a2b3c4du);
  EXPECT_EQ(number_at<std::uint16_t>(block.body, 4), 1);
  EXPECT_EQ(number_at<std::uint16_t>(block.body, 6), 0);
  EXPECT_EQ(number_at<std::int64_t>(block.body, 8), -1);
  const auto options = options_of(block.body, 16);
  EXPECT_EQ(options.find(2)->second, "x86_64");
  EXPECT_EQ(options.find(3)->second, "Linux 6.1");
  EXPECT_EQ(options.find(4)->second, "engine 9");
}

TEST(Pcapng, AnInterfaceTellsLinkTypeNanosecondsAndFilter) {
  pcapng::Bytes bytes;
  pcapng::append_interface(bytes, {"eth0", {}, "udp port 53", 101});
  const Block block = only_block(bytes);
  EXPECT_EQ(block.type, 1u);
  EXPECT_EQ(number_at<std::uint16_t>(block.body, 0), 101);
  EXPECT_EQ(number_at<std::uint32_t>(block.body, 4), 0u) << "no limit on the frames' length";
  const auto options = options_of(block.body, 8);
  EXPECT_EQ(options.find(2)->second, "eth0");
  EXPECT_EQ(options.count(3), 0u);
  EXPECT_EQ(options.find(9)->second, "\x09");
  EXPECT_EQ(options.find(11)->second, std::string("\0udp port 53", 12));
}

TEST(Pcapng, APacketOfAnyLengthEndsOnAMultipleOfFour) {
  for (std::size_t length = 0; length < 9; ++length) {
    const std::string frame(length, 'f');
    const std::string_view comments[] = {"one", "four"};
    pcapng::Bytes bytes;
    pcapng::append_packet(bytes, {.interface = 2,
                                  .time_ns = 0x0102030405060708,
                                  .len = 1514,
                                  .frame = std::as_bytes(std::span(frame)),
                                  .queue = 7,
                                  .direction = pcapng::Direction::outbound,
                                  .lost_before = 5,
                                  .comments = comments});
    const Block block = only_block(bytes);
    EXPECT_EQ(number_at<std::uint32_t>(block.body, 0), 2u);
    const Packet packet = packets_of({block}).front();
    EXPECT_EQ(packet.time_ns, 0x0102030405060708u);
    EXPECT_EQ(packet.frame, frame);
    EXPECT_EQ(packet.len, 1514u);
    EXPECT_EQ(packet.comments, (std::vector<std::string>{"one", "four"}));
    EXPECT_EQ(packet.options.find(6)->second, std::string("\7\0\0\0", 4));
    EXPECT_EQ(packet.options.find(2)->second, std::string("\2\0\0\0", 4));
    EXPECT_EQ(packet.lost_before(), 5u);
  }
}

TEST(Pcapng, APacketWithoutAnythingToSayHasNoOptions) {
  const std::string frame = "abcd";
  pcapng::Bytes bytes;
  pcapng::append_packet(
      bytes, {.time_ns = 1, .len = 4, .frame = std::as_bytes(std::span(frame)), .queue = {}, .comments = {}});
  EXPECT_EQ(bytes.size(), 12 + 20 + 4u);
}

TEST(Pcapng, StatisticsLeaveOutWhatIsNotKnown) {
  pcapng::Bytes bytes;
  pcapng::Statistics statistics;
  statistics.begin_ns = 1;
  statistics.end_ns = std::uint64_t{3} << 32 | 2;
  statistics.received = 100;
  statistics.os_dropped = 7;
  pcapng::append_statistics(bytes, statistics);
  const Block block = only_block(bytes);
  EXPECT_EQ(block.type, 5u);
  const auto options = options_of(block.body, 12);
  EXPECT_EQ(options.find(3)->second, std::string("\3\0\0\0\2\0\0\0", 8)) << "the high half comes first";
  EXPECT_EQ(number_at<std::uint64_t>(options.find(4)->second, 0), 100u);
  EXPECT_EQ(number_at<std::uint64_t>(options.find(7)->second, 0), 7u);
  EXPECT_EQ(options.count(5) + options.count(6) + options.count(8), 0u);
}

}  // namespace
