// Plain pcap files as we take them apart against libpcap reading the same file: whole, damaged anywhere, cut off
// anywhere; from a file and through a pipe in pieces of any size.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <random>
#include <thread>

#include "engine/base/error.h"
#include "engine/base/unique_fd.h"
#include "engine/file/capture_file.h"
#include "tests/decode/capture_writer.h"

namespace test {
namespace {

struct Packet {
  std::int64_t seconds, nanoseconds;
  std::uint32_t caplen, len;
  Bytes bytes;
  bool operator==(const Packet&) const = default;
};

struct Reading {
  bool opened = false;
  std::vector<Packet> packets{};
  std::string failure{};
};

// `ahead`: another thread reads from the second packet on.
Reading by_us(const std::string& path, bool ahead = false) {
  Reading reading;
  try {
    engine::CaptureFile file(path, -1);
    reading.opened = true;
    engine::CapturedPacket packet;
    for (; file.next(packet); ahead ? file.read_ahead() : void())
      reading.packets.push_back({packet.seconds, packet.nanoseconds, packet.header->caplen, packet.header->len,
                                 Bytes(packet.bytes, packet.bytes + packet.header->caplen)});
    reading.failure = file.failure();
  } catch (const engine::SetupError&) {
  }
  return reading;
}

Reading by_libpcap(const std::string& path) {
  Reading reading;
  std::array<char, PCAP_ERRBUF_SIZE> words{};
  pcap_t* handle = pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, words.data());
  if (handle == nullptr) return reading;
  reading.opened = true;
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  int status = 0;
  while ((status = pcap_next_ex(handle, &header, &bytes)) == 1)
    reading.packets.push_back(
        {header->ts.tv_sec, header->ts.tv_usec, header->caplen, header->len, Bytes(bytes, bytes + header->caplen)});
  if (status != PCAP_ERROR_BREAK) reading.failure = pcap_geterr(handle);
  pcap_close(handle);
  return reading;
}

void expect_the_same(const std::string& path, const std::string& what) {
  const Reading ours = by_us(path), theirs = by_libpcap(path);
  EXPECT_EQ(ours.opened, theirs.opened) << what;
  EXPECT_EQ(ours.packets, theirs.packets) << what;
  EXPECT_EQ(ours.failure, theirs.failure) << what;
  const Reading ahead = by_us(path, true);
  EXPECT_EQ(ahead.packets, theirs.packets) << what;
  EXPECT_EQ(ahead.failure, theirs.failure) << what;
}

Bytes some_file(std::mt19937& random, std::size_t packets, std::size_t most_bytes) {
  std::vector<Record> records;
  for (std::size_t i = 0; i < packets; ++i)
    records.push_back({random() * std::uint64_t{1000}, filled(random() % most_bytes, static_cast<std::uint8_t>(i))});
  return pcap(records, {.nanoseconds = random() % 2 == 0, .big_endian = random() % 8 == 0});
}

TEST(PlainRecords, AreWhatLibpcapReadsAlsoWhereTheyAreDamagedOrCutOff) {
  std::mt19937 random(1);
  for (int i = 0; i < 1500; ++i) {
    Bytes content = some_file(random, random() % 12, 200);
    for (unsigned damage = random() % 4; damage > 0; --damage)
      content[random() % content.size()] = static_cast<Bytes::value_type>(random());
    if (random() % 2 == 0) content.resize(random() % (content.size() + 1));
    const TemporaryFile file(content);
    expect_the_same(file.name(), "file " + std::to_string(i));
  }
}

TEST(PlainRecords, LongerThanTheSnapshotLengthAreCutToIt) {
  for (const std::uint32_t snaplen : {1, 20, 64, 299, 300}) {
    const TemporaryFile file(
        pcap({{1000, filled(300, 1)}, {2000, filled(20, 2)}, {3000, filled(100, 3)}}, {.snaplen = snaplen}));
    expect_the_same(file.name(), "snaplen " + std::to_string(snaplen));
    EXPECT_EQ(by_us(file.name()).packets.size(), 3u);
  }
}

TEST(PlainRecords, OfSeveralBlocksComeOutWholeAlsoThroughAPipe) {
  std::mt19937 random(3);
  const Bytes content = some_file(random, 900, 3000);  // beyond a megabyte
  const TemporaryFile file(content);
  expect_the_same(file.name(), "in one piece");

  for (const bool ahead : {false, true}) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const engine::UniqueFd reader(ends[0]);
    std::thread writer([&, out = engine::UniqueFd(ends[1])] {
      for (std::size_t at = 0; at < content.size();) {
        const std::size_t size = std::min<std::size_t>(1 + random() % 5000, content.size() - at);
        if (write(out.get(), content.data() + at, size) != static_cast<ssize_t>(size)) return;
        at += size;
      }
    });
    const Reading piped = by_us("/proc/self/fd/" + std::to_string(reader.get()), ahead);
    writer.join();
    EXPECT_EQ(piped.packets, by_libpcap(file.name()).packets);
    EXPECT_EQ(piped.failure, "");
  }
}

// A reader that waits for a pipe that says nothing more, and that nobody waits for any more.
TEST(PlainRecords, ReadingAheadEndsWithWhoeverReads) {
  std::mt19937 random(5);
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const engine::UniqueFd reader(ends[0]), writer(ends[1]);
  const Bytes content = pcap({{1000, filled(300, 1)}, {2000, filled(20, 2)}}, {});
  ASSERT_EQ(write(writer.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
  engine::CaptureFile file("/proc/self/fd/" + std::to_string(reader.get()), -1);
  engine::CapturedPacket packet;
  ASSERT_TRUE(file.next(packet));
  file.read_ahead();
  ASSERT_TRUE(file.next(packet));
  std::thread interrupter([&] { file.interrupt(); });
  EXPECT_FALSE(file.next(packet));
  interrupter.join();
  EXPECT_EQ(file.failure(), "");
}

}  // namespace
}  // namespace test
