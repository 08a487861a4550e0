// The live worker: one pinned thread that takes batches from its queues, decodes them and runs the plugins.
//
// Everything a worker touches while it runs is its own (queues, UMEM, packets, Lua states, result ring); the main
// thread reads the lanes' counters and writes RunControl. The receive path is `serve`, on one screen.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/analysis.h"
#include "xsk/rx_queue.h"

namespace engine {

// How a run ends, written by the main thread (the budget also by workers, once per batch under --count only).
struct RunControl {
  enum Phase : int {
    running,
    draining,  // the program is detached: what the rings still hold is analysed, then the worker ends
  };
  std::atomic<int> phase{running};
  std::atomic<std::int64_t> budget{-1};  // packets that may still be analysed; negative: no limit
  bool limited = false;                  // --count was given
  int wake_fd = -1;                      // eventfd: readable once the phase has changed; also what ends poll()
  int done_fd = -1;                      // eventfd: a worker writes when the budget is used up
};

// One queue of a worker. Counters have one writer, the worker; others read them relaxed for the status line.
struct Lane {
  xsk::RxQueue* queue = nullptr;
  int fd = -1;                      // the socket: polled and woken; -1 in tests over heap memory
  std::uint16_t index = 0;          // the NIC's queue
  std::uint32_t memory_offset = 0;  // of the queue's UMEM within the worker's frame memory
  alignas(64) std::atomic<std::uint64_t> rx_bytes{0};
  std::atomic<std::uint64_t> analysed{0};
  std::atomic<std::uint64_t> skipped{0};
  std::atomic<std::uint64_t> results{0};
  std::atomic<std::uint64_t> results_dropped{0};
  std::atomic<std::uint64_t> plugin_errors{0};
};

inline constexpr std::size_t kMaxLanes = 256;  // queues of one worker

class Worker {
 public:
  // `spin`: the core is this worker's own; else it sleeps in poll() when the queues are empty.
  Worker(std::vector<Lane*> lanes, Analysis& analysis, RunControl& control, const std::uint8_t* frames, bool spin);

  // The thread's body. Returns after the phase is draining and the rings are empty.
  void run() noexcept;

  std::uint64_t polls() const noexcept { return polls_.load(std::memory_order_relaxed); }
  std::uint64_t empty_polls() const noexcept { return empty_polls_.load(std::memory_order_relaxed); }
  std::uint64_t cpu_ns() const noexcept { return cpu_ns_; }
  // As the sockets tell it: 0, ENETDOWN while the interface is down, ENXIO once it is gone.
  int interface_state() const noexcept { return interface_state_.load(std::memory_order_relaxed); }

 private:
  std::uint32_t serve(Lane& lane) noexcept;
  std::uint32_t take_from_budget(std::uint32_t wanted) noexcept;
  void idle() noexcept;
  void wake(const Lane& lane) noexcept;
  void drain() noexcept;

  std::vector<Lane*> lanes_;
  Analysis& analysis_;
  RunControl& control_;
  const std::uint8_t* frames_;
  bool spin_;
  std::uint32_t batch_packets_ = kBatchPackets;
  std::uint32_t empty_rounds_ = 0;
  std::atomic<std::uint64_t> polls_{0};
  std::atomic<std::uint64_t> empty_polls_{0};
  std::atomic<int> interface_state_{0};
  std::uint64_t cpu_ns_ = 0;
};

}  // namespace engine
