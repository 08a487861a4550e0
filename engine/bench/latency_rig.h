// One round of `engine bench latency`: the engine as it ships (capture, worker, a Lua analyzer, collector, JSON lines)
// takes what our generator sends on another interface, and every stamped packet says how long it was on its way.
//
//   wire to Lua      from the stamp in the packet to a look at the clock in on_packet
//   wire to result   from there to the moment at which the packet's line of JSON has been written
//
// Main thread; it starts and joins the others.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "engine/analysis.h"
#include "engine/bench/options.h"
#include "engine/bench/report.h"
#include "engine/bench/trial_rig.h"
#include "engine/capture.h"
#include "engine/results/collector.h"
#include "engine/session.h"
#include "plugins/histogram.h"

namespace engine::bench {

// Buckets are at most 0.1 % wide: a percentile is within 0.05 % of the value of its rank.
inline constexpr std::uint32_t kLatencyDigits = 3;
inline constexpr double kLongestLatency_ns = 1e12;

struct Latencies {
  plugins::Histogram to_lua{kLongestLatency_ns, kLatencyDigits};
  plugins::Histogram to_result{kLongestLatency_ns, kLatencyDigits};
};

struct LatencyConfig {
  cli::InterfaceSetting interface;
  bool take_all = false;
  std::uint64_t skip = 100;  // packets at the round's beginning that are not measured: the first of everything
};

class LatencyRig {
 public:
  // Attached and bound; nothing arrives before start(). Throws SetupError.
  LatencyRig(const LatencyConfig& config, const Shared& shared, const cli::Log& log);
  ~LatencyRig();  // stops it
  LatencyRig(const LatencyRig&) = delete;
  LatencyRig& operator=(const LatencyRig&) = delete;

  void start();
  // Until so many packets were measured, or nothing comes for a while. Then everything ends and figures are final.
  void finish(std::uint64_t expected);

  const Latencies& latencies() const noexcept { return latencies_; }
  std::uint64_t measured() const noexcept { return measured_.load(std::memory_order_relaxed); }
  std::uint64_t results_dropped() const noexcept;
  std::uint64_t plugin_errors() const noexcept;
  std::uint64_t unaccounted() { return bench::unaccounted(capture_.ledger(stopped_)); }
  InterfaceUsed used() const;

 private:
  void stop();

  // Destroyed in reverse order: threads have ended by then.
  cli::Settings settings_;
  Latencies latencies_;
  std::atomic<std::uint64_t> measured_{0};
  Capture capture_;
  std::vector<std::unique_ptr<Analysis>> analyses_;
  RunControl control_;
  std::vector<std::unique_ptr<Worker>> workers_;
  PluginSet plugins_;
  std::unique_ptr<Collector> collector_;
  std::vector<std::thread> threads_;
  cpu_set_t cpus_before_;  // the main thread's: while it runs it keeps off the workers' cores
  bool started_ = false;
  bool stopped_ = false;
};

// Adds the percentiles and the greatest as latency_p50_ns and so on: one value of a round.
void add_latencies(const plugins::Histogram& histogram, Result& result);

}  // namespace engine::bench
