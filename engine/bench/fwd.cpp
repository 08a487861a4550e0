// `engine bench fwd`: forwarding on layer 2 by AF_XDP, between two interfaces or back out of one.
#include <cstdio>
#include <string>

#include "engine/bench/bench.h"
#include "engine/bench/forwarder.h"
#include "engine/bench/report.h"
#include "engine/bench/rounds.h"
#include "engine/cli/log.h"

namespace engine::bench {
namespace {

constexpr std::string_view help_text =
    "Sends what comes in on one interface out of the other, in both directions, or with one interface back out of it.\n"
    "Packets stay in the frames that they came in: nothing is copied in user space. Measuring begins with the first\n"
    "packet. Every packet is accounted for: received = forwarded + tx_ring_full + bad, by direction.";

struct Settings {
  Shared shared;
  ForwarderConfig forwarder;
  double patience_s = 30;
};

std::vector<cli::Option> own_options(Settings& s) {
  ForwarderConfig& config = s.forwarder;
  std::vector<cli::Option> options = first_packet_options(config.take_all, config.limit, s.patience_s);
  options.insert(options.begin(), {.name = "iface",
                                   .letter = 'i',
                                   .value_name = "IF",
                                   .help = "interface; given twice, the two forward to each other",
                                   .value = cli::repeated(config.interfaces),
                                   .section = "Where"});
  options.insert(options.begin() + 2,
                 {.name = "swap-macs",
                  .help = "exchange source and destination address, so that packets go back to who sent them",
                  .value = cli::flag(config.swap_macs)});
  return options;
}

std::vector<cli::Option> shared_ones(Settings& s) {
  return shared_options(s.shared, {"mode", "queues", "batch", "cpus", "wait", "duration", "rounds"});
}

void require_sense(const Settings& s) {
  const std::vector<std::string>& names = s.forwarder.interfaces;
  if (names.empty()) throw SetupError(ExitCode::bad_usage, "engine bench fwd", "needs an interface", "give --iface IF");
  if (names.size() > 2)
    throw SetupError(ExitCode::bad_usage, "--iface " + names[2], "is one too many", "give one or two");
  if (names.size() == 2 && names[0] == names[1])
    throw SetupError(ExitCode::bad_usage, "--iface " + names[1], "is given twice",
                     "give it once to send back out of it");
}

Result direction_result(const ForwardLedger& ledger) {
  Result result{.name = "fwd_direction", .params = {{"from", ledger.in.interface}, {"to", ledger.out_interface}}};
  const auto add = [&result](std::string_view name, std::uint64_t value) {
    result.add(name, static_cast<double>(value));
  };
  add("xdp_seen", ledger.in.xdp_seen);
  add("no_socket", ledger.in.no_socket);
  add("rx_dropped", ledger.in.rx_dropped);
  add("rx_ring_full", ledger.in.rx_ring_full);
  add("received", ledger.in.rx_packets);
  add("forwarded", ledger.forwarded);
  add("tx_ring_full", ledger.tx_ring_full);
  add("bad", ledger.bad);
  add("completed", ledger.completed);
  add("unfinished", ledger.unfinished);
  add("device_refused", ledger.device_refused);
  add("unaccounted", ledger.unaccounted());
  return result;
}

Result measure(const Settings& settings, Forwarder& forwarder, const cli::Signals& signals) {
  forwarder.start();
  std::fprintf(stderr, "engine bench fwd: ready\n");
  Woken ended = await_first(forwarder.first_fd(), signals, settings.patience_s, forwarder.link(0).name);
  Result result{.name = "fwd",
                .params = {{"batch", std::uint64_t{settings.shared.batch}},
                           {"wait", forwarder.spins() ? "spin" : "poll"},
                           {"swap_macs", settings.forwarder.swap_macs ? "yes" : "no"},
                           {"workers", std::uint64_t{forwarder.workers()}}}};
  SoftirqRounds softirqs;
  WorkerSample before = sum(forwarder.begin());
  const std::uint32_t rounds = settings.forwarder.limit != 0 ? 1 : settings.shared.rounds;
  for (std::uint32_t round = 0; round < rounds && ended != Woken::by_stop; ++round) {
    ended = await(forwarder.done_fd(), signals, settings.shared.duration_s);
    const WorkerSample now = sum(forwarder.sample());
    add_rates(difference(now, before), result);
    softirqs.add_round(now.packets - before.packets, result);
    before = now;
  }
  forwarder.stop();
  return result;
}

}  // namespace

ExitCode run_fwd(std::span<char* const> args) {
  Settings settings;
  if (!parse({"fwd", "--iface IF [--iface IF] [options]", help_text}, own_options(settings), shared_ones(settings),
             settings.shared, args))
    return ExitCode::done;
  require_sense(settings);
  Report report = begin_report("fwd", args);
  const cli::Log log(cli::LogLevel::warn);
  const cli::Signals signals(log);
  Forwarder forwarder(settings.forwarder, settings.shared);
  report.interface = interface_used(forwarder.link(0), forwarder.mode(), forwarder.queues());
  report.results.push_back(measure(settings, forwarder, signals));
  std::uint64_t unaccounted = 0;
  for (const ForwardLedger& ledger : forwarder.ledgers()) {
    report.results.push_back(direction_result(ledger));
    unaccounted += ledger.unaccounted();
  }
  publish(report, settings.shared.json_path);
  return unaccounted == 0 ? ExitCode::done : ExitCode::runtime_failure;
}

}  // namespace engine::bench
