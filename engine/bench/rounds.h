// Rounds of measuring: waiting for what begins and ends them, and what two samples say of the time between. Main
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/bench/report.h"
#include "engine/bench/sampled_worker.h"
#include "engine/cli/signals.h"
#include "engine/thread_meter.h"

namespace engine::bench {

enum class Woken { by_event, by_stop, by_time };

// Until the descriptor is readable, the end is asked for, or so long.
Woken await(int event_fd, const cli::Signals& signals, double seconds);

// The same for the first packet on an interface; throws SetupError where none comes in time.
Woken await_first(int event_fd, const cli::Signals& signals, double patience_s, const std::string& interface);

// Rate and cost of what one worker, or several together, did in a round.
void add_rates(const WorkerSample& change, Result& result);

// CPU time of threads for each of so many packets, in user space and in the kernel, and cycles where they are counted.
void add_costs(const ThreadCost& cost, std::uint64_t packets, Result& result);

// What the kernel's softirqs took meanwhile, on all cores, for each packet received.
class SoftirqRounds {
 public:
  void add_round(std::uint64_t packets, Result& result);

 private:
  std::optional<std::uint64_t> before_ns_ = softirq_ns();
};

}  // namespace engine::bench
