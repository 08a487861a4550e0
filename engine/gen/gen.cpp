// The command from settings to report: which way of sending, at which pace, and what the device counted meanwhile.
#include "engine/gen/gen.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "engine/gen/capture_file.h"
#include "engine/gen/live.h"
#include "engine/gen/redirect_target.h"
#include "engine/gen/traffic.h"
#include "engine/gen/tx.h"
#include "numa/memory.h"
#include "xsk/ethtool.h"
#include "xsk/link.h"

namespace engine::gen {
namespace {

// Up to here `auto` paces AF_XDP sockets, which sleep between packets; live frames would take a core for themselves.
constexpr double sleeping_pps = 200'000;
constexpr std::uint32_t ethernet_bytes = 14, vlan_bytes = 4;

// The device's counters as they stand; the difference of two readings is the run's.
NotTaken read_counters(const xsk::Link& link) {
  NotTaken counters;
  if (const auto device = xsk::read_device_counters(link.ifindex)) counters.tx_dropped = device->tx_dropped;
  for (const auto& [name, value] : xsk::ethtool::statistics(link.name)) {
    if (!name.starts_with("tx_queue_")) continue;
    if (name.ends_with("_xdp_xmit")) counters.xdp_xmit = counters.xdp_xmit.value_or(0) + value;
    if (name.ends_with("_xdp_xmit_errors")) counters.xdp_xmit_errors = counters.xdp_xmit_errors.value_or(0) + value;
  }
  return counters;
}

NotTaken difference(const NotTaken& after, const NotTaken& before) {
  NotTaken change = after;
  change.tx_dropped -= before.tx_dropped;
  if (change.xdp_xmit) *change.xdp_xmit -= before.xdp_xmit.value_or(0);
  if (change.xdp_xmit_errors) *change.xdp_xmit_errors -= before.xdp_xmit_errors.value_or(0);
  return change;
}

// The core from which live frames reach `queue`: the receiving side takes queue = CPU mod its queues (veth_select_rxq
// in drivers/net/veth.c). Its queues are taken to be as many as this side's. Nothing if no core does.
std::optional<unsigned> cpu_for(std::uint32_t queue, std::uint32_t queues) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return std::nullopt;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed) && cpu % std::max(queues, 1U) == queue) return cpu;
  }
  return std::nullopt;
}

// Why live frames will not do: what was asked for, or what the machine has. An empty reason: they will.
struct Obstacle {
  std::string reason;
  ExitCode code = ExitCode::bad_usage;
};

Obstacle live_obstacle(const Settings& settings, const xsk::Link& link, const Traffic& traffic) {
  if (!settings.replay_path.empty())
    return {"a replay is sent as it is, live frames are made by a program", ExitCode::bad_usage};
  if (settings.queues.size() > 1)
    return {"live frames reach only one queue, that of the sending core", ExitCode::bad_usage};
  if (std::string reason = LiveSender::obstacle(traffic, settings.rate_pps); !reason.empty())
    return {std::move(reason), ExitCode::bad_usage};
  if (!cpu_for(settings.queues[0], link.rx_queues))
    return {"live frames reach only queue = CPU mod queues, and none of the allowed cores leads to queue " +
                std::to_string(settings.queues[0]),
            ExitCode::machine_cannot};
  if (is_redirect_target(link.ifindex) == false)
    return {"live frames need a device that transmits redirected frames, and " + link.name +
                " does not (a veth does if its peer has an XDP program or GRO: ethtool -K PEER gro on)",
            ExitCode::machine_cannot};
  return {};
}

void require_fit(const xsk::Link& link, std::size_t longest_bytes) {
  const std::size_t limit = link.mtu_bytes + ethernet_bytes + 2 * vlan_bytes;
  if (longest_bytes > limit)
    throw SetupError(
        ExitCode::machine_cannot, "send on " + link.name,
        "frames of " + std::to_string(longest_bytes) + " bytes do not fit its MTU of " + std::to_string(link.mtu_bytes),
        "ip link set " + link.name + " mtu " + std::to_string(longest_bytes - ethernet_bytes));
}

std::unique_ptr<Sender> make_sender(const Settings& settings, const xsk::Link& link, Traffic& traffic,
                                    const Replay* replay, Report& report) {
  const Obstacle found = live_obstacle(settings, link, traffic);
  std::string obstacle = found.reason;
  if (settings.method == Method::live && !obstacle.empty())
    throw SetupError(found.code, "--method live", obstacle, "use --method tx");
  if (obstacle.empty() && settings.method == Method::automatic && settings.rate_pps > 0 &&
      settings.rate_pps <= sleeping_pps)
    obstacle = "at this rate it can sleep between packets";
  if (settings.method == Method::tx || !obstacle.empty()) {
    if (settings.method == Method::automatic) report.notes.push_back("method tx: " + obstacle);
    return std::make_unique<TxSender>(link, settings.queues, traffic, replay, settings.loops, settings.tx);
  }
  const unsigned cpu = *cpu_for(settings.queues[0], link.rx_queues);
  auto sender =
      std::make_unique<LiveSender>(traffic, link.ifindex, link.name, settings.traffic.seed, settings.queues[0]);
  numa::pin_this_thread(cpu);  // a run that changed cores would change queues
  return sender;
}

Outcome send(const Settings& settings) {
  const xsk::Link link = xsk::read_link(settings.interface_name);
  if (!link.is_up || !link.has_carrier)
    throw SetupError(ExitCode::machine_cannot, "send on " + link.name, link.is_up ? "it has no carrier" : "it is down",
                     link.is_up ? "bring the other side up" : "ip link set " + link.name + " up");
  Outcome outcome;
  outcome.report.target = link.name;
  Traffic traffic(settings.traffic);
  Load load = settings.load();
  std::optional<Replay> replay;
  if (!settings.replay_path.empty()) {
    replay = open_replay(settings, link.mtu_bytes + ethernet_bytes + 2 * vlan_bytes, load, outcome);
  } else {
    outcome.report.notes = traffic.notes();
    require_fit(link, traffic.longest_bytes());
  }
  const auto sender = make_sender(settings, link, traffic, replay ? &*replay : nullptr, outcome.report);
  Interrupts interrupts;
  const NotTaken before = read_counters(link);
  const ThreadMeter meter;
  sender->run(load, interrupts, outcome.report);
  outcome.report.cost = meter.cost();
  outcome.report.not_taken = difference(read_counters(link), before);
  if (!sender->failure().empty()) outcome.failure = sender->failure();
  if (!outcome.failure.empty() && outcome.report.total.packets == 0)
    throw SetupError(ExitCode::machine_cannot, "no packet was sent", outcome.failure);
  const double pps = static_cast<double>(outcome.report.total.packets) / std::max(outcome.report.seconds, 1e-9);
  if (pps < load.rate_pps * 0.99 && !outcome.report.interrupted)
    outcome.report.notes.push_back("the rate asked for was not reached: this machine was too slow or too busy");
  // Where the kernel cannot be asked beforehand (before 6.3) a veth's own counter tells.
  if (outcome.report.method == "live" && outcome.report.not_taken->xdp_xmit == 0)
    outcome.report.notes.push_back("the device took none: the peer of a veth must have an XDP program or GRO");
  return outcome;
}

}  // namespace

Outcome generate(const Settings& settings) {
  return settings.write_path.empty() ? send(settings) : write_file(settings);
}

Replay open_replay(const Settings& settings, std::size_t longest_bytes, Load& load, Outcome& outcome) {
  Replay replay = read_replay(settings.replay_path, longest_bytes);
  const std::uint64_t packets = replay.frames.size() * settings.loops;
  if (packets != 0) load.count = load.count == 0 ? packets : std::min(load.count, packets);
  if (!replay.damage.empty()) outcome.failure = "replay " + settings.replay_path + ": " + replay.damage;
  if (replay.unsendable != 0)
    outcome.report.notes.push_back(std::to_string(replay.unsendable) +
                                   " packets of the capture were left out: cut off, too long or too short to send");
  return replay;
}

ExitCode run(std::span<char* const> args) {
  const Settings settings = parse_settings(args);
  if (settings.help) {
    std::fputs(help_text().c_str(), stdout);
    return ExitCode::done;
  }
  const Outcome outcome = generate(settings);
  for (const std::string& note : outcome.report.notes) std::fprintf(stderr, "engine gen: %s\n", note.c_str());
  std::fprintf(stderr, "engine gen: %s\n", to_line(outcome.report).c_str());
  bool written = true;
  if (settings.json) written = std::printf("%s\n", to_json(outcome.report).c_str()) > 0 && std::fflush(stdout) == 0;
  if (!written) throw SetupError(ExitCode::runtime_failure, "write the report to stdout", std::strerror(errno));
  if (outcome.failure.empty()) return ExitCode::done;
  std::fprintf(stderr, "engine gen: %s\n", outcome.failure.c_str());
  return ExitCode::runtime_failure;
}

}  // namespace engine::gen
