// The reader and the workers waiting for each other: full queues, slow input, and the queue by itself.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <random>
#include <stdexcept>
#include <thread>

#include "engine/base/unique_fd.h"
#include "engine/file/file_source.h"
#include "tests/decode/capture_writer.h"
#include "tests/decode/source_reader.h"

namespace test {
namespace {

using engine::FileOptions;
using engine::FileQueue;
using engine::FileRecord;
using engine::FileRecordKind;
using engine::FileSource;

constexpr std::uint64_t kStart_ns = 1700000000'123456789;

Bytes udp_frame(unsigned src_port, std::size_t payload = 10) {
  return ethernet(0x0800) + ipv4({}, udp(src_port, 53, filled(payload)));
}

FileOptions small_queues(const std::string& path, std::uint32_t workers) {
  FileOptions options;
  options.path = path;
  options.workers = workers;
  options.queue_bytes = 1 << 20;
  return options;
}

// A record whose frame is `size` times the low byte of `place`.
void write_record(FileQueue& queue, FileRecordKind kind, std::uint32_t size, double place) {
  const std::size_t bytes = (sizeof(FileRecord) + size + 7) / 8 * 8;
  std::span<std::byte> room = queue.window(bytes);
  if (room.empty()) {
    queue.publish();
    room = queue.wait_for_window(bytes);
  }
  const FileRecord head{static_cast<std::uint32_t>(bytes), kind, engine::LinkType::other, 0, size, size, 0, place, 0};
  std::memcpy(room.data(), &head, sizeof head);
  std::memset(room.data() + sizeof head, static_cast<int>(place) & 0xff, size);
  queue.advance(bytes);
}

TEST(FileQueue, KeepsEveryRecordAndItsOrderUnderRandomSchedules) {
  constexpr int kRecords = 200000;
  FileQueue queue(4096);
  std::thread producer([&] {
    std::mt19937 random(1);
    for (int i = 1; i <= kRecords; ++i) {
      const bool is_marker = random() % 16 == 0;
      write_record(queue, is_marker ? FileRecordKind::progress : FileRecordKind::packet,
                   is_marker ? 0 : random() % 1500, i);
      if (random() % 8 == 0) queue.publish();
    }
    write_record(queue, FileRecordKind::end, 0, kRecords + 1);
    queue.publish();
  });
  std::mt19937 random(2);
  std::uint64_t packets = 0;
  bool intact = true;
  for (double expected = 1; expected <= kRecords + 1;) {
    if (const engine::FileBatch batch = queue.receive(1 + random() % 64); !batch.empty()) {
      for (std::uint32_t i = 0; i < batch.size(); ++i) {
        const engine::FileFrame frame = batch[i];
        const std::uint8_t* bytes = queue.frames() + frame.offset;
        intact = intact && frame.place == expected;
        for (std::uint32_t k = 0; k < frame.caplen; ++k)
          intact = intact && bytes[k] == (static_cast<int>(expected) & 0xff);
        ++expected;
      }
      packets += batch.size();
    } else if (const auto marker = queue.next_marker()) {
      intact = intact && marker->place == expected;
      ++expected;
    } else {
      queue.wait();
    }
    if (!intact) break;
  }
  EXPECT_TRUE(intact);
  if (!intact) read_queue(queue);  // or the producer would wait for ever
  producer.join();
  EXPECT_EQ(queue.rx_packets(), packets);
}

TEST(FileSource, WaitsForASlowWorkerAndLosesNothing) {
  // 30,000 frames of 1 KiB through 1 MiB queues; the second worker does not start before the reader has filled one.
  std::vector<Record> records;
  for (unsigned i = 0; i < 30000; ++i) records.push_back({kStart_ns + i, udp_frame(1000 + i % 500, 900 + i % 100)});
  const TemporaryFile file(pcap(records, {.nanoseconds = true}));
  FileSource source(small_queues(file.name(), 2));
  std::thread reader([&] { source.run(); });
  while (source.handed(1) == 0) std::this_thread::yield();
  std::vector<Item> first;
  std::thread worker([&] { first = read_queue(source.queue(0)); });
  const std::vector<Item> second = read_queue(source.queue(1));
  worker.join();
  reader.join();
  EXPECT_EQ(packets_of(first).size() + packets_of(second).size(), records.size());
  EXPECT_EQ(source.handed(0) + source.handed(1), records.size());
}

// Everything that is in the queue, without waiting for more.
std::size_t take_all(FileQueue& queue, bool& ended) {
  std::size_t packets = 0;
  for (;;) {
    if (const engine::FileBatch batch = queue.receive(64); !batch.empty()) {
      packets += batch.size();
    } else if (const auto marker = queue.next_marker()) {
      ended = ended || marker->kind == FileRecordKind::end;
    } else {
      return packets;
    }
  }
}

TEST(FileSource, ReadsOnTheThreadOfItsOnlyWorkerThroughAQueueThatIsMuchTooSmall) {
  std::vector<Record> records;
  for (unsigned i = 0; i < 5000; ++i) records.push_back({kStart_ns + i, udp_frame(i, 900 + i % 100)});
  const TemporaryFile file(pcap(records, {.nanoseconds = true}));
  FileSource source(small_queues(file.name(), 1));
  std::size_t packets = 0;
  bool ended = false;
  source.serve_between([&] { packets += take_all(source.queue(0), ended); });
  source.run();
  EXPECT_EQ(packets, records.size());
  EXPECT_TRUE(ended);
}

TEST(FileSource, ServesItsOnlyWorkerBeforeItWaitsForInput) {
  const Bytes content = pcap(std::vector<Record>(20, {kStart_ns, udp_frame(1)}), {.nanoseconds = true});
  const std::size_t half = 24 + 10 * (content.size() - 24) / 20;  // of the packets
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const engine::UniqueFd reader(ends[0]);
  std::atomic<std::size_t> packets{0};
  // What it writes next it holds back until what it wrote before has been served.
  std::thread writer([&, out = engine::UniqueFd(ends[1])] {
    ASSERT_EQ(write(out.get(), content.data(), half), static_cast<ssize_t>(half));
    while (packets.load() < 10) std::this_thread::yield();
    const std::size_t rest = content.size() - half;
    ASSERT_EQ(write(out.get(), content.data() + half, rest), static_cast<ssize_t>(rest));
  });
  FileSource source(small_queues("/proc/self/fd/" + std::to_string(reader.get()), 1));
  bool ended = false;
  source.serve_between([&] { packets += take_all(source.queue(0), ended); });
  source.run();
  writer.join();
  EXPECT_EQ(packets, 20u);
  EXPECT_TRUE(ended);
}

TEST(FileSource, ShowsProgressToTheOthersBeforeItSleeps) {
  // Worker 1 gets nothing but must learn how far the reader came when worker 0's queue is full.
  std::vector<Record> records(3000, {kStart_ns, udp_frame(1, 1400)});
  const TemporaryFile file(pcap(records));
  FileSource source(small_queues(file.name(), 2));
  std::thread reader([&] { source.run(); });
  const auto idle_at = [&] { return source.handed(0) != 0 ? 1u : 0u; };
  while (source.handed(0) + source.handed(1) == 0) std::this_thread::yield();
  const std::uint32_t idle = idle_at(), busy = 1 - idle;
  double seen = 0;
  // A ring of 1 MiB takes about 700 of these frames: fewer than the regular distance of progress marks.
  while (seen < 500) {
    if (const auto marker = source.queue(idle).next_marker()) {
      seen = marker->place;
    } else {
      source.queue(idle).wait();
    }
  }
  EXPECT_LT(seen, 1024);
  std::thread rest([&] { read_queue(source.queue(idle)); });
  EXPECT_EQ(packets_of(read_queue(source.queue(busy))).size(), records.size());
  rest.join();
  reader.join();
}

// A pipe in the place of standard input; a thread of the test writes into it.
class PipeInput {
 public:
  PipeInput() {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    saved_.reset(::dup(0));
    ::dup2(ends[0], 0);
    ::close(ends[0]);
    writer.reset(ends[1]);
  }
  ~PipeInput() { ::dup2(saved_.get(), 0); }
  void write(const Bytes& bytes) const {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::write(writer.get(), bytes.data() + done, bytes.size() - done);
      if (n <= 0) throw std::runtime_error("write");
      done += static_cast<std::size_t>(n);
    }
  }
  engine::UniqueFd writer;

 private:
  engine::UniqueFd saved_;
};

TEST(FileSource, ReadsStandardInput) {
  for (const bool is_pcapng : {false, true}) {
    const std::vector<Record> records(3000, {kStart_ns, udp_frame(1, 500)});
    PipeInput input;
    std::thread writer([&] {
      input.write(is_pcapng ? pcapng(records) : pcap(records));
      input.writer.reset();
    });
    FileSource source(small_queues("-", 1));
    EXPECT_EQ(packets_of(read_all(source)[0]).size(), records.size());
    EXPECT_NO_THROW(source.throw_if_cut_off());
    writer.join();
  }
}

TEST(FileSource, GivesOutWhatItHasBeforeItWaitsForMoreInput) {
  PipeInput input;
  const Bytes content = pcap({{kStart_ns, udp_frame(1)}, {kStart_ns, udp_frame(2)}});
  input.write(content);
  FileSource source(small_queues("-", 1));
  std::thread reader([&] { source.run(); });
  std::size_t got = 0;
  while (got < 2) {
    if (const engine::FileBatch batch = source.queue(0).receive(64); !batch.empty())
      got += batch.size();
    else if (!source.queue(0).next_marker())
      source.queue(0).wait();
  }
  source.stop();  // the reader waits for input: this must end it, without an error
  const auto items = read_queue(source.queue(0));
  reader.join();
  EXPECT_EQ(items.back().marker.kind, FileRecordKind::end);
  EXPECT_NO_THROW(source.throw_if_cut_off());
}

}  // namespace
}  // namespace test
