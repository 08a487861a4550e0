// The collector: takes the workers' messages from their rings, merges the parts of an interval over the workers, and
// hands results to the outputs. One thread; the workers never wait for it (live), never call it, never see a lock.
//
// Live, results come out as they come in. For a capture file they come out in the order of the packets, whatever the
// number of workers: see order.h. There a full ring makes the worker wait, and the worker its source.
//
// The thread looks at the rings each millisecond while there is something, up to 20 ms apart when there is nothing
// (less where what plugins say takes effect in the kernel): a worker pays no system call for waking it, and an idle
// engine costs 50 short wake-ups a second.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/base/unique_fd.h"
#include "engine/results/intervals.h"
#include "engine/results/order.h"
#include "engine/results/output.h"
#include "engine/spsc.h"
#include "plugins/abi.h"
#include "plugins/registry.h"
#include "plugins/structure.h"

namespace engine {

// What the collector has to know of a plugin; the same on every worker.
struct CollectedPlugin {
  std::string name;
  std::uint64_t interval_ns = 1'000'000'000;
  const plugins::Registry* registry = nullptr;  // outlives the collector
};

inline constexpr int kLongestPause_ms = 20;

struct CollectorConfig {
  std::vector<CollectedPlugin> plugins;
  std::uint64_t epoch_ns = 0;
  bool in_order = false;  // files
  std::uint64_t summary_interval_ns = 1'000'000'000;
  std::vector<std::string> interfaces;  // as the summary line names them

  // Called on the collector's thread. `drops`: totals so far, live only (in a file they depend on timing).
  std::function<std::vector<LedgerRow>()> drops;
  std::function<void(int level, std::string_view plugin, std::string_view text)> log;  // 0 error … 3 debug
  // What plugins ask of the kernel: the body of a message of one of those kinds.
  std::function<void(std::uint8_t plugin, std::uint8_t kind, std::span<const std::byte> request)> request;
  std::function<void()> each_round;
  std::function<int()> longest_pause_ms = [] { return kLongestPause_ms; };  // between two looks at the rings
  std::function<void()> on_reader_gone;                     // once: nobody reads the results any more
  std::function<void(const std::string& line)> on_failure;  // once: an output cannot be written
};

class Collector {
 public:
  Collector(CollectorConfig config, std::vector<std::unique_ptr<Output>> outputs);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // --- set-up, main thread ------------------------------------------------------------------------------------------
  std::size_t add_worker(SpscRing& ring);  // its number; the ring is valid until join() has returned
  void start();

  // --- while it runs, any thread ------------------------------------------------------------------------------------
  // After the worker's last publish: nothing more will come. The thread ends when all workers have.
  void worker_ended(std::size_t worker) noexcept;
  // Look now. Live workers never call it.
  void wake() noexcept;
  // Wakes it and sleeps until it has looked once: for a worker that waits for room or for a structure's return (files),
  // which then looks again whether it has it. Between start() and worker_ended() only.
  void wait_for_round() noexcept;
  // A signal came: a reader that is stuck gets one more second.
  void interrupt() noexcept;
  // A line of its own: {"ts","type":"event","event":…}; `members` is JSON text without braces, may be empty.
  void event(std::uint64_t utc_ns, std::string_view event, std::string_view members);
  // Readable once everything has been delivered or dropped and the thread is about to end.
  int done_fd() const noexcept { return done_.get(); }
  // Results of this worker that were dropped here because the reader is slow (a full ring counts at the worker).
  std::uint64_t results_dropped(std::size_t worker) const noexcept;
  std::uint64_t results(std::size_t worker) const noexcept;  // delivered to the outputs

  void join();
  OutputLedger ledger() const noexcept;  // after join()

  // One look at all rings; the number of messages taken. The thread's step, and what tests call instead of start().
  std::size_t round();
  // What the thread does at the end; for tests that did not start it.
  void close();

 private:
  struct Worker {
    SpscRing* ring = nullptr;
    std::atomic<bool> ended{false};
    bool drained = false;
    std::atomic<std::uint64_t> results{0};
    std::atomic<std::uint64_t> dropped{0};
  };
  struct Event {
    std::uint64_t utc_ns;
    std::string name;
    std::string members;
  };

  void run();
  bool all_drained() const noexcept;
  void sleep(int timeout_ms) noexcept;
  std::size_t take(std::size_t number);
  void watch_for_stall(std::size_t taken) noexcept;
  void accept(std::size_t worker, const engine_message& head, std::span<const std::byte> payload);
  void deliver(std::size_t worker, const engine_message& head, std::span<const std::byte> payload);
  void log_message(const engine_message& head, std::span<const std::byte> payload);
  void publish_intervals();
  void publish(const Interval& interval);
  void publish_part(Span span, std::size_t plugin, std::uint16_t number, const plugins::Part& part);
  void finish_totals();
  Span span_of(const Interval& interval) const noexcept;
  std::vector<LedgerRow> drops_of_interval();
  void publish_events();
  void emit_ordered();
  void look_at_outputs();
  void count(std::size_t worker, bool delivered) noexcept;
  std::size_t plugin_slot(std::uint8_t plugin) const noexcept;

  CollectorConfig config_;
  std::vector<std::unique_ptr<Output>> outputs_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Intervals intervals_;
  // What cumulative structures have come to, by plugin and number; and the last interval of each plugin.
  std::map<std::pair<std::size_t, std::uint16_t>, std::unique_ptr<plugins::Part>> totals_;
  std::vector<Span> last_spans_;
  Order order_;
  bool held_back_ = false;      // a worker was not taken from in this round: it is far ahead
  double watermark_ = 0;        // at the last round
  std::uint64_t moved_ns_ = 0;  // when it last rose, or nobody was held back
  bool stalled_ = false;
  std::vector<LedgerRow> drops_before_;
  std::mutex events_mutex_;  // cold: a handful of events in a run
  std::vector<Event> events_;
  std::atomic<bool> has_events_{false};
  std::atomic<std::uint32_t> rounds_{0};  // looks so far, for those who wait for one
  bool told_gone_ = false;
  bool told_failure_ = false;
  UniqueFd wake_;
  UniqueFd done_;
  std::thread thread_;
};

}  // namespace engine
