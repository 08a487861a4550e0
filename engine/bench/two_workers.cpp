#include "engine/bench/two_workers.h"

#include <sched.h>

#include <array>
#include <atomic>
#include <barrier>
#include <thread>

#include "engine/base/error.h"
#include "engine/bench/memory_stages.h"
#include "engine/cli/settings.h"
#include "engine/clock.h"
#include "numa/memory.h"

namespace engine::bench {
namespace {

constexpr double kTarget = 1.8;

struct Count {
  std::uint64_t packets = 0;
  std::uint64_t ns = 0;  // of passes alone
  double rate_pps() const noexcept { return static_cast<double>(packets) * 1e9 / static_cast<double>(ns); }
};

// Passes for so long, by the calling thread.
Count run_for(Stage& stage, std::uint64_t time_ns) {
  Count count;
  while (count.ns < time_ns) {
    const std::uint64_t begin_ns = thread_cpu_ns();
    count.packets += stage.pass();
    count.ns += thread_cpu_ns() - begin_ns;
    stage.between();
  }
  return count;
}

// Both run until both have been timed, so that neither is timed alone.
std::array<Count, 2> run_both(std::array<Stage*, 2> stages, const std::vector<unsigned>& cpus, std::uint64_t time_ns,
                              std::array<std::uint64_t, 2>& given) {
  std::array<Count, 2> counts;
  std::barrier start(2);
  std::atomic<int> timing{2};
  const auto body = [&](std::size_t i) {
    numa::pin_this_thread(cpus[i]);
    start.arrive_and_wait();
    counts[i] = run_for(*stages[i], time_ns);
    given[i] += counts[i].packets;
    timing.fetch_sub(1);
    while (timing.load() > 0) given[i] += run_for(*stages[i], 1).packets;
  };
  std::thread other(body, 1);
  body(0);
  other.join();
  return counts;
}

}  // namespace

std::vector<unsigned> measuring_cpus(const std::string& list) {
  if (!list.empty()) return cli::parse_cpu_list(list);
  cpu_set_t allowed;
  std::vector<unsigned> cpus;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return {0};
  for (unsigned cpu = CPU_SETSIZE; cpu-- > 0 && cpus.size() < 2;)
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  return cpus;
}

void add_two_workers(const std::vector<unsigned>& cpus, const gen::TrafficSpec& traffic, std::uint32_t frames,
                     const RoundPlan& plan, Report& report) {
  if (cpus.size() < 2) {
    report.missing.push_back({"two_workers", "there is one core", "give two: --cpus A,B"});
    return;
  }
  const auto first = worker_stage(traffic, frames, 1), second = worker_stage(traffic, frames, 1);
  Result one{.name = "one_worker", .params = {}, .values = {}, .notes = {}, .steps = {}};
  Result two{.name = "two_workers", .params = {}, .values = {}, .notes = {}, .steps = {}};
  std::array<std::uint64_t, 2> given{};
  run_both({first.get(), second.get()}, cpus, plan.time_ns, given);
  for (std::uint64_t round = 0; round < plan.rounds; ++round) {
    const auto alone = [&] {
      const Count count = run_for(*first, plan.time_ns);
      given[0] += count.packets;
      one.add("rate_pps", count.rate_pps());
    };
    if (round % 2 == 0) alone();
    const auto both = run_both({first.get(), second.get()}, cpus, plan.time_ns, given);
    two.add("rate_pps", both[0].rate_pps() + both[1].rate_pps());
    if (round % 2 != 0) alone();
  }
  if (first->counted() != given[0] || second->counted() != given[1])
    throw SetupError(ExitCode::runtime_failure, "measure two workers", "one has not counted what it was given");
  report.ratios.push_back(ratio_of(two, one, "rate_pps", Better::higher, kTarget));
  report.results.push_back(std::move(one));
  report.results.push_back(std::move(two));
}

}  // namespace engine::bench
