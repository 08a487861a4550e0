#include "engine/bench/rounds.h"

#include <poll.h>

#include <array>
#include <cstdio>

#include "engine/base/error.h"
#include "engine/clock.h"

namespace engine::bench {

Woken await(int event_fd, const cli::Signals& signals, double seconds) {
  const std::uint64_t end_ns = monotonic_ns() + static_cast<std::uint64_t>(seconds * 1e9);
  std::array<pollfd, 2> waits{{{signals.stop_fd(), POLLIN, 0}, {event_fd, POLLIN, 0}}};
  for (std::uint64_t now_ns; (now_ns = monotonic_ns()) < end_ns;) {
    poll(waits.data(), waits.size(), static_cast<int>((end_ns - now_ns + 999'999) / 1'000'000));
    if (waits[0].revents != 0) return Woken::by_stop;
    if (waits[1].revents != 0) return Woken::by_event;
  }
  return Woken::by_time;
}

Woken await_first(int event_fd, const cli::Signals& signals, double patience_s, const std::string& interface) {
  const Woken woken = await(event_fd, signals, patience_s);
  if (woken != Woken::by_time) return woken;
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%g s", patience_s);
  throw SetupError(ExitCode::runtime_failure, "receive on " + interface,
                   std::string("no packet came within ") + seconds,
                   "start a generator at the other end, or give --patience");
}

namespace {

std::string why_no_cycles() {
  const CycleCounter counter;
  return counter.works() ? "a process that is watched from outside was measured" : counter.reason();
}

}  // namespace

void add_costs(const ThreadCost& cost, std::uint64_t packets, Result& result) {
  const double cpu_ns = packets > 0 ? static_cast<double>(cost.cpu_ns) / static_cast<double>(packets) : 0;
  result.add("cpu_ns_per_packet", cpu_ns);
  if (const auto user = cost.user_share()) {
    result.add("user_ns_per_packet", cpu_ns * *user);
    result.add("kernel_ns_per_packet", cpu_ns * (1 - *user));
  } else {
    result.cannot("user_ns_per_packet", "a round was shorter than a clock tick");
    result.cannot("kernel_ns_per_packet", "a round was shorter than a clock tick");
  }
  if (cost.cycles && packets > 0) {
    result.add("cycles_per_packet", static_cast<double>(*cost.cycles) / static_cast<double>(packets));
  } else {
    result.cannot("cycles_per_packet", cost.cycles ? "no packet came" : why_no_cycles());
  }
}

void add_rates(const WorkerSample& change, Result& result) {
  const auto per = [&result](std::string_view name, double part, double whole) {
    result.add(name, whole > 0 ? part / whole : 0);
  };
  const double seconds = static_cast<double>(change.at_ns) * 1e-9;
  const double packets = static_cast<double>(change.packets);
  per("rate_pps", packets, seconds);
  per("rate_bytes_per_s", static_cast<double>(change.bytes), seconds);
  per("ns_per_packet", seconds * 1e9, packets);
  add_costs(change.cost, change.packets, result);
  if (const auto user = change.cost.user_share()) {
    const double share = static_cast<double>(change.cost.cpu_ns) / (seconds * 1e9);
    result.add("user_share", share * *user);
    result.add("kernel_share", share * (1 - *user));
  }
  if (change.polls == 0 && change.packets > 0) return;  // of an engine that is watched from outside they are not known
  per("packets_per_batch", packets, static_cast<double>(change.batches));
  per("empty_polls_share", static_cast<double>(change.empty_polls), static_cast<double>(change.polls));
}

void SoftirqRounds::add_round(std::uint64_t packets, Result& result) {
  const std::optional<std::uint64_t> now_ns = softirq_ns();
  if (now_ns && before_ns_ && packets > 0) {
    result.add("softirq_ns_per_packet", static_cast<double>(*now_ns - *before_ns_) / static_cast<double>(packets));
  } else {
    result.cannot("softirq_ns_per_packet", packets > 0 ? "/proc/stat does not tell" : "no packet came");
  }
  before_ns_ = now_ns;
}

}  // namespace engine::bench
