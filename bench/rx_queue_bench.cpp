// What the receive path costs on top of the packets: RxQueue over rings in heap memory, one packet a frame, against
// packets of three frames, with and without gathering them. A stand-in for the kernel moves the frames of a full RX
// ring from the fill ring to the RX ring between the rounds; its time is in the figures, the same in all.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "xsk/rx_queue.h"

namespace {

constexpr std::uint32_t kFrames = 4096, kRxEntries = 2048, kFillEntries = 2 * kFrames, kChunkBytes = 4096;
constexpr std::uint32_t kHeadroomBytes = 256, kBatch = 64, kJumboBytes = 9014,
                        kFrameBytes = kChunkBytes - kHeadroomBytes;

struct alignas(64) Index {
  std::uint32_t value = 0;
};

class Rig {
 public:
  Rig()
      : umem_(std::size_t{kFrames} * kChunkBytes),
        rx_(kRxEntries),
        fill_(kFillEntries),
        queue_({&rx_producer_.value, &rx_consumer_.value, &flags_.value, rx_.data(), kRxEntries},
               {&fill_producer_.value, &fill_consumer_.value, &flags_.value, fill_.data(), kFillEntries}, umem_,
               kChunkBytes) {}

  xsk::RxQueue& queue() noexcept { return queue_; }

  // Packets of so many bytes, as long as they fit into the RX ring.
  std::uint32_t deliver(std::uint32_t bytes) noexcept {
    std::uint32_t producer = rx_producer_.value;
    std::uint32_t taken = fill_consumer_.value;
    std::uint32_t packets = 0;
    const std::uint32_t frames = (bytes + kFrameBytes - 1) / kFrameBytes;
    for (; producer + frames - rx_consumer_.value <= kRxEntries; ++packets) {
      for (std::uint32_t left = bytes, i = 0; i < frames; ++i) {
        const std::uint32_t here = left < kFrameBytes ? left : kFrameBytes;
        left -= here;
        rx_[producer++ % kRxEntries] = {fill_[taken++ % kFillEntries] + kHeadroomBytes, here,
                                        left != 0 ? XDP_PKT_CONTD : 0U};
      }
    }
    std::atomic_ref(rx_producer_.value).store(producer, std::memory_order_release);
    std::atomic_ref(fill_consumer_.value).store(taken, std::memory_order_release);
    return packets;
  }

 private:
  std::vector<std::byte> umem_;
  std::vector<xdp_desc> rx_;
  std::vector<std::uint64_t> fill_;
  Index rx_producer_, rx_consumer_, fill_producer_, fill_consumer_, flags_;
  xsk::RxQueue queue_;
};

template <class Use>
void receive(benchmark::State& state, std::uint32_t bytes, const Use& use) {
  const auto rig = std::make_unique<Rig>();
  std::uint64_t packets = 0;
  for (auto _ : state) {
    packets += rig->deliver(bytes);
    for (;;) {
      const xsk::RxBatch batch = rig->queue().receive(kBatch);
      if (batch.empty()) break;
      for (std::uint32_t i = 0; i < batch.size(); ++i) use(batch, i);
    }
  }
  state.counters["per_packet"] =
      benchmark::Counter(static_cast<double>(packets), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void look(const xsk::RxBatch& batch, std::uint32_t i) { benchmark::DoNotOptimize(batch[i].offset + batch[i].len); }

void single_frames(benchmark::State& state) { receive(state, 60, look); }
BENCHMARK(single_frames);

void three_frames(benchmark::State& state) { receive(state, kJumboBytes, look); }
BENCHMARK(three_frames);

void three_frames_gathered(benchmark::State& state) {
  std::vector<std::byte> whole(kJumboBytes);
  receive(state, kJumboBytes,
          [&](const xsk::RxBatch& batch, std::uint32_t i) { benchmark::DoNotOptimize(batch.gather(i, whole)); });
}
BENCHMARK(three_frames_gathered);

}  // namespace

BENCHMARK_MAIN();
