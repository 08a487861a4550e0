// What the four rings and the frame pool cost on top of the packets: RxQueue and TxQueue over rings in heap memory,
// against libxdp's bare calls (xdp/xsk.h) over the same.
//
// run: ring_bench [--benchmark_filter=...], or bench/micro --filter rings for the ratios. A stand-in for the kernel
// moves the frames of a full ring between the rounds; its time is in the figures, the same in all.
//   receive         one packet a frame, batches of 64; each descriptor looked at, its frame given back
//   receive_jumbo   packets of three frames, without and with gathering them; libxdp has nothing for them
//   send            64 frames taken from the pool, queued, completed and given back
#include <benchmark/benchmark.h>
#include <xdp/xsk.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "xsk/rx_queue.h"
#include "xsk/tx_queue.h"

namespace {

constexpr std::uint32_t kFrames = 4096, kEntries = 2048, kFrameEntries = 2 * kFrames, kChunkBytes = 4096;
constexpr std::uint32_t kHeadroomBytes = 256, kBatch = 64, kSmallBytes = 60, kJumboBytes = 9014,
                        kFrameBytes = kChunkBytes - kHeadroomBytes;

struct alignas(64) Index {
  std::uint32_t value = 0;
};

// A ring's memory, as the kernel maps it.
template <class Entry>
struct Ring {
  explicit Ring(std::uint32_t size) : entries(size) {}
  xsk::RingMemory memory() {
    return {&producer.value, &consumer.value, &flags.value, entries.data(), static_cast<std::uint32_t>(entries.size())};
  }
  // For libxdp, as xsk_socket__create() fills it in.
  template <class Bare>
  Bare bare() {
    const auto size = static_cast<std::uint32_t>(entries.size());
    Bare ring = {};
    ring.mask = size - 1;
    ring.size = size;
    ring.producer = &producer.value;
    ring.consumer = &consumer.value;
    ring.ring = entries.data();
    ring.flags = &flags.value;
    return ring;
  }
  Entry& at(std::uint32_t index) { return entries[index & (static_cast<std::uint32_t>(entries.size()) - 1)]; }

  Index producer, consumer, flags;
  std::vector<Entry> entries;
};

void publish(Index& index, std::uint32_t value) {
  std::atomic_ref(index.value).store(value, std::memory_order_release);
}

// The kernel's side of receiving and sending.
struct Kernel {
  // Packets of so many bytes, as long as they fit into the RX ring.
  std::uint32_t deliver(std::uint32_t bytes) noexcept {
    std::uint32_t produced = rx.producer.value;
    std::uint32_t taken = fill.consumer.value;
    std::uint32_t packets = 0;
    const std::uint32_t frames = (bytes + kFrameBytes - 1) / kFrameBytes;
    for (; produced + frames - rx.consumer.value <= kEntries; ++packets) {
      for (std::uint32_t left = bytes, i = 0; i < frames; ++i) {
        const std::uint32_t here = left < kFrameBytes ? left : kFrameBytes;
        left -= here;
        rx.at(produced++) = {fill.at(taken++) + kHeadroomBytes, here, left != 0 ? XDP_PKT_CONTD : 0U};
      }
    }
    publish(rx.producer, produced);
    publish(fill.consumer, taken);
    return packets;
  }
  // All that is in the TX ring has been sent.
  void complete() noexcept {
    std::uint32_t done = completion.producer.value;
    for (std::uint32_t i = tx.consumer.value; i != tx.producer.value; ++i) completion.at(done++) = tx.at(i).addr;
    publish(tx.consumer, tx.producer.value);
    publish(completion.producer, done);
  }

  std::vector<std::byte> umem = std::vector<std::byte>(std::size_t{kFrames} * kChunkBytes);
  Ring<xdp_desc> rx{kEntries}, tx{kEntries};
  Ring<std::uint64_t> fill{kFrameEntries}, completion{kFrameEntries};
};

void count(benchmark::State& state, std::uint64_t packets) {
  state.SetItemsProcessed(static_cast<std::int64_t>(packets));
}

template <class Use>
void receive(benchmark::State& state, std::uint32_t bytes, const Use& use) {
  const auto kernel = std::make_unique<Kernel>();
  xsk::RxQueue queue(kernel->rx.memory(), kernel->fill.memory(), kernel->umem, kChunkBytes);
  std::uint64_t packets = 0;
  for (auto _ : state) {
    packets += kernel->deliver(bytes);
    for (;;) {
      const xsk::RxBatch batch = queue.receive(kBatch);
      if (batch.empty()) break;
      for (std::uint32_t i = 0; i < batch.size(); ++i) use(batch, i);
    }
  }
  count(state, packets);
}

void look(const xsk::RxBatch& batch, std::uint32_t i) { benchmark::DoNotOptimize(batch[i].offset + batch[i].len); }

void single_frames(benchmark::State& state) { receive(state, kSmallBytes, look); }
BENCHMARK(single_frames)->Name("rings/receive/engine");

void single_frames_libxdp(benchmark::State& state) {
  const auto kernel = std::make_unique<Kernel>();
  auto rx = kernel->rx.bare<xsk_ring_cons>();
  auto fill = kernel->fill.bare<xsk_ring_prod>();
  fill.cached_cons = fill.size;
  std::uint32_t index = 0, free = 0;
  xsk_ring_prod__reserve(&fill, kFrames, &index);
  for (std::uint64_t i = 0; i < kFrames; ++i) *xsk_ring_prod__fill_addr(&fill, index++) = i * kChunkBytes;
  xsk_ring_prod__submit(&fill, kFrames);
  std::uint64_t packets = 0;
  for (auto _ : state) {
    packets += kernel->deliver(kSmallBytes);
    while (const std::uint32_t n = xsk_ring_cons__peek(&rx, kBatch, &index)) {
      if (xsk_ring_prod__reserve(&fill, n, &free) != n) return state.SkipWithError("the fill ring is full");
      for (std::uint32_t i = 0; i < n; ++i) {
        const xdp_desc* const packet = xsk_ring_cons__rx_desc(&rx, index++);
        benchmark::DoNotOptimize(packet->addr + packet->len);
        *xsk_ring_prod__fill_addr(&fill, free++) = packet->addr & ~std::uint64_t{kChunkBytes - 1};
      }
      xsk_ring_prod__submit(&fill, n);
      xsk_ring_cons__release(&rx, n);
    }
  }
  count(state, packets);
}
BENCHMARK(single_frames_libxdp)->Name("rings/receive/libxdp");

void three_frames(benchmark::State& state) { receive(state, kJumboBytes, look); }
BENCHMARK(three_frames)->Name("rings/receive_jumbo/engine");

void three_frames_gathered(benchmark::State& state) {
  std::vector<std::byte> whole(kJumboBytes);
  receive(state, kJumboBytes,
          [&](const xsk::RxBatch& batch, std::uint32_t i) { benchmark::DoNotOptimize(batch.gather(i, whole)); });
}
BENCHMARK(three_frames_gathered)->Name("rings/receive_jumbo_gathered/engine");

void send(benchmark::State& state) {
  const auto kernel = std::make_unique<Kernel>();
  xsk::TxQueue queue(kernel->tx.memory(), kernel->completion.memory(), kernel->umem, kChunkBytes);
  for (auto _ : state) {
    xsk::TxBatch batch = queue.reserve(kBatch);
    while (batch.room() != 0) {
      benchmark::DoNotOptimize(batch.buffer().data());
      batch.push(kSmallBytes);
    }
    queue.submit(std::move(batch));
    kernel->complete();
    if (queue.drain_completions() != kBatch) return state.SkipWithError("frames did not come back");
  }
  count(state, queue.completed());
}
BENCHMARK(send)->Name("rings/send/engine");

// With the least that a sender needs: a stack of free frames, and no check of what comes back.
void send_libxdp(benchmark::State& state) {
  const auto kernel = std::make_unique<Kernel>();
  auto tx = kernel->tx.bare<xsk_ring_prod>();
  auto completion = kernel->completion.bare<xsk_ring_cons>();
  tx.cached_cons = tx.size;
  std::vector<std::uint64_t> pool;
  for (std::uint64_t i = kFrames; i > 0; --i) pool.push_back((i - 1) * kChunkBytes);
  std::uint64_t packets = 0;
  for (auto _ : state) {
    std::uint32_t index = 0;
    if (xsk_ring_prod__reserve(&tx, kBatch, &index) != kBatch) return state.SkipWithError("the TX ring is full");
    for (std::uint32_t i = 0; i < kBatch; ++i) {
      benchmark::DoNotOptimize(kernel->umem.data() + pool.back());
      *xsk_ring_prod__tx_desc(&tx, index++) = {pool.back(), kSmallBytes, 0};
      pool.pop_back();
    }
    xsk_ring_prod__submit(&tx, kBatch);
    kernel->complete();
    const std::uint32_t done = xsk_ring_cons__peek(&completion, kEntries, &index);
    for (std::uint32_t i = 0; i < done; ++i) pool.push_back(*xsk_ring_cons__comp_addr(&completion, index++));
    xsk_ring_cons__release(&completion, done);
    if (done != kBatch) return state.SkipWithError("frames did not come back");
    packets += done;
  }
  count(state, packets);
}
BENCHMARK(send_libxdp)->Name("rings/send/libxdp");

}  // namespace

BENCHMARK_MAIN();
