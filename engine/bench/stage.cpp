#include "engine/bench/stage.h"

#include "engine/base/error.h"
#include "engine/clock.h"

namespace engine::bench {
namespace {

struct Sum {
  std::uint64_t packets = 0;
  std::uint64_t ns = 0;
};

void run_pass(Stage& stage, Sum& sum) {
  const std::uint64_t begin_ns = thread_cpu_ns();
  sum.packets += stage.pass();
  sum.ns += thread_cpu_ns() - begin_ns;
  stage.between();
}

}  // namespace

std::vector<Result> measure(std::vector<NamedStage>& stages, const RoundPlan& plan) {
  std::vector<Result> results;
  std::vector<std::uint64_t> given(stages.size());
  for (std::size_t i = 0; i < stages.size(); ++i) {
    results.push_back({.name = stages[i].name, .params = stages[i].params, .values = {}, .notes = {}, .steps = {}});
    Sum warm;
    for (std::uint64_t pass = 0; pass < stages[i].stage->warm_passes(); ++pass) run_pass(*stages[i].stage, warm);
    stages[i].stage->warmed();
    given[i] = warm.packets;
  }
  for (std::uint64_t round = 0; round < plan.rounds; ++round) {
    for (std::size_t turn = 0; turn < stages.size(); ++turn) {
      // Every other round backwards: who comes behind whom changes too.
      const std::size_t at = (round % 2 == 0 ? turn : stages.size() - 1 - turn);
      Sum sum;
      while (sum.ns < plan.time_ns) run_pass(*stages[at].stage, sum);
      given[at] += sum.packets;
      results[at].add(stages[at].value_name, static_cast<double>(sum.ns) / static_cast<double>(sum.packets));
    }
  }
  for (std::size_t i = 0; i < stages.size(); ++i) {
    if (const std::uint64_t counted = stages[i].stage->counted(); counted != given[i])
      throw SetupError(ExitCode::runtime_failure, "measure " + stages[i].name,
                       "it was given " + std::to_string(given[i]) + " packets and counted " + std::to_string(counted));
  }
  return results;
}

}  // namespace engine::bench
