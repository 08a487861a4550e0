// Capture files as a source: formats, time, intervals, errors. The reader and the workers are threads here as in the
// product.
#include "engine/file/file_source.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "tests/decode/capture_writer.h"
#include "tests/decode/source_reader.h"

namespace test {
namespace {

using engine::FileOptions;
using engine::FileRecordKind;
using engine::FileSource;

constexpr std::uint64_t kStart_ns = 1700000000'123456789;
constexpr std::uint64_t kSecond_ns = 1000000000;

Bytes udp_frame(unsigned src_port, std::size_t payload = 10) {
  return ethernet(0x0800) + ipv4({}, udp(src_port, 53, filled(payload)));
}

FileOptions options(const TemporaryFile& file, std::uint32_t workers = 1) {
  FileOptions options;
  options.path = file.name();
  options.workers = workers;
  return options;
}

// Runs `body` and gives the message and exit code of the SetupError that it must throw.
template <class Body>
std::pair<engine::ExitCode, std::string> setup_error(Body&& body) {
  try {
    body();
  } catch (const engine::SetupError& error) {
    return {error.code(), error.what()};
  }
  return {engine::ExitCode::done, "no error"};
}

TEST(FileSource, GivesTheSamePacketsFromEveryFormat) {
  const std::vector<Record> records = {{kStart_ns, udp_frame(1)}, {kStart_ns + 1500, udp_frame(2), 1400}};
  const std::vector<std::pair<Bytes, bool>> files = {{pcap(records), false},
                                                     {pcap(records, {.nanoseconds = true}), true},
                                                     {pcap(records, {.big_endian = true}), false},
                                                     {pcap(records, {.nanoseconds = true, .big_endian = true}), true},
                                                     {pcapng(records), true}};
  for (const auto& [content, is_exact] : files) {
    const TemporaryFile file(content);
    FileSource source(options(file));
    EXPECT_EQ(source.epoch_ns(), is_exact ? kStart_ns : kStart_ns / 1000 * 1000);
    const auto packets = packets_of(read_all(source)[0]);
    ASSERT_EQ(packets.size(), 2u);
    EXPECT_EQ(packets[0].time, 0);
    EXPECT_EQ(packets[1].time, is_exact ? 1500 : 2000);
    EXPECT_EQ(packets[0].place, 1);
    EXPECT_EQ(packets[1].place, 2);
    EXPECT_EQ(packets[0].frame, records[0].frame);
    EXPECT_EQ(packets[1].frame, records[1].frame);
    EXPECT_EQ(packets[0].len, records[0].frame.size());
    EXPECT_EQ(packets[1].len, 1400u);
    EXPECT_NO_THROW(source.throw_if_cut_off());
  }
}

TEST(FileSource, ReadsAFileWithoutPackets) {
  const TemporaryFile file(pcap({}));
  FileSource source(options(file, 2));
  EXPECT_EQ(source.epoch_ns(), 0u);
  source.set_intervals({kSecond_ns});
  for (const auto& items : read_all(source)) {
    ASSERT_EQ(items.size(), 1u);
    EXPECT_EQ(items[0].marker.kind, FileRecordKind::end);
  }
  EXPECT_NO_THROW(source.throw_if_cut_off());
}

TEST(FileSource, NamesAMissingFile) {
  FileOptions missing;
  missing.path = "/nonexistent/trace.pcap";
  const auto [code, message] = setup_error([&] { FileSource source(missing); });
  EXPECT_EQ(code, engine::ExitCode::bad_usage);
  EXPECT_EQ(message, "open /nonexistent/trace.pcap: No such file or directory; check the path");
}

TEST(FileSource, RefusesWhatIsNoCapture) {
  for (const Bytes& content : {filled(100, 'x'), Bytes{}, cut(pcap({}), 10)}) {
    const TemporaryFile file(content);
    const auto [code, message] = setup_error([&] { FileSource source(options(file)); });
    EXPECT_EQ(code, engine::ExitCode::bad_usage);
    EXPECT_NE(message.find(file.name()), std::string::npos) << message;
    EXPECT_NE(message.find("pcapng file"), std::string::npos) << message;
  }
  FileOptions folder;
  folder.path = "/";
  EXPECT_EQ(setup_error([&] { FileSource source(folder); }).first, engine::ExitCode::bad_usage);
}

TEST(FileSource, GivesWhatCameBeforeTheCutAndThenFails) {
  const std::vector<Record> records = {{kStart_ns, udp_frame(1)}, {kStart_ns, udp_frame(2)}, {kStart_ns, udp_frame(3)}};
  for (const Bytes& whole : {pcap(records), pcapng(records)}) {
    for (const std::size_t missing : {1u, 20u, 60u}) {
      const TemporaryFile file(cut(whole, whole.size() - missing));
      FileSource source(options(file));
      EXPECT_EQ(packets_of(read_all(source)[0]).size(), 2u);
      const auto [code, message] = setup_error([&] { source.throw_if_cut_off(); });
      EXPECT_EQ(code, engine::ExitCode::runtime_failure);
      EXPECT_NE(message.find("the 2 packets before that place were analysed"), std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos);
    }
  }
}

TEST(FileSource, FailsAfterTheStartIfEvenTheFirstPacketIsCutOff) {
  const Bytes whole = pcap({{kStart_ns, udp_frame(1)}});
  const TemporaryFile file(cut(whole, whole.size() - 5));
  FileSource source(options(file));
  EXPECT_TRUE(packets_of(read_all(source)[0]).empty());
  EXPECT_EQ(setup_error([&] { source.throw_if_cut_off(); }).first, engine::ExitCode::runtime_failure);
}

TEST(FileSource, NeverLetsTimeGoBack) {
  const TemporaryFile file(pcap({{kStart_ns, udp_frame(1)},
                                 {kStart_ns + 5 * kSecond_ns, udp_frame(1)},
                                 {kStart_ns + 3 * kSecond_ns, udp_frame(1)},
                                 {kStart_ns - kSecond_ns, udp_frame(1)},
                                 {kStart_ns + 6 * kSecond_ns, udp_frame(1)}},
                                {.nanoseconds = true}));
  FileSource source(options(file));
  const auto packets = packets_of(read_all(source)[0]);
  std::vector<double> times_s;
  for (const Item& packet : packets) times_s.push_back(packet.time / 1e9);
  EXPECT_EQ(times_s, (std::vector<double>{0, 5, 5, 5, 6}));
  EXPECT_EQ(source.counts().time_clamped, 2u);
}

TEST(FileSource, EndsIntervalsBeforeThePacketThatClosesThemAndSkipsGaps) {
  const std::uint64_t base = 1700000000 * kSecond_ns;
  const TemporaryFile file(pcap({{base + 100, udp_frame(1)},
                                 {base + 200, udp_frame(2)},
                                 {base + kSecond_ns, udp_frame(3)},
                                 {base + 7 * kSecond_ns, udp_frame(4)}},
                                {.nanoseconds = true}));
  FileSource source(options(file, 3));
  source.set_intervals({kSecond_ns, 5 * kSecond_ns, kSecond_ns});  // one length twice is one interval
  using Tick = std::array<std::uint64_t, 3>;                       // length in s, index less the base, place
  const std::vector<Tick> expected = {{1, 0, 3}, {1, 1, 4}, {5, 0, 4}, {1, 7, 5}, {5, 1, 5}};
  for (const auto& items : read_all(source)) {
    std::vector<Tick> ticks;
    for (const Item& item : markers_of(items, FileRecordKind::tick)) {
      const engine::FileTick& tick = item.marker.tick;
      ticks.push_back({tick.interval_ns / kSecond_ns, tick.index - base / tick.interval_ns,
                       static_cast<std::uint64_t>(item.place)});
    }
    EXPECT_EQ(ticks, expected);
    // A worker's packets lie on the right side of every mark.
    double cut = 0;
    for (const Item& item : items) {
      if (item.is_packet)
        EXPECT_GE(item.place, cut);
      else if (item.marker.kind == FileRecordKind::tick)
        cut = item.place;
    }
  }
}

TEST(FileSource, DealsByFlowAndKeepsTheOrder) {
  std::vector<Record> records;
  for (unsigned i = 0; i < 5000; ++i) records.push_back({kStart_ns + i, udp_frame(1000 + i % 97, i % 50)});
  const TemporaryFile file(pcap(records, {.nanoseconds = true}));
  FileSource source(options(file, 4));
  const auto items = read_all(source);
  std::vector<int> owner(97, -1);
  std::set<double> places;
  for (std::size_t worker = 0; worker < items.size(); ++worker) {
    const auto packets = packets_of(items[worker]);
    EXPECT_GT(packets.size(), 500u);
    EXPECT_EQ(packets.size(), source.handed(static_cast<std::uint32_t>(worker)));
    EXPECT_EQ(packets.size(), source.queue(static_cast<std::uint32_t>(worker)).rx_packets());
    double last = 0;
    for (const Item& packet : packets) {
      EXPECT_GT(packet.place, last);
      last = packet.place;
      places.insert(packet.place);
      EXPECT_EQ(packet.frame, records[static_cast<std::size_t>(packet.place) - 1].frame);
      int& known = owner[(static_cast<std::size_t>(packet.place) - 1) % 97];
      EXPECT_TRUE(known == -1 || known == static_cast<int>(worker));
      known = static_cast<int>(worker);
    }
  }
  EXPECT_EQ(places.size(), records.size());
  EXPECT_EQ(source.counts().records, records.size());
}

TEST(FileSource, TellsIdleWorkersHowFarItIs) {
  std::vector<Record> records(5000, {kStart_ns, udp_frame(1)});  // one flow: one worker gets everything
  const TemporaryFile file(pcap(records));
  FileSource source(options(file, 2));
  const auto items = read_all(source);
  for (const auto& of_worker : items) {
    const auto progress = markers_of(of_worker, FileRecordKind::progress);
    ASSERT_GE(progress.size(), 4u);
    double last = 0;
    for (const Item& item : progress) {
      EXPECT_GE(item.place, last);
      EXPECT_LE(item.place - last, 1024);
      last = item.place;
    }
  }
}

TEST(FileSource, CountsWhatTheFilterKeepsOut) {
  std::vector<Record> records;
  for (unsigned i = 0; i < 100; ++i) records.push_back({kStart_ns, udp_frame(i % 4 == 0 ? 7 : 8)});
  const TemporaryFile file(pcap(records));
  FileOptions filtered = options(file);
  filtered.filter = "udp src port 7";
  FileSource source(filtered);
  const auto packets = packets_of(read_all(source)[0]);
  EXPECT_EQ(packets.size(), 25u);
  EXPECT_EQ(packets[1].place, 5);
  EXPECT_EQ(source.counts().records, 100u);
  EXPECT_EQ(source.counts().passed, 75u);
  EXPECT_EQ(source.handed(0), 25u);
}

TEST(FileSource, RefusesAFilterThatDoesNotCompile) {
  const TemporaryFile file(pcap({}));
  FileOptions filtered = options(file);
  filtered.filter = "udp prt 7";
  const auto [code, message] = setup_error([&] { FileSource source(filtered); });
  EXPECT_EQ(code, engine::ExitCode::bad_usage);
  EXPECT_EQ(message.rfind("filter \"udp prt 7\": ", 0), 0u) << message;
}

// The same language as live, where neither could be had.
TEST(FileSource, RefusesAFilterThatCouldNotRunInTheKernel) {
  const TemporaryFile file(pcap({}));
  for (const char* text : {"ip6 protochain 6", "inbound", "outbound", "ifindex 3"}) {
    FileOptions filtered = options(file);
    filtered.filter = text;
    const auto [code, message] = setup_error([&] { FileSource source(filtered); });
    EXPECT_EQ(code, engine::ExitCode::bad_usage);
    EXPECT_EQ(message.rfind(std::string("filter \"") + text + "\": ", 0), 0u) << message;
  }
}

TEST(FileSource, EndsAfterTheNumberOfPacketsAskedFor) {
  const TemporaryFile file(pcap(std::vector<Record>(100, {kStart_ns, udp_frame(1)})));
  FileOptions limited = options(file);
  limited.max_packets = 42;
  FileSource source(limited);
  EXPECT_EQ(packets_of(read_all(source)[0]).size(), 42u);
}

TEST(FileSource, CutsAFrameThatNoQueueCouldTake) {
  // LINKTYPE_USBPCAP is one of the types for which libpcap allows more than 256 KiB.
  const TemporaryFile large(
      pcap({{kStart_ns, filled(300000)}, {kStart_ns, udp_frame(2)}}, {.link_type = 249, .snaplen = 1 << 20}));
  FileSource source(options(large));
  const auto packets = packets_of(read_all(source)[0]);
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[0].frame.size(), FileSource::kMaxFrameBytes);
  EXPECT_EQ(packets[0].len, 300000u);
  EXPECT_EQ(source.counts().cut, 1u);
}

}  // namespace
}  // namespace test
