// A pinned thread that looks at its queues until it is told to end, and gives samples of what it did.
//
// Everything it counts is its own until the main thread asks for a sample, which it takes between two looks, so that
// packets, time and CPU time of a sample belong together.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/unique_fd.h"
#include "engine/thread_meter.h"

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

// What came between two samples of one worker, and what several did together.
WorkerSample difference(const WorkerSample& after, const WorkerSample& before);
WorkerSample sum(const std::vector<WorkerSample>& samples);

// What the main thread and the workers tell each other.
struct WorkerControl {
  WorkerControl();  // throws SetupError

  std::atomic<bool> ending{false};            // nothing new arrives: what is there is served, then they end
  std::atomic<std::uint32_t> samples{0};      // asked for so far
  std::atomic<std::uint64_t> budget_used{0};  // packets of all workers, under a limit only
  std::uint64_t limit = 0;                    // packets; 0: none
  UniqueFd first;                             // eventfds that a worker writes: the first packet is there,
  UniqueFd done;                              // the limit is reached
};

struct WorkerConfig {
  std::uint32_t batch = 64;
  bool spin = true;
  bool watch_gaps = false;  // costs a look at the clock for each look at the queues
};

class SampledWorker {
 public:
  // `fds`: the sockets, to sleep on. The control outlives it. Throws SetupError.
  SampledWorker(std::vector<int> fds, WorkerControl& control, const WorkerConfig& config);
  SampledWorker(const SampledWorker&) = delete;
  SampledWorker& operator=(const SampledWorker&) = delete;
  virtual ~SampledWorker() = default;

  void run() noexcept;          // the thread's body
  void wake() const noexcept;   // any thread: it sleeps in poll() no longer
  WorkerSample sample() const;  // waits until it has taken the sample that was asked for last; the main thread's
  WorkerSample begin() const;   // the same, but as it was before the first packet, if there was one

 protected:
  // Serves every queue once; returns how many packets there were.
  virtual std::uint32_t look() noexcept = 0;
  // Idle: tells the kernel what it may be waiting for.
  virtual void remind() noexcept = 0;
  // Nothing is on its way back: it may end.
  virtual bool settled() noexcept { return true; }

  void count(std::uint32_t packets, std::uint64_t bytes, std::uint64_t ours) noexcept;
  std::uint32_t batch() const noexcept { return config_.batch; }

 private:
  WorkerSample sample_now() const noexcept;
  void take_sample() noexcept;
  void idle() noexcept;
  void look_at_clock() noexcept;
  bool may_end() noexcept;

  std::vector<int> fds_;
  WorkerControl& control_;
  WorkerConfig config_;
  UniqueFd wake_;
  const ThreadMeter* meter_ = nullptr;  // the worker's own, as the next
  WorkerSample now_;
  WorkerSample begin_;  // once the first packet is there
  std::uint64_t last_look_ns_ = 0;
  std::uint64_t give_up_ns_ = 0;
  std::uint32_t empty_rounds_ = 0;
  WorkerSample given_;
  WorkerSample given_begin_;
  std::atomic<std::uint32_t> samples_given_{0};
};

// Their threads. Main thread.
class WorkerThreads {
 public:
  explicit WorkerThreads(WorkerControl& control) noexcept : control_(control) {}
  ~WorkerThreads() { end(); }

  // workers[i] runs on cpus[i], and this thread keeps off these cores. The workers outlive the threads. Throws
  // SetupError.
  void start(std::vector<SampledWorker*> workers, const std::vector<unsigned>& cpus, const std::string& name);
  void end() noexcept;
  std::vector<WorkerSample> sample();  // one for each, now; not after end()
  std::vector<WorkerSample> begin();   // the same as it was before the first packet, of those that had one

 private:
  void ask() noexcept;

  WorkerControl& control_;
  std::vector<SampledWorker*> workers_;
  std::vector<std::thread> threads_;
};

}  // namespace engine::bench
