// A receive queue whose kernel is heap memory: the rings of an AF_XDP socket with frames that are written already, so
// that the worker's whole path runs without a network. What the kernel would do (take frames from the fill ring, put
// them into the RX ring) is deliver(), called between two measurements by the same thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/bench/frame_area.h"
#include "xsk/rx_queue.h"

namespace engine::bench {

class MemoryQueue {
 public:
  // Of the area's frames those of the range, in a random order.
  MemoryQueue(FrameArea& area, xsk::FrameRange frames, std::uint32_t seed);
  MemoryQueue(const MemoryQueue&) = delete;
  MemoryQueue& operator=(const MemoryQueue&) = delete;

  xsk::RxQueue& queue() noexcept { return queue_; }
  // Every frame that is not in the RX ring arrives anew; how many these were.
  std::uint32_t deliver() noexcept;

 private:
  struct alignas(64) Index {
    std::uint32_t value = 0;
  };

  std::vector<std::uint32_t> lengths_;  // by frame of the area
  std::vector<xdp_desc> rx_;
  std::vector<std::uint64_t> fill_;
  Index rx_producer_, rx_consumer_, fill_producer_, fill_consumer_, flags_;
  xsk::RxQueue queue_;
};

}  // namespace engine::bench
