// `engine bench latency`: how long a packet takes from the wire to Lua, and to the line of JSON that it leads to.
#include <cmath>
#include <string>

#include "engine/base/error.h"
#include "engine/bench/bench.h"
#include "engine/bench/latency_rig.h"

namespace engine::bench {
namespace {

constexpr std::uint64_t kMostPackets = 1'000'000'000;

constexpr std::string_view help_text =
    "Sends stamped packets on --gen-iface and measures, for each that arrives on --iface, the time from its stamp to\n"
    "on_packet in Lua, and to the moment at which a line of JSON about it has been written. The stamp is taken when\n"
    "the sender begins a batch: at rates up to 10000 packets/s that is a single packet, above them a batch's packets\n"
    "share a stamp, and the sender's own work on the batch counts as way.";

struct Settings {
  Shared shared;
  LatencyConfig receiver;
  GeneratorConfig generator;
  double rate_pps = 10'000;
  std::uint64_t count = 10'000;
  std::uint16_t frame_bytes = 64;
};

std::vector<cli::Option> own_options(Settings& s) {
  std::vector<cli::Option> options{interface_option(s.receiver.interface, "interface to receive on")};
  options.push_back({.name = "take-all",
                     .help = "also where this takes the packets of a default route or of a connection",
                     .value = cli::flag(s.receiver.take_all)});
  for (cli::Option& option : generator_options(s.generator)) options.push_back(std::move(option));
  options.push_back({.name = "rate",
                     .value_name = "PPS",
                     .help = "packets a second",
                     .value = cli::real(s.rate_pps, 1, 1e9),
                     .section = "How much"});
  options.push_back({.name = "count",
                     .letter = 'n',
                     .value_name = "N",
                     .help = "packets a round, of which the first 100 are not measured",
                     .value = cli::number(s.count, s.receiver.skip + 1, kMostPackets)});
  options.push_back({.name = "size",
                     .value_name = "BYTES",
                     .help = "frame length without FCS; the stamp needs 58",
                     .value = cli::number(s.frame_bytes, 60, gen::max_frame_bytes)});
  options.push_back({.name = "mode",
                     .value_name = "MODE",
                     .help = "how packets are taken; a mode that is named fails where it is not to be had",
                     .value = cli::choice(s.shared.mode, {{"auto", xsk::RequestedMode::automatic},
                                                          {"zerocopy", xsk::RequestedMode::zerocopy},
                                                          {"copy", xsk::RequestedMode::copy},
                                                          {"skb", xsk::RequestedMode::skb},
                                                          {"afpacket", xsk::RequestedMode::afpacket}})});
  return options;
}

std::vector<cli::Option> shared_ones(Settings& s) {
  return shared_options(s.shared, {"queues", "cpus", "wait", "rounds"});
}

struct Results {
  Result to_lua{.name = "wire_to_lua", .params = {}, .values = {}, .notes = {}, .steps = {}};
  Result to_result{.name = "wire_to_result", .params = {}, .values = {}, .notes = {}, .steps = {}};
  Result ledger{.name = "ledger", .params = {}, .values = {}, .notes = {}, .steps = {}};
};

// False: a signal ended it.
bool run_round(const Settings& settings, const cli::Log& log, Results& results, Report& report) {
  LatencyRig rig(settings.receiver, settings.shared, log);
  report.interface = rig.used();
  rig.start();
  gen::Settings gen = settings.generator.gen;
  gen.rate_pps = settings.rate_pps;
  gen.count = settings.count;
  gen.traffic.sizes = {{settings.frame_bytes, 1}};
  const gen::Report sent = send_from(settings.generator, gen);
  if (sent.interrupted) return false;
  const std::uint64_t expected = sent.stamped - std::min(sent.stamped, settings.receiver.skip);
  rig.finish(expected);
  if (rig.plugin_errors() != 0)
    throw SetupError(ExitCode::runtime_failure, "measure the way to Lua", "the analyzer failed");
  if (rig.measured() > expected)
    throw SetupError(
        ExitCode::runtime_failure, "receive on " + settings.receiver.interface.name,
        std::to_string(rig.measured()) + " test packets came and " + std::to_string(expected) + " were sent",
        "end the other generator");
  add_latencies(rig.latencies().to_lua, results.to_lua);
  add_latencies(rig.latencies().to_result, results.to_result);
  const auto add = [&results](std::string_view name, std::uint64_t value) {
    results.ledger.add(name, static_cast<double>(value));
  };
  add("sent", sent.total.packets);
  add("measured", rig.measured());
  add("lost", expected - rig.measured());
  add("results_dropped", rig.results_dropped());
  add("unaccounted", rig.unaccounted());
  results.ledger.add("rate_pps", static_cast<double>(sent.total.packets) / sent.seconds);
  return true;
}

}  // namespace

ExitCode run_latency(std::span<char* const> args) {
  Settings settings;
  if (!parse({"latency", "--iface IF --gen-iface IF [options]", help_text}, own_options(settings),
             shared_ones(settings), settings.shared, args))
    return ExitCode::done;
  require_interface("latency", settings.receiver.interface);
  require_generator("latency", settings.generator);
  Report report = begin_report("latency", args);
  report.traffic = {{"rate_pps", settings.rate_pps},
                    {"count", settings.count},
                    {"frame_bytes", std::uint64_t{settings.frame_bytes}},
                    {"flows", std::uint64_t{settings.generator.gen.traffic.flows}}};
  const cli::Log log(cli::LogLevel::error);
  Results results;
  for (std::uint32_t round = 0; round < settings.shared.rounds; ++round) {
    if (run_round(settings, log, results, report)) continue;
    report.missing.push_back({"the remaining rounds", "the measurement was interrupted", ""});
    break;
  }
  for (Result* result : {&results.to_lua, &results.to_result})
    result->notes.push_back("a percentile is within 0.05 % of the value of its rank");
  report.results = {std::move(results.to_lua), std::move(results.to_result), std::move(results.ledger)};
  publish(report, settings.shared.json_path);
  return ExitCode::done;
}

}  // namespace engine::bench
