// The SPSC ring against boost::lockfree::spsc_queue and moodycamel::ReaderWriterQueue (where installed), side by side,
// each by the fastest calls that it has:
//
//   single   one record at a time, each published    boost: push() and pop(); readerwriterqueue: try_enqueue() and
//                                                    peek(), pop(), all of it in one block
//   batch64  64 records written, published once      boost: push(array, 64) and consume_all(); the other has none
//
// run: spsc_bench [--benchmark_filter=...], or bench/micro --filter spsc for the ratios.
#include <algorithm>
#include <span>

#include "bench/spsc_rig.h"
#include "engine/spsc.h"
#ifdef HAVE_BOOST
#include <boost/lockfree/spsc_queue.hpp>
#endif
#ifdef HAVE_READERWRITERQUEUE
#include <readerwriterqueue/readerwriterqueue.h>
#endif

namespace {

using bench::kQueueBytes;
using bench::Record;
using bench::Sum;

template <std::size_t Bytes>
class Engine {
 public:
  bool push(const Record<Bytes>& record) {
    if (!ring_.push(std::as_bytes(std::span(&record, 1)))) return false;
    ring_.publish();
    return true;
  }
  std::size_t push(const Record<Bytes>* records, std::size_t n) {
    // Not known to the compiler, nor to a worker: of a known length gcc 12 makes `rep movsq`, which takes longer to
    // begin than the C library's memcpy takes for all 512 bytes.
    std::size_t bytes = n * Bytes;
    benchmark::DoNotOptimize(bytes);
    const std::span<std::byte> window = ring_.window(bytes);
    if (window.empty()) return 0;
    std::memcpy(window.data(), records, bytes);
    ring_.advance(bytes);
    ring_.publish();
    return n;
  }
  std::size_t pop_one(Sum<Bytes>& sum) {
    const std::span<const std::byte> bytes = ring_.readable();
    if (bytes.empty()) return 0;
    sum(*reinterpret_cast<const Record<Bytes>*>(bytes.data()));
    ring_.consume(Bytes);
    return 1;
  }
  // In pieces: room is given back while the producer still writes.
  std::size_t pop_many(Sum<Bytes>& sum) {
    const std::span<const std::byte> bytes = ring_.readable();
    const auto* const records = reinterpret_cast<const Record<Bytes>*>(bytes.data());
    const std::size_t n = bytes.size() / Bytes;
    for (std::size_t at = 0; at < n; at += kPiece) {
      const std::size_t end = std::min(at + kPiece, n);
      for (std::size_t i = at; i < end; ++i) sum(records[i]);
      ring_.consume((end - at) * Bytes);
    }
    return n;
  }

 private:
  static constexpr std::size_t kPiece = 4096 / Bytes;
  engine::SpscRing ring_{kQueueBytes};
};

#ifdef HAVE_BOOST
template <std::size_t Bytes>
class Boost {
 public:
  bool push(const Record<Bytes>& record) { return queue_.push(record); }
  std::size_t push(const Record<Bytes>* records, std::size_t n) { return queue_.push(records, n); }
  std::size_t pop_one(Sum<Bytes>& sum) {
    Record<Bytes> record;
    if (!queue_.pop(record)) return 0;
    sum(record);
    return 1;
  }
  std::size_t pop_many(Sum<Bytes>& sum) {
    return queue_.consume_all([&sum](const Record<Bytes>& record) { sum(record); });
  }

 private:
  boost::lockfree::spsc_queue<Record<Bytes>, boost::lockfree::capacity<kQueueBytes / Bytes>> queue_;
};
#endif

#ifdef HAVE_READERWRITERQUEUE
template <std::size_t Bytes>
class Moodycamel {
 public:
  bool push(const Record<Bytes>& record) { return queue_.try_enqueue(record); }
  std::size_t pop_one(Sum<Bytes>& sum) {
    const Record<Bytes>* const record = queue_.peek();
    if (record == nullptr) return 0;
    sum(*record);
    queue_.pop();
    return 1;
  }

 private:
  moodycamel::ReaderWriterQueue<Record<Bytes>, kQueueBytes / Bytes> queue_{kQueueBytes / Bytes - 1};
};
#endif

template <std::size_t Bytes>
void add() {
  bench::add_spsc<Engine<Bytes>, Bytes, false>("engine");
  bench::add_spsc<Engine<Bytes>, Bytes, true>("engine");
#ifdef HAVE_BOOST
  bench::add_spsc<Boost<Bytes>, Bytes, false>("boost");
  bench::add_spsc<Boost<Bytes>, Bytes, true>("boost");
#endif
#ifdef HAVE_READERWRITERQUEUE
  bench::add_spsc<Moodycamel<Bytes>, Bytes, false>("readerwriterqueue");
#endif
}

}  // namespace

int main(int count, char** arguments) {
  add<8>();
  add<16>();
  add<32>();
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
