// Two pinned threads and a queue between them: the same records through the same amount of memory for each contestant.
//
// One iteration moves kRecords records of 8 to 32 bytes, their length included. The consumer looks at each and checks
// the sum. Needs two cores of its own: with other load compare runs in turn (bench/micro).
#pragma once

#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace bench {

inline constexpr std::uint64_t kRecords = 1u << 20;
inline constexpr std::size_t kSpscBatch = 64;
inline constexpr std::size_t kQueueBytes = 1u << 20;

// Word 0 is the length, word 1 the record's number.
template <std::size_t Bytes>
struct Record {
  std::uint32_t words[Bytes / 4] = {Bytes};
};
static_assert(sizeof(Record<8>) == 8);

// What the consumer does with a record.
template <std::size_t Bytes>
struct Sum {
  std::uint64_t total = 0;
  void operator()(const Record<Bytes>& record) noexcept {
    total += record.words[1];
    if constexpr (Bytes > 8) total += record.words[Bytes / 4 - 1];  // zero: its line has to be fetched all the same
  }
};

// Asked once, before the first thread is pinned: threads inherit what their maker is bound to.
inline std::vector<int> allowed_cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  return cpus;
}

inline bool pin(pthread_t thread, std::size_t which) {
  static const std::vector<int> cpus = allowed_cpus();
  if (which >= cpus.size()) return false;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpus[which], &one);
  return pthread_setaffinity_np(thread, sizeof one, &one) == 0;
}

// What either side does when it must wait. A yield, for all queues alike: two spinning sides fall into lock-step, one
// record at a time, or not, by chance, and then measure the machine's cache-to-cache latency instead of the queue.
inline void wait_a_little() { std::this_thread::yield(); }

// Queue: push(record) and pop_one(sum); with Batch push(records, n) and pop_many(sum). Both tell how many they moved.
template <class Queue, std::size_t Bytes, bool Batch>
void move_records(benchmark::State& state) {
  auto queue = std::make_unique<Queue>();
  std::atomic<std::uint64_t> rounds{0}, finished{0}, sum{0};
  std::thread consumer([&] {
    Sum<Bytes> each;
    for (std::uint64_t round = 0;; ++round) {
      while (rounds.load(std::memory_order_acquire) == round) wait_a_little();
      if (rounds.load(std::memory_order_acquire) == UINT64_MAX) return;
      for (std::uint64_t got = 0; got < kRecords;) {
        std::size_t n = 0;
        if constexpr (Batch) {
          n = queue->pop_many(each);
        } else {
          n = queue->pop_one(each);
        }
        if (n == 0) wait_a_little();
        got += n;
      }
      sum.store(each.total, std::memory_order_relaxed);
      finished.store(round + 1, std::memory_order_release);
    }
  });
  if (!pin(pthread_self(), 0) || !pin(consumer.native_handle(), 1)) state.SkipWithError("needs two cores");

  // Made beforehand: what making a record costs is not the queue's.
  std::array<Record<Bytes>, kSpscBatch> batch;
  for (std::size_t i = 0; i < kSpscBatch; ++i) batch[i].words[1] = static_cast<std::uint32_t>(i);
  std::uint64_t done = 0;
  for (auto _ : state) {
    rounds.store(++done, std::memory_order_release);
    for (std::uint64_t sent = 0; sent < kRecords; sent += kSpscBatch) {
      for (std::size_t i = 0; i < kSpscBatch;) {
        std::size_t n = 0;
        if constexpr (Batch) {
          n = queue->push(batch.data() + i, kSpscBatch - i);
        } else {
          n = queue->push(batch[i]) ? 1 : 0;
        }
        if (n == 0) wait_a_little();
        i += n;
      }
    }
    while (finished.load(std::memory_order_acquire) != done) wait_a_little();
  }
  rounds.store(UINT64_MAX, std::memory_order_release);
  consumer.join();
  if (sum.load() != done * (kRecords / kSpscBatch) * (kSpscBatch * (kSpscBatch - 1) / 2))
    state.SkipWithError("records were lost or changed");
  state.SetItemsProcessed(static_cast<std::int64_t>(done * kRecords));
  state.SetLabel("two threads, pinned to two cores");
}

template <class Queue, std::size_t Bytes, bool Batch>
void add_spsc(const std::string& contestant) {
  const std::string name =
      "spsc/" + std::string(Batch ? "batch64" : "single") + "/" + contestant + "/" + std::to_string(Bytes);
  benchmark::RegisterBenchmark(name.c_str(), move_records<Queue, Bytes, Batch>)->UseRealTime();
}

}  // namespace bench
