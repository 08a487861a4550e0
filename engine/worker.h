// The live worker: one pinned thread that takes batches from its queues, decodes them and runs the plugins.
//
// Everything a worker touches while it runs is its own (queues, UMEM, packets, Lua states, result ring); the main
// thread reads the lanes' counters and writes RunControl. The receive path is `serve`, on one screen.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/analysis.h"
#include "engine/base/unique_fd.h"
#include "engine/decode/decode.h"
#include "engine/tap/packet_queue.h"
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
  int done_fd = -1;                      // eventfd: a worker writes when the budget is used up

  // Counted up after a lane's `wanted` was changed, then the workers are woken.
  std::atomic<std::uint32_t> lane_changes{0};
  std::vector<int> wake_fds;  // eventfds, one per worker: what ends its poll()

  void wake_workers() const noexcept;
  void change_lanes() noexcept {
    lane_changes.fetch_add(1, std::memory_order_release);
    wake_workers();
  }
};

// One queue of a worker. Counters have one writer, the worker; others read them relaxed for the status line.
struct Lane {
  // Changed only while the lane is not served. One of the two is set.
  xsk::RxQueue* queue = nullptr;
  PacketQueue* tap = nullptr;
  int fd = -1;                      // the socket: polled and woken; -1 in tests over heap memory
  std::uint16_t index = 0;          // the NIC's queue
  std::uint16_t interface = 0;      // among those that are captured
  std::uint32_t memory_offset = 0;  // of the queue's UMEM or ring within the worker's frame memory
  bool has_hints = false;           // the root program writes what the NIC knows in front of frames

  // Of the NIC's clock: what to add to its time stamps for UTC. Written by the main thread; kNoClock: they are no use.
  static constexpr std::int64_t kNoClock = INT64_MIN;
  std::atomic<std::int64_t> clock_to_utc_ns{kNoClock};
  // Where packets of several frames are put together, kMaxBatchPackets of them, also within the worker's frame memory;
  // empty where there are none.
  std::span<std::byte> gather_area;

  // Its worker serves it (written by the main thread) and does so (by the worker, which tells by notify_all()).
  std::atomic<bool> wanted{true};
  std::atomic<bool> served{true};
  // As the socket told last, by the worker: 0, ENETDOWN while the interface is down, ENXIO once it is gone.
  std::atomic<int> interface_state{0};

  alignas(64) std::atomic<std::uint64_t> rx_bytes{0};
  std::atomic<std::uint64_t> analysed{0};
  std::atomic<std::uint64_t> skipped{0};
  std::atomic<std::uint64_t> results{0};
  std::atomic<std::uint64_t> results_dropped{0};
  std::atomic<std::uint64_t> plugin_errors{0};
};

inline constexpr std::size_t kMaxLanes = 256;  // queues of one worker

// What a worker does when its queues are empty.
struct Idling {
  bool spin = false;  // the core is its own: it looks again; else it sleeps in poll()
  // Not spinning: how long at most it leaves lying what comes next, once there were packets. 0: each burst wakes it.
  std::uint64_t coalesce_ns = 0;
};

class Worker {
 public:
  // Adds itself to those that `control` wakes.
  Worker(std::vector<Lane*> lanes, Analysis& analysis, RunControl& control, const std::uint8_t* frames,
         const Idling& idling);

  // The thread's body. Returns after the phase is draining and the rings are empty.
  void run() noexcept;
  // One look at every queue that is served; how many packets that brought. The thread's step, and what measurements in
  // memory call instead of run().
  std::uint32_t serve_all() noexcept;

  std::uint64_t polls() const noexcept { return polls_.load(std::memory_order_relaxed); }
  std::uint64_t empty_polls() const noexcept { return empty_polls_.load(std::memory_order_relaxed); }
  std::uint64_t cpu_ns() const noexcept { return cpu_ns_; }

 private:
  std::uint32_t serve(Lane& lane) noexcept { return lane.tap != nullptr ? serve_tap(lane) : serve_queue(lane); }
  std::uint32_t serve_queue(Lane& lane) noexcept;
  void gather(const Lane& lane, const xsk::RxBatch& batch) noexcept;
  std::uint32_t serve_tap(Lane& lane) noexcept;
  template <typename Place, typename Stamp>
  std::uint32_t analyse(Lane& lane, std::uint32_t wanted, const Place& place, double time, const Stamp& stamp) noexcept;
  std::uint32_t skip(Lane& lane) noexcept;
  void apply_hints(const Lane& lane, std::byte* frame, engine_packet& packet) const noexcept;
  double since_epoch(std::uint64_t at_ns) const noexcept;
  std::uint32_t take_from_budget(std::uint32_t wanted) noexcept;
  void change_lanes() noexcept;
  void idle() noexcept;
  bool nap() noexcept;
  void wake(Lane& lane) noexcept;
  void drain() noexcept;

  std::vector<Lane*> lanes_;
  std::vector<Lane*> served_;  // of these
  std::uint32_t changes_seen_ = 0;
  UniqueFd wake_;
  Analysis& analysis_;
  RunControl& control_;
  const std::uint8_t* frames_;
  Idling idling_;
  std::uint64_t nap_ns_ = 0;
  std::uint64_t packets_since_idle_ = 0;
  std::uint32_t batch_packets_ = kBatchPackets;
  std::array<FrameSpan, kMaxBatchPackets> gathered_;
  std::uint32_t empty_rounds_ = 0;
  std::atomic<std::uint64_t> polls_{0};
  std::atomic<std::uint64_t> empty_polls_{0};
  std::uint64_t cpu_ns_ = 0;
};

}  // namespace engine
