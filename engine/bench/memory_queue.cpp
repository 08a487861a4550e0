#include "engine/bench/memory_queue.h"

#include <algorithm>
#include <bit>
#include <random>
#include <span>

namespace engine::bench {

MemoryQueue::MemoryQueue(FrameArea& area, xsk::FrameRange frames, std::uint32_t seed)
    : lengths_(area.size()),
      rx_(std::bit_ceil(frames.count)),
      fill_(2 * rx_.size()),
      queue_(
          {&rx_producer_.value, &rx_consumer_.value, &flags_.value, rx_.data(), static_cast<std::uint32_t>(rx_.size())},
          {&fill_producer_.value, &fill_consumer_.value, &flags_.value, fill_.data(),
           static_cast<std::uint32_t>(fill_.size())},
          area.memory(), FrameArea::kChunk_bytes, frames) {
  for (const FrameSpan& frame : area.order()) lengths_[frame.offset / FrameArea::kChunk_bytes] = frame.caplen;
  // They lie in the fill ring in the order of their addresses.
  std::shuffle(fill_.begin(), fill_.begin() + static_cast<std::ptrdiff_t>(frames.count), std::mt19937(seed));
}

std::uint32_t MemoryQueue::deliver() noexcept {
  const std::uint32_t filled = std::atomic_ref(fill_producer_.value).load(std::memory_order_acquire);
  std::uint32_t taken = fill_consumer_.value, producer = rx_producer_.value;
  const std::uint32_t count = filled - taken;
  for (; taken != filled; ++taken, ++producer) {
    const std::uint64_t chunk = fill_[taken % fill_.size()];
    rx_[producer % rx_.size()] = {chunk + FrameArea::kHeadroom_bytes, lengths_[chunk / FrameArea::kChunk_bytes], 0};
  }
  std::atomic_ref(fill_consumer_.value).store(taken, std::memory_order_release);
  std::atomic_ref(rx_producer_.value).store(producer, std::memory_order_release);
  return count;
}

}  // namespace engine::bench
