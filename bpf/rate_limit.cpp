#include "bpf/rate_limit.h"

#include <ctime>

#include <algorithm>
#include <limits>

namespace bpf {
namespace {

constexpr std::uint64_t kSecond_ps = 1'000'000'000'000;
constexpr std::uint64_t kMaxBurst_ps = 3600 * kSecond_ps;  // far from where 64 bits wrap

}  // namespace

std::uint64_t kernel_tick_ns() {
  timespec tick = {};
  clock_getres(CLOCK_MONOTONIC_COARSE, &tick);  // advances with the tick (kernel/time/posix-timers.c: KTIME_LOW_RES)
  return static_cast<std::uint64_t>(tick.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(tick.tv_nsec);
}

bool set_rate(const RateLimit& limit, std::uint64_t tick_ns, root_live& live) {
  if (limit.max_pps > RateLimit::max_max_pps) return false;
  live.tick_ps = tick_ns * 1000;
  live.rate_cost_ps = limit.max_pps == 0 ? 0 : kSecond_ps / limit.max_pps;
  live.rate_burst_ps = 0;
  if (limit.max_pps == 0) return true;
  const std::uint64_t wanted_ps = limit.burst == 0                                 ? kSecond_ps / 10
                                  : limit.burst > kMaxBurst_ps / live.rate_cost_ps ? kMaxBurst_ps
                                                                                   : limit.burst * live.rate_cost_ps;
  live.rate_burst_ps = std::max<__u64>({wanted_ps, 2 * live.tick_ps, live.rate_cost_ps});
  return true;
}

std::uint64_t effective_burst(const RateLimit& limit, std::uint64_t tick_ns) {
  root_live live = {};
  if (!set_rate(limit, tick_ns, live) || live.rate_cost_ps == 0) return std::numeric_limits<std::uint64_t>::max();
  return live.rate_burst_ps / live.rate_cost_ps;
}

}  // namespace bpf
