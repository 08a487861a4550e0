// The SPSC ring against boost::lockfree::spsc_queue, side by side: two pinned threads, the same records through the
// same amount of memory, each queue by the fastest calls it has. One iteration moves kRecords records; the consumer
// looks at each record and checks the sum.
//
//   single   one record at a time, each published       boost: push() and pop()
//   batch64  64 records written, published once          boost: push(array, 64) and consume_all()
//
// Records are 8 to 32 bytes, length included. Needs two cores of its own: with other load compare the best of several
// runs (--benchmark_repetitions=40 --benchmark_min_time=0.005).
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <boost/lockfree/spsc_queue.hpp>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "engine/spsc.h"

namespace {

constexpr std::uint64_t kRecords = 1u << 20;
constexpr std::size_t kBatch = 64;
constexpr std::size_t kRing_bytes = 1u << 20;

// Word 0 is the length, word 1 the record's number.
template <std::size_t Bytes>
struct Record {
  std::uint32_t words[Bytes / 4] = {Bytes};
};
static_assert(sizeof(Record<8>) == 8);

// Asked once, before the first thread is pinned: threads inherit what their maker is bound to.
std::vector<int> allowed_cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  return cpus;
}

bool pin(pthread_t thread, std::size_t which) {
  static const std::vector<int> cpus = allowed_cpus();
  if (which >= cpus.size()) return false;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpus[which], &one);
  return pthread_setaffinity_np(thread, sizeof one, &one) == 0;
}

template <std::size_t Bytes>
class Ours {
 public:
  bool push(const Record<Bytes>& record) {
    if (!ring_.push(std::as_bytes(std::span(&record, 1)))) return false;
    ring_.publish();
    return true;
  }
  std::size_t push(const Record<Bytes>* records, std::size_t n) {
    const std::span<std::byte> window = ring_.window(n * Bytes);
    if (window.empty()) return 0;
    std::memcpy(window.data(), records, n * Bytes);
    ring_.advance(n * Bytes);
    ring_.publish();
    return n;
  }
  template <class Each>
  std::size_t pop_one(Each each) {
    const std::span<const std::byte> bytes = ring_.readable();
    if (bytes.empty()) return 0;
    each(bytes.data());
    ring_.consume(Bytes);
    return 1;
  }
  template <class Each>
  std::size_t pop_many(Each each) {
    const std::span<const std::byte> bytes = ring_.readable();
    for (std::size_t at = 0; at < bytes.size(); at += Bytes) each(bytes.data() + at);
    if (!bytes.empty()) ring_.consume(bytes.size());
    return bytes.size() / Bytes;
  }

 private:
  engine::SpscRing ring_{kRing_bytes};
};

template <std::size_t Bytes>
class Boost {
 public:
  bool push(const Record<Bytes>& record) { return queue_.push(record); }
  std::size_t push(const Record<Bytes>* records, std::size_t n) { return queue_.push(records, n); }
  template <class Each>
  std::size_t pop_one(Each each) {
    Record<Bytes> record;
    if (!queue_.pop(record)) return 0;
    each(&record);
    return 1;
  }
  template <class Each>
  std::size_t pop_many(Each each) {
    return queue_.consume_all([&each](const Record<Bytes>& record) { each(&record); });
  }

 private:
  boost::lockfree::spsc_queue<Record<Bytes>, boost::lockfree::capacity<kRing_bytes / Bytes>> queue_;
};

// What either side does when it must wait. A yield, for both queues alike: two spinning sides fall into lock-step, one
// record at a time, or not, by chance, and then measure the machine's cache-to-cache latency instead of the queue.
void wait_a_little() { std::this_thread::yield(); }

template <class Queue, std::size_t Bytes, bool Batch>
void move_records(benchmark::State& state) {
  auto queue = std::make_unique<Queue>();
  std::atomic<std::uint64_t> rounds{0}, finished{0}, sum{0};
  std::thread consumer([&] {
    std::uint64_t total = 0;
    for (std::uint64_t round = 0;; ++round) {
      while (rounds.load(std::memory_order_acquire) == round) wait_a_little();
      if (rounds.load(std::memory_order_acquire) == UINT64_MAX) return;
      const auto each = [&total](const void* record) {
        Record<Bytes> copy;
        std::memcpy(&copy, record, sizeof copy);
        total += copy.words[1];
        if constexpr (Bytes > 8) total += copy.words[Bytes / 4 - 1];  // zero: its line has to be fetched all the same
      };
      for (std::uint64_t got = 0; got < kRecords;) {
        const std::size_t n = Batch ? queue->pop_many(each) : queue->pop_one(each);
        if (n == 0) wait_a_little();
        got += n;
      }
      sum.store(total, std::memory_order_relaxed);
      finished.store(round + 1, std::memory_order_release);
    }
  });
  if (!pin(pthread_self(), 0) || !pin(consumer.native_handle(), 1)) state.SkipWithError("needs two cores");

  // Made beforehand: what making a record costs is not the queue's.
  std::array<Record<Bytes>, kBatch> batch;
  for (std::size_t i = 0; i < kBatch; ++i) batch[i].words[1] = static_cast<std::uint32_t>(i);
  std::uint64_t done = 0;
  for (auto _ : state) {
    rounds.store(++done, std::memory_order_release);
    for (std::uint64_t sent = 0; sent < kRecords; sent += kBatch) {
      for (std::size_t i = 0; i < kBatch;) {
        const std::size_t n = Batch ? queue->push(batch.data() + i, kBatch - i) : queue->push(batch[i]) ? 1 : 0;
        if (n == 0) wait_a_little();
        i += n;
      }
    }
    while (finished.load(std::memory_order_acquire) != done) wait_a_little();
  }
  rounds.store(UINT64_MAX, std::memory_order_release);
  consumer.join();
  if (sum.load() != done * (kRecords / kBatch) * (kBatch * (kBatch - 1) / 2))
    state.SkipWithError("records were lost or changed");
  state.SetItemsProcessed(static_cast<std::int64_t>(done * kRecords));
}

#define SPSC_PAIR(bytes)                                                                                 \
  BENCHMARK(move_records<Ours<bytes>, bytes, false>)->Name("spsc/single/ours/" #bytes)->UseRealTime();   \
  BENCHMARK(move_records<Boost<bytes>, bytes, false>)->Name("spsc/single/boost/" #bytes)->UseRealTime(); \
  BENCHMARK(move_records<Ours<bytes>, bytes, true>)->Name("spsc/batch64/ours/" #bytes)->UseRealTime();   \
  BENCHMARK(move_records<Boost<bytes>, bytes, true>)->Name("spsc/batch64/boost/" #bytes)->UseRealTime()

SPSC_PAIR(8);
SPSC_PAIR(16);
SPSC_PAIR(32);

}  // namespace

BENCHMARK_MAIN();
