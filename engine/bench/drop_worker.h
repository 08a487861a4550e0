// A thread that receives and drops: it reads four bytes of each packet and gives the frame back, as the least that any
// receiver does.
//
// Everything it counts is its own until the main thread asks for a sample, which it takes between two looks at its
// queues, so that packets, time and CPU time of a sample belong together.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/base/unique_fd.h"
#include "engine/thread_meter.h"
#include "engine/worker.h"

namespace engine::bench {

struct WorkerSample {
  std::uint64_t at_ns = 0;
  ThreadCost cost;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t ours = 0;  // to the address that our generator sends to, so that others' packets hide no loss
  std::uint64_t batches = 0;
  std::uint64_t polls = 0;  // since the first packet
  std::uint64_t empty_polls = 0;
  std::uint64_t longest_gap_ns = 0;  // between two looks at the queues, waiting apart; only where it is asked for
};

// What came between two samples.
WorkerSample difference(const WorkerSample& after, const WorkerSample& before);

// What the main thread and the workers tell each other.
struct DropControl {
  std::atomic<bool> ending{false};            // the program is detached: what the rings hold is taken, then it ends
  std::atomic<std::uint32_t> samples{0};      // asked for so far
  std::atomic<std::uint64_t> budget_used{0};  // packets of all workers, under a limit only
  std::uint64_t limit = 0;                    // packets; 0: none
  int first_fd = -1;                          // eventfds that a worker writes: the first packet is there,
  int done_fd = -1;                           // the limit is reached
};

class DropWorker {
 public:
  struct Config {
    std::uint32_t batch = 64;
    bool spin = true;
    bool watch_gaps = false;  // costs a look at the clock for each look at the queues
  };

  // The lanes and the control outlive it. Throws SetupError.
  DropWorker(std::vector<Lane*> lanes, DropControl& control, const Config& config);

  void run() noexcept;          // the thread's body
  void wake() const noexcept;   // any thread: it sleeps in poll() no longer
  WorkerSample sample() const;  // waits until it has taken the sample that was asked for last; the main thread's

 private:
  void take_sample(const ThreadMeter& meter) noexcept;
  std::uint32_t serve(Lane& lane) noexcept;
  void count(Lane& lane, std::uint32_t packets, std::uint64_t bytes, std::uint64_t ours) noexcept;
  void idle() noexcept;
  void look_at_clock() noexcept;

  std::vector<Lane*> lanes_;
  DropControl& control_;
  Config config_;
  UniqueFd wake_;
  WorkerSample now_;  // the worker's own
  std::uint64_t last_look_ns_ = 0;
  std::uint32_t empty_rounds_ = 0;
  WorkerSample given_;
  std::atomic<std::uint32_t> samples_given_{0};
};

}  // namespace engine::bench
