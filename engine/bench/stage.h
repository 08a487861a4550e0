// One thing whose cost per packet is measured in memory, and how several are measured side by side.
//
// A stage runs over all its frames once a pass. What others would do meanwhile (the collector, the kernel) is done
// between two passes, outside the time. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/bench/report.h"

namespace engine::bench {

inline constexpr std::uint64_t kWarmPasses = 8;

class Stage {
 public:
  virtual ~Stage() = default;
  virtual std::uint64_t pass() = 0;  // packets (records, lines) that went through
  virtual void between() {}
  // Passes before the first that counts, and what is done behind them.
  virtual std::uint64_t warm_passes() const { return kWarmPasses; }
  virtual void warmed() {}
  // What the stage itself counted, where it can tell: must equal the sum of pass(). A sum that differs is no
  // measurement. Asked once, at the end.
  virtual std::uint64_t counted() = 0;
};

struct NamedStage {
  std::string name;
  Parameters params;
  std::string value_name = "ns_per_packet";
  std::unique_ptr<Stage> stage;
};

struct RoundPlan {
  std::uint64_t rounds = 7;
  std::uint64_t time_ns = 20'000'000;  // of each stage in each round, at least
};

// All stages in turn, in every round in another order; the values are CPU time of the calling thread. `is_over`: asked
// between two rounds. Throws SetupError where a stage has not counted what it was given.
std::vector<Result> measure(std::vector<NamedStage>& stages, const RoundPlan& plan);

}  // namespace engine::bench
