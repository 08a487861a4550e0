// Results of a capture file: the same bytes whatever the number of workers and their pace, and no lock-up when the
// rings are small and one worker has all the packets.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/results/collector.h"
#include "engine/results/json_lines.h"
#include "tests/results/fake_worker.h"

namespace {

using engine_tests::FakeWorker;
using engine_tests::Values;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kFirstSecond = 1'700'000'000;

// What the reader sends a worker: a packet, or a mark that every worker gets.
struct Input {
  enum Kind { packet, interval, progress } kind;
  std::uint64_t place;  // interval: of the packet that closed it
  std::uint64_t index = 0;
};

// The capture: the interval ends every 97 packets; flows are spread over the workers by their hash.
std::vector<std::vector<Input>> distribute(std::uint64_t packets, std::size_t workers) {
  std::vector<std::vector<Input>> inputs(workers);
  const auto everyone = [&](const Input& mark) {
    for (auto& input : inputs) input.push_back(mark);
  };
  for (std::uint64_t place = 1; place <= packets; ++place) {
    if (place % 97 == 0) everyone({Input::interval, place, kFirstSecond + place / 97});
    inputs[place * 2654435761u / 65536 % workers].push_back({Input::packet, place});
    if (place % 50 == 0) everyone({Input::progress, place});
  }
  everyone({Input::interval, packets + 1, kFirstSecond + packets / 97 + 1});
  everyone({Input::progress, packets + 1});
  return inputs;
}

class Replay {
 public:
  Replay(std::size_t workers, std::size_t ring_bytes)
      : file_(testing::TempDir() + "order_test." + std::to_string(::getpid())) {
    engine::CollectorConfig config;
    config.in_order = true;
    config.epoch_ns = kFirstSecond * kSecond;
    config.plugins = {{"a", kSecond, plugin_.registry.get()}, {"b", kSecond, plugin_.registry.get()}};
    std::vector<std::unique_ptr<engine::Output>> outputs;
    outputs.push_back(
        std::make_unique<engine::JsonLines>(std::make_unique<engine::Sink>(file_, engine::Sink::WhenFull::wait)));
    collector = std::make_unique<engine::Collector>(config, std::move(outputs));
    for (std::size_t i = 0; i < workers; ++i) {
      fakes.push_back(std::make_unique<FakeWorker>(ring_bytes));
      collector->add_worker(fakes.back()->ring());
    }
  }
  ~Replay() { ::unlink(file_.c_str()); }

  // As the engine's worker does: plugin by plugin over the batch, then one publish.
  template <class Wait>
  void process(FakeWorker& worker, const std::vector<std::uint64_t>& batch, Wait wait) {
    for (std::uint8_t plugin = 0; plugin < 2; ++plugin) {
      for (const std::uint64_t place : batch) {
        for (std::uint8_t i = 0; i <= place % 3; ++i) {
          const Values values = Values().number(place).number(i);
          while (!worker.record(static_cast<double>(place), values, plugin)) worker.publish(), wait();
        }
        if (plugin == 0) ++worker.value();
      }
    }
    if (!batch.empty()) mark(worker, batch.back(), wait);
    worker.publish();
  }
  template <class Wait>
  void mark(FakeWorker& worker, std::uint64_t place, Wait wait) {
    while (!worker.progress(static_cast<double>(place))) worker.publish(), wait();
    worker.publish();
  }
  template <class Wait>
  void end_interval(FakeWorker& worker, const Input& input, Wait wait) {
    plugins::Part* part = nullptr;
    while ((part = worker.sum().swap()) == nullptr) worker.publish(), wait();
    const double place = static_cast<double>(input.place);
    while (!worker.send_part(part, 0, place)) worker.publish(), wait();
    while (!worker.send(ENGINE_MESSAGE_INTERVAL, 0, 0, 0, place, Values().number(input.index).get()))
      worker.publish(), wait();
    worker.publish();
  }

  std::string text() const {
    std::ostringstream text;
    text << std::ifstream(file_).rdbuf();
    return text.str();
  }

  engine_tests::FakePlugin plugin_{{{"r", {{"place", plugins::FieldType::u64}, {"i", plugins::FieldType::u8}}}}};
  std::vector<std::unique_ptr<FakeWorker>> fakes;
  std::unique_ptr<engine::Collector> collector;

 private:
  std::string file_;
};

// One thread plays all workers and the collector, in random order and with random batches.
std::string play(std::uint64_t packets, std::size_t workers, unsigned seed) {
  std::mt19937 random(seed);
  Replay run(workers, 1 << 16);
  const std::vector<std::vector<Input>> inputs = distribute(packets, workers);
  std::vector<std::size_t> next(workers, 0);
  std::vector<bool> ended(workers, false);
  const auto collect = [&] { run.collector->round(); };
  for (std::size_t left = workers; left > 0;) {
    const std::size_t i = random() % workers;
    if (ended[i]) continue;
    FakeWorker& worker = *run.fakes[i];
    std::vector<std::uint64_t> batch;
    for (std::size_t most = random() % 64 + 1; next[i] < inputs[i].size() && batch.size() < most; ++next[i]) {
      if (inputs[i][next[i]].kind != Input::packet) break;
      batch.push_back(inputs[i][next[i]].place);
    }
    run.process(worker, batch, collect);
    if (next[i] == inputs[i].size()) {
      run.collector->worker_ended(i);
      ended[i] = true;
      --left;
    } else if (const Input& input = inputs[i][next[i]]; input.kind == Input::interval) {
      run.end_interval(worker, input, collect);
      ++next[i];
    } else if (input.kind == Input::progress) {
      run.mark(worker, input.place, collect);
      ++next[i];
    }
    if (random() % 3 == 0) collect();
  }
  while (run.collector->round() != 0) {
  }
  run.collector->round();
  run.collector->close();
  return run.text();
}

// What the text must be, made without any of the above.
std::string expected(std::uint64_t packets) {
  std::ostringstream text;
  std::uint64_t sum = 0;
  const auto time = [](std::uint64_t ns) {
    std::string out;
    engine::TimeFormat().append(out, ns);
    return out;
  };
  const auto interval = [&](std::uint64_t index) {
    text << R"({"ts":")" << time((index + 1) * kSecond) << R"(","type":"sum","plugin":"a","from":")"
         << time(index * kSecond) << R"(","to":")" << time((index + 1) * kSecond) << R"(","sum":)" << sum << "}\n";
    sum = 0;
  };
  for (std::uint64_t place = 1; place <= packets; ++place) {
    if (place % 97 == 0) interval(kFirstSecond + place / 97);
    ++sum;
    for (const char* plugin : {"a", "b"})
      for (std::uint64_t i = 0; i <= place % 3; ++i)
        text << R"({"ts":")" << time(kFirstSecond * kSecond + place * 1000) << R"(","type":"r","plugin":")" << plugin
             << R"(","place":)" << place << R"(,"i":)" << i << "}\n";
  }
  interval(kFirstSecond + packets / 97 + 1);
  return text.str();
}

TEST(Order, GivesTheSameBytesWithOneWorkerAndWithEight) {
  const std::string wanted = expected(1000);
  for (const std::size_t workers : {1, 2, 4, 8})
    for (unsigned seed = 0; seed < 10; ++seed) {
      const std::string got = play(1000, workers, seed);
      ASSERT_EQ(got.size(), wanted.size()) << workers << " workers, seed " << seed;
      ASSERT_TRUE(got == wanted) << workers << " workers, seed " << seed;
    }
}

TEST(Order, HoldsBackAWorkerThatIsAheadUntilTheOthersFollow) {
  engine::Order order;
  order.add_worker();
  order.add_worker();
  const std::vector<std::byte> payload(1000);
  std::uint64_t place = 0;
  while (order.may_take(0) && place < 10'000) {
    ++place;
    order.message(0, {1024, ENGINE_MESSAGE_RECORD, 0, 0, 0, static_cast<double>(place)}, payload);
    order.progress(0, static_cast<double>(place));
  }
  EXPECT_LE(place * payload.size(), engine::Order::kAheadBytes + payload.size());
  EXPECT_TRUE(order.may_take(1)) << "the one behind is always taken from";
  order.progress(1, static_cast<double>(place));
  std::uint64_t emitted = 0;
  order.emit({.message = [&](std::size_t, const engine_message&, std::span<const std::byte>) { ++emitted; },
              .interval = [](const engine::Interval&) {}});
  EXPECT_EQ(emitted, place);
  EXPECT_TRUE(order.may_take(0));
}

// The source of the threaded test, with the engine's protocol: before it waits for one worker's ring, the others get a
// mark that says how far it is, so that none of them holds the collector back.
class Source {
 public:
  Source(std::size_t workers, bool marks) : marks_(marks) {
    for (std::size_t i = 0; i < workers; ++i) rings.push_back(std::make_unique<engine::SpscRing>(4096));
  }
  void send(std::size_t worker, const Input& input) {
    if (try_send(worker, input)) return;
    std::vector<bool> told(rings.size(), false);
    told[worker] = true;
    while (!try_send(worker, input)) {
      for (std::size_t i = 0; i < rings.size(); ++i)
        if (marks_ && !told[i]) told[i] = try_send(i, {Input::progress, input.place - 1});
      std::this_thread::yield();
    }
  }
  std::vector<std::unique_ptr<engine::SpscRing>> rings;

 private:
  bool try_send(std::size_t worker, const Input& input) {
    alignas(8) std::byte bytes[32] = {};
    const std::uint32_t length = sizeof bytes;
    std::memcpy(bytes, &length, sizeof length);
    std::memcpy(bytes + 8, &input, sizeof input);
    const bool sent = rings[worker]->push(bytes);
    rings[worker]->publish();
    return sent;
  }

  bool marks_;
};

class OrderThreads : public testing::TestWithParam<bool> {};

// Also if the marks find no room, which leaves it to the collector to notice.
TEST_P(OrderThreads, NeverLockUpWhenOneWorkerHasAllThePackets) {
  constexpr std::size_t kWorkers = 3;
  constexpr std::uint64_t kPackets = 60'000, kTurn = 20'000;  // long runs of one worker's packets
  Replay run(kWorkers, 4096);
  Source source(kWorkers, GetParam());
  std::atomic<bool> done{false};
  run.collector->start();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kWorkers; ++i) {
    threads.emplace_back([&, i] {
      const auto wait = [&] { run.collector->wait_for_round(); };
      for (bool last = false; !last;) {
        last = done.load(std::memory_order_acquire);
        const std::span<const std::byte> bytes = source.rings[i]->readable();
        if (bytes.empty()) std::this_thread::yield();
        last = last && bytes.empty();
        for (std::size_t at = 0; at < bytes.size(); at += 32) {
          Input input;
          std::memcpy(&input, bytes.data() + at + 8, sizeof input);
          if (input.kind == Input::packet) run.process(*run.fakes[i], {input.place}, wait);
          if (input.kind == Input::progress) run.mark(*run.fakes[i], input.place, wait);
          if (input.kind == Input::interval) run.end_interval(*run.fakes[i], input, wait);
        }
        source.rings[i]->consume(bytes.size());
      }
      run.collector->worker_ended(i);
    });
  }
  for (std::uint64_t place = 1; place <= kPackets; ++place) {
    if (place % 97 == 0)
      for (std::size_t i = 0; i < kWorkers; ++i) source.send(i, {Input::interval, place, kFirstSecond + place / 97});
    source.send(place / kTurn % kWorkers, {Input::packet, place});
  }
  for (std::size_t i = 0; i < kWorkers; ++i)
    source.send(i, {Input::interval, kPackets + 1, kFirstSecond + kPackets / 97 + 1});
  done.store(true, std::memory_order_release);
  for (std::thread& thread : threads) thread.join();
  run.collector->join();
  EXPECT_TRUE(run.text() == expected(kPackets));
}

INSTANTIATE_TEST_SUITE_P(Marks, OrderThreads, testing::Bool());

}  // namespace
