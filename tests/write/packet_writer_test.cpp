// From workers' batches to a file: order, losses that are told, comments, disks and readers that fail.
#include "engine/write/packet_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <random>
#include <thread>

#include "engine/base/error.h"
#include "tests/write/blocks.h"

namespace {

using namespace engine;
using namespace write_test;

constexpr std::uint64_t kEpoch_ns = 1'700'000'000'000'000'001;

template <typename T>
void set(engine_packet& packet, std::size_t offset, T value) {
  std::memcpy(reinterpret_cast<std::byte*>(&packet) + offset, &value, sizeof value);
}

// Packets whose frame, place and time are their number.
struct Batch {
  explicit Batch(const std::vector<std::uint32_t>& numbers, std::uint32_t caplen = 60) : packets(numbers.size()) {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      set(packets[i], offsetof(engine_packet, time), static_cast<double>(numbers[i]));
      set(packets[i], offsetof(engine_packet, _place), static_cast<double>(numbers[i]));
      set(packets[i], offsetof(engine_packet, _off), static_cast<std::uint32_t>(frames.size()));
      set(packets[i], offsetof(engine_packet, caplen), caplen);
      set(packets[i], offsetof(engine_packet, len), std::uint32_t{1500});
      set(packets[i], offsetof(engine_packet, queue), std::uint16_t{3});
      std::string frame = std::to_string(numbers[i]);
      frame.resize(caplen, ' ');
      frames.insert(frames.end(), frame.begin(), frame.end());
    }
  }

  void offer_to(PacketLane& lane) {
    lane.begin(frames.data(), kEpoch_ns);
    for (std::size_t i = 0; i < packets.size(); ++i)  // used over files: times may go back there
      lane.times_ns()[i] = kEpoch_ns + 100'000 - static_cast<std::uint64_t>(packets[i]._place);
    lane.offer(packets.data(), static_cast<std::uint32_t>(packets.size()));
  }

  std::vector<engine_packet> packets;
  std::vector<std::uint8_t> frames;
};

class PacketWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    path_ = testing::TempDir() + "packet_writer_test." + std::to_string(::getpid());
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  PacketWriterConfig config(std::size_t workers = 1) {
    PacketWriterConfig config;
    config.path = path_;
    config.workers = workers;
    config.ring_bytes = 64u << 10;
    config.begin_ns = kEpoch_ns;
    config.section = {"hardware", "os", "engine"};
    config.interfaces.emplace_back().name = "eth0";
    config.log = [this](bool, std::string_view text) { log_.emplace_back(text); };
    config.on_reader_gone = [this] { ++gone_; };
    config.write = [this](int fd, const void* data, std::size_t bytes) -> ssize_t {
      if (!disk_full_) return ::write(fd, data, bytes);
      errno = ENOSPC;
      return -1;
    };
    return config;
  }

  static void end(PacketWriter& writer, std::size_t workers = 1) {
    for (std::size_t i = 0; i < workers; ++i) writer.lane(i).finish();
    writer.round();
    writer.finish({pcapng::Statistics{}});
  }

  std::vector<Packet> packets() const {
    const auto blocks = blocks_of(read_bytes(path_));
    EXPECT_TRUE(blocks) << "a part of a block";
    return blocks ? packets_of(*blocks) : std::vector<Packet>();
  }

  // Their numbers, as their frames say them.
  std::vector<int> numbers() const {
    std::vector<int> numbers;
    for (const Packet& packet : packets()) numbers.push_back(std::stoi(packet.frame));
    return numbers;
  }

  std::string path_;
  std::atomic<bool> disk_full_{false};
  std::vector<std::string> log_;
  int gone_ = 0;
};

TEST_F(PacketWriterTest, WritesWhatThePluginsSaw) {
  PacketWriter writer(config());
  Batch({1, 2}).offer_to(writer.lane(0));
  end(writer);
  const auto all = packets();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].time_ns, kEpoch_ns + 2);
  EXPECT_EQ(all[1].frame.substr(0, 2), "2 ");
  EXPECT_EQ(all[1].frame.size(), 60u);
  EXPECT_EQ(all[1].len, 1500u);
  EXPECT_EQ(all[1].options.find(6)->second, std::string("\3\0\0\0", 4)) << "the queue";
  EXPECT_EQ(writer.ledger().packets, 2u);
  EXPECT_EQ(writer.ledger().dropped, 0u);
  EXPECT_EQ(writer.ledger().bytes, read_bytes(path_).size());
  EXPECT_EQ(blocks_of(read_bytes(path_))->back().type, 5u) << "statistics end it";
}

TEST_F(PacketWriterTest, WritesOnlyWhatWasMarkedWhereThatIsWanted) {
  PacketWriterConfig only = config();
  only.marked_only = true;
  PacketWriter writer(std::move(only));
  plugins::Marks& marks = writer.lane(0).marks();
  marks.begin(4);
  EXPECT_TRUE(marks.mark(1));
  EXPECT_TRUE(marks.mark(3));
  marks.comment(3, 0, "first");
  marks.comment(3, 1, "second");
  Batch({1, 2, 3, 4}).offer_to(writer.lane(0));
  marks.begin(4);
  Batch({5, 6, 7, 8}).offer_to(writer.lane(0));
  end(writer);
  EXPECT_EQ(numbers(), (std::vector<int>{2, 4}));
  EXPECT_EQ(packets()[1].comments, (std::vector<std::string>{"first", "second"}));
}

TEST_F(PacketWriterTest, WithoutThatWishMarkedOnesHaveTheirComment) {
  PacketWriter writer(config());
  writer.lane(0).marks().begin(2);
  writer.lane(0).marks().mark(0);
  writer.lane(0).marks().comment(0, 0, "look here");
  Batch({1, 2}).offer_to(writer.lane(0));
  end(writer);
  const auto all = packets();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].comments, (std::vector<std::string>{"look here"}));
  EXPECT_TRUE(all[1].comments.empty());
}

TEST_F(PacketWriterTest, LiveAFullRingCostsPacketsThatAreCountedAndNotedInTheFile) {
  PacketWriter writer(config());
  std::uint32_t number = 0;
  while (writer.lane(0).dropped() < 10) Batch({++number}, 1500).offer_to(writer.lane(0));
  writer.round();
  Batch({++number}, 1500).offer_to(writer.lane(0));
  end(writer);
  EXPECT_EQ(packets().back().lost_before(), 10u);
  EXPECT_EQ(writer.ledger().packets + writer.ledger().dropped, number);
  EXPECT_EQ(writer.ledger().dropped, 10u);
  EXPECT_FALSE(writer.failed());
}

TEST_F(PacketWriterTest, AFullDiskIsSaidOnceLeftOutIsCountedAndTheFileSaysWhere) {
  PacketWriter writer(config());
  Batch({1}).offer_to(writer.lane(0));
  const auto until = [&](auto condition) {
    while (!condition()) writer.round();
  };
  until([&] { return numbers().size() == 1; });
  disk_full_ = true;
  Batch({2}).offer_to(writer.lane(0));
  until([&] { return !log_.empty(); });
  for (std::uint32_t number = 3; number < 13; ++number) Batch({number}).offer_to(writer.lane(0));
  for (int i = 0; i < 100; ++i) writer.round();
  EXPECT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("No space left on device"), std::string::npos);
  disk_full_ = false;
  until([&] { return log_.size() == 2; });
  EXPECT_NE(log_[1].find("10 packets were left out"), std::string::npos) << log_[1];
  Batch({13}).offer_to(writer.lane(0));
  Batch({14}).offer_to(writer.lane(0));
  end(writer);
  EXPECT_EQ(numbers(), (std::vector<int>{1, 2, 13, 14}));
  const auto all = packets();
  EXPECT_EQ(all[2].comments,
            (std::vector<std::string>{"10 packets before this one are missing: No space left on device"}));
  EXPECT_EQ(all[2].lost_before(), 10u);
  EXPECT_TRUE(all[3].comments.empty());
  EXPECT_EQ(writer.ledger().packets, 4u);
  EXPECT_EQ(writer.ledger().dropped, 10u);
  EXPECT_FALSE(writer.failed()) << "live: it works again";
}

TEST_F(PacketWriterTest, ADiskThatIsFullAtTheEndIsAFailure) {
  PacketWriter writer(config());
  disk_full_ = true;
  Batch({1}).offer_to(writer.lane(0));
  end(writer);
  EXPECT_TRUE(writer.failed());
  EXPECT_EQ(writer.ledger().dropped, 1u);
  EXPECT_EQ(writer.ledger().packets, 0u);
}

TEST_F(PacketWriterTest, ADiskThatIsFullFromTheBeginningIsSaidThen) {
  disk_full_ = true;
  EXPECT_THROW(PacketWriter{config()}, SetupError);
}

TEST_F(PacketWriterTest, AReaderThatIsGoneIsSaidOnceAndTheRestIsCounted) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK));
  PacketWriter writer(config());
  reader.reset();
  Batch({1, 2}).offer_to(writer.lane(0));
  while (gone_ == 0) writer.round();
  Batch({3}).offer_to(writer.lane(0));
  end(writer);
  EXPECT_EQ(gone_, 1);
  EXPECT_EQ(log_.size(), 1u);
  EXPECT_EQ(writer.ledger().packets, 0u);
  EXPECT_EQ(writer.ledger().dropped, 3u);
  EXPECT_FALSE(writer.failed());
}

// --- capture files: workers wait, the order is the file's
// -------------------------------------------------------------

class PacketWriterOverFiles : public PacketWriterTest {
 protected:
  PacketWriterConfig lossless(std::size_t workers) {
    PacketWriterConfig files = config(workers);
    files.lossless = true;
    return files;
  }
};

TEST_F(PacketWriterOverFiles, APacketWaitsUntilNoWorkerCanHaveAnEarlierOne) {
  PacketWriter writer(lossless(3));
  Batch({2, 5}).offer_to(writer.lane(0));
  EXPECT_EQ(writer.round(), 0u);
  Batch({1, 7}).offer_to(writer.lane(1));
  EXPECT_EQ(writer.round(), 0u) << "the third has said nothing";
  writer.lane(2).progress(4);
  EXPECT_EQ(writer.round(), 2u) << "1 and 2";
  writer.lane(2).finish();
  EXPECT_EQ(writer.round(), 1u) << "5: the first may still have a 6";
  writer.lane(0).progress(7);
  EXPECT_EQ(writer.round(), 1u);
  end(writer, 3);
  EXPECT_EQ(numbers(), (std::vector<int>{1, 2, 5, 7}));
  EXPECT_EQ(packets()[2].time_ns, kEpoch_ns + 100'000 - 5) << "the file's own time stamp";
}

// The threads of a real run: each worker offers its share in batches, waits when its ring is full, tells its progress.
std::string written_by(std::size_t workers, PacketWriterConfig config, const std::string& path) {
  constexpr std::uint32_t kPackets = 20'000;
  std::vector<std::vector<std::uint32_t>> shares(workers);
  std::mt19937 random(7);
  for (std::uint32_t number = 1; number <= kPackets; ++number) shares[random() % workers].push_back(number);
  PacketWriter writer(std::move(config));
  writer.start();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < workers; ++i) {
    threads.emplace_back([&, i] {
      for (std::size_t at = 0; at < shares[i].size(); at += 64) {
        const std::size_t last = std::min(at + 64, shares[i].size());
        Batch batch({shares[i].begin() + static_cast<std::ptrdiff_t>(at),
                     shares[i].begin() + static_cast<std::ptrdiff_t>(last)},
                    200);
        batch.offer_to(writer.lane(i));
        writer.lane(i).progress(shares[i][last - 1]);
      }
      writer.lane(i).finish();
    });
  }
  for (std::thread& thread : threads) thread.join();
  writer.join();
  writer.finish({});
  EXPECT_EQ(writer.ledger().packets, kPackets);
  EXPECT_EQ(writer.ledger().dropped, 0u);
  return read_bytes(path);
}

TEST_F(PacketWriterOverFiles, OneWorkerAndFourGiveTheSameBytes) {
  const std::string one = written_by(1, lossless(1), path_);
  const auto blocks = blocks_of(one);
  ASSERT_TRUE(blocks);
  EXPECT_EQ(packets_of(*blocks).size(), 20'000u);
  EXPECT_EQ(written_by(4, lossless(4), path_), one);
}

// Worker 0 has far more than its ring holds, and worker 1 comes with the packet that belongs before all of it only
// after worker 0 is through: as if its progress had not reached it.
TEST_F(PacketWriterOverFiles, WorkersThatWaitForEachOtherDoNotWaitForEver) {
  PacketWriter writer(lossless(2));
  writer.start();
  std::thread ahead([&] {
    for (std::uint32_t number = 2; number < 1000; ++number) Batch({number}, 1000).offer_to(writer.lane(0));
    writer.lane(0).finish();
  });
  ahead.join();
  Batch({1}).offer_to(writer.lane(1));
  writer.lane(1).finish();
  writer.join();
  writer.finish({});
  const auto all = numbers();
  ASSERT_EQ(all.size(), 999u);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
}

TEST_F(PacketWriterOverFiles, AStuckReaderIsWaitedForUntilTheUserHasHadEnough) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK));
  PacketWriter writer(lossless(1));
  writer.start();
  constexpr std::uint32_t kPackets = 5000;  // more than pipe, buffer and ring hold
  std::atomic<std::uint32_t> offered{0};
  std::thread worker([&] {
    for (std::uint32_t number = 1; number <= kPackets; ++number) {
      Batch({number}, 1000).offer_to(writer.lane(0));
      offered = number;
    }
    writer.lane(0).finish();
  });
  while (offered < 1000) std::this_thread::yield();
  writer.interrupt();
  worker.join();
  writer.join();
  writer.finish({});
  EXPECT_EQ(writer.ledger().packets + writer.ledger().dropped, kPackets);
  EXPECT_GT(writer.ledger().dropped, 0u);
}

}  // namespace
