#include "engine/check/measure.h"

#include <algorithm>

#include "engine/analysis.h"
#include "engine/check/rig.h"
#include "engine/clock.h"

namespace engine::check {
namespace {

constexpr std::uint64_t kTime_ns = 400'000'000;        // at least so long, and every packet once,
constexpr std::uint64_t kMostTime_ns = 5'000'000'000;  // but no longer than this
constexpr std::size_t kMostSamples = 1u << 20;
constexpr int kGarbageBatches = 64;
constexpr int kWatchedPackets = 400;
constexpr std::uint64_t kWatchTime_ns = 1'000'000'000;

Spread spread_of(std::vector<double>& samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double share) {
    return samples[static_cast<std::size_t>(share * static_cast<double>(samples.size() - 1))];
  };
  return {at(0.5), at(0.99), samples.size()};
}

// The processor's time counts, as for the deadline.
template <class Callback>
auto watch_late(Late& late, std::uint64_t deadline_ns, const Callback& callback) {
  const std::uint64_t begin_ns = thread_cpu_ns();
  const auto result = callback();
  ++late.of;
  if (thread_cpu_ns() - begin_ns > deadline_ns) ++late.count;
  return result;
}

void time_callbacks(Rig& rig, std::uint64_t deadline_ns, Measurement& result) {
  const bool has_tick = rig.inspector().has_hook("on_tick");
  std::vector<double> packet_ns, tick_ns;
  const auto offer = [&] {
    return watch_late(result.late_batches, deadline_ns, [&] { return rig.offer(kBatchPackets); });
  };
  const auto tick = [&] {
    return watch_late(result.late_ticks, deadline_ns, [&] { return static_cast<double>(rig.tick()); });
  };
  const std::uint64_t begin_ns = monotonic_ns();
  for (std::uint64_t spent_ns = 0; packet_ns.size() < kMostSamples && !rig.dead();
       spent_ns = monotonic_ns() - begin_ns) {
    if (spent_ns > kMostTime_ns || (spent_ns > kTime_ns && rig.passed_all())) break;
    const Rig::Crossing crossing = offer();
    if (crossing.packets > 0) packet_ns.push_back(static_cast<double>(crossing.ns) / crossing.packets);
    if (rig.interval_ended()) tick_ns.push_back(tick());
    rig.collect_garbage_step();
  }
  if (tick_ns.empty() && !rig.dead()) tick_ns.push_back(tick());
  result.packet_ns = spread_of(packet_ns);
  if (has_tick) result.tick_ns = spread_of(tick_ns);
}

// With the collector stopped: what is gone after a full collection was garbage.
double garbage_per_packet(Rig& rig, std::size_t memory_cap_bytes) {
  rig.inspector().collect_garbage();
  const std::uint64_t before = rig.offered();
  for (int i = 0; i < kGarbageBatches && !rig.dead(); ++i) {
    rig.offer(kBatchPackets);
    if (rig.statistics().memory_bytes > memory_cap_bytes / 2) break;
  }
  if (rig.dead() || rig.offered() == before) return 0;
  const std::size_t held_bytes = rig.statistics().memory_bytes;
  rig.inspector().collect_garbage();
  const std::size_t left_bytes = rig.statistics().memory_bytes;
  return static_cast<double>(held_bytes - std::min(left_bytes, held_bytes)) /
         static_cast<double>(rig.offered() - before);
}

// One packet a crossing; whatever is held of it afterwards is found, and reading it later is an error.
void watch_kept(const plugins::PluginSpec& spec, const Packets& packets, const plugins::Traffic& traffic,
                Measurement& result) {
  Rig rig(spec, packets, traffic);
  const std::uint64_t until_ns = monotonic_ns() + kWatchTime_ns;
  for (int i = 0; i < kWatchedPackets && monotonic_ns() < until_ns && !rig.dead(); ++i) {
    rig.offer(1);
    if (rig.dead()) return;
    rig.inspector().seize();
    if (rig.interval_ended()) rig.tick();
  }
  if (rig.dead()) return;
  rig.tick();
  if (rig.dead()) return;
  result.kept = rig.inspector().kept();
  for (const std::string& error : rig.errors())
    if (error.find("after its callback returned") != std::string::npos) result.kept_errors.push_back(error);
}

}  // namespace

std::vector<std::string> kept_packets(const plugins::PluginSpec& spec, const Packets& packets,
                                      const plugins::Traffic& traffic) {
  Measurement found;
  watch_kept(spec, packets, traffic, found);
  std::vector<std::string> lines = std::move(found.kept_errors);
  for (const plugins::Kept& kept : found.kept) {
    if (kept.is_key)
      lines.push_back("an " + kept.what + " of a packet is a table key in " + kept.name +
                      " and never found again; use p.src:key()");
  }
  return lines;
}

Measurement measure(const plugins::PluginSpec& spec, const Packets& packets, const plugins::Traffic& traffic) {
  Measurement result;
  Rig rig(spec, packets, traffic);
  result.load_ns = static_cast<double>(rig.load_ns());
  result.start_ns = rig.inspector().start_ns();
  result.by_batch = rig.inspector().has_hook("on_batch");
  result.memory_bytes = rig.statistics().memory_bytes;
  if (!packets.packets.empty()) {
    time_callbacks(rig, spec.deadline_ns, result);
    result.memory_bytes = rig.statistics().memory_bytes;
    if (!rig.dead()) result.garbage_bytes = garbage_per_packet(rig, spec.memory_bytes);
    if (!rig.dead()) result.aborts = rig.inspector().aborts();
  }
  if (!rig.dead() && rig.inspector().has_hook("on_stop")) result.stop_ns = static_cast<double>(rig.stop());
  const plugins::Statistics statistics = rig.statistics();
  const std::size_t own_bytes = rig.inspector().own_bytes();
  result.memory_bytes -= std::min(own_bytes, result.memory_bytes);
  result.packets = rig.offered();
  result.errors = statistics.errors;
  result.dead = statistics.dead;
  result.peak_memory_bytes = statistics.peak_memory_bytes - std::min(own_bytes, statistics.peak_memory_bytes);
  result.error_texts = rig.errors();
  if (!result.dead && !packets.packets.empty()) watch_kept(spec, packets, traffic, result);
  return result;
}

}  // namespace engine::check
