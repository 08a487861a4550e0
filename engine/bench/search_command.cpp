// `engine bench search`: RFC 2544's throughput, for each frame size.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "engine/bench/bench.h"
#include "engine/bench/trial_rig.h"
#include "engine/gen/live.h"

namespace engine::bench {
namespace {

constexpr std::uint32_t fcs_bytes = 4;

constexpr std::string_view help_text =
    "Finds the highest rate at which every packet that is sent on --gen-iface is received on --iface, by binary "
    "search\n"
    "(RFC 2544 section 26.1). Loss means that fewer came than were sent: one is enough. Sizes are counted as RFC 2544\n"
    "does, with the 4 bytes of FCS that a driver adds: 64 is a frame of 60 bytes here and in engine gen. RFC 2544 "
    "wants\n"
    "trials of 60 s.";

struct Settings {
  Shared shared{.rounds = 1};
  ReceiverConfig receiver;
  GeneratorConfig generator;
  SearchSettings search;
  std::vector<std::uint32_t> wire_bytes{64, 128, 256, 512, 1024, 1280, 1518};  // RFC 2544 section 9.1
};

std::vector<std::uint32_t> parse_wire_sizes(std::string_view text) {
  std::vector<std::uint32_t> sizes;
  for (const gen::SizeEntry& entry : gen::parse_sizes(text)) {
    if (entry.weight != 1) throw cli::BadValue{"sizes are tried one after the other, not mixed", "write 64,512,1518"};
    if (entry.frame_bytes < 64) throw cli::BadValue{"64 bytes with FCS are the shortest frame", "write 64,512,1518"};
    sizes.push_back(entry.frame_bytes);
  }
  return sizes;
}

std::vector<cli::Option> own_options(Settings& s) {
  std::vector<cli::Option> options{interface_option(s.receiver.interface, "interface to receive on")};
  for (cli::Option& option : generator_options(s.generator)) options.push_back(std::move(option));
  options.push_back({.name = "sizes",
                     .value_name = "LIST",
                     .help = "frame sizes with FCS (default 64,128,256,512,1024,1280,1518)",
                     .value = cli::custom([&s](std::string_view text) { s.wire_bytes = parse_wire_sizes(text); })});
  options.push_back({.name = "trial",
                     .value_name = "S",
                     .help = "seconds a trial",
                     .value = cli::real(s.shared.duration_s, 0.01, 86'400),
                     .section = "Search"});
  options.push_back({.name = "max-rate",
                     .value_name = "PPS",
                     .help = "where to begin; 0: as fast as the sender can",
                     .value = cli::real(s.search.max_pps, 0, 1e9)});
  options.push_back({.name = "min-rate",
                     .value_name = "PPS",
                     .help = "where to give up",
                     .value = cli::real(s.search.min_pps, 1, 1e9)});
  options.push_back({.name = "resolution",
                     .value_name = "SHARE",
                     .help = "how near the result is to a rate with loss, as a share of it",
                     .value = cli::real(s.search.resolution, 1e-6, 0.5)});
  options.push_back({.name = "confirm",
                     .value_name = "N",
                     .help = "further trials of what was found, all without loss",
                     .value = cli::number(s.search.confirmations, 0, 1000)});
  return options;
}

std::vector<cli::Option> shared_ones(Settings& s) {
  return shared_options(s.shared, {"mode", "queues", "batch", "cpus", "wait", "rounds"});
}

std::string_view name_of(SearchEnd end) {
  switch (end) {
    case SearchEnd::found:
      return "found";
    case SearchEnd::sender_limited:
      return "the sender goes no faster, or was not allowed to";
    case SearchEnd::always_lost:
      return "packets were lost at every rate down to the lowest";
    case SearchEnd::gave_up:
      break;
  }
  return "the trials did not agree";
}

// `methods`: by which each trial was sent, which with --method auto depends on the rate.
void add_found(const SearchResult& found, const std::vector<std::string>& methods, std::uint32_t frame_bytes,
               Result& result) {
  result.add("rate_pps", found.rate_pps);
  result.add("rate_bytes_per_s", found.rate_pps * frame_bytes);
  if (found.end != SearchEnd::found) result.notes.emplace_back(name_of(found.end));
  Steps& trials = result.steps.empty() ? result.steps.emplace_back(Steps{"trials", {}}) : result.steps.front();
  for (std::size_t i = 0; i < found.trials.size(); ++i) {
    const Trial& trial = found.trials[i];
    trials.rows.push_back({{"method", methods[i]},
                           {"asked_pps", trial.asked_pps},
                           {"sent_pps", trial.sent_pps},
                           {"sent", trial.sent},
                           {"received", trial.received},
                           {"lost", trial.sent - trial.received},
                           {"refused", trial.refused}});
  }
}

class Interrupted {};

Result search_size(const Settings& settings, std::uint32_t wire_bytes, TrialRig& rig) {
  const auto frame_bytes = static_cast<std::uint16_t>(wire_bytes - fcs_bytes);
  Result result{.name = "search",
                .params = {{"frame_bytes", std::uint64_t{frame_bytes}}, {"wire_bytes", std::uint64_t{wire_bytes}}}};
  for (std::uint32_t round = 0; round < settings.shared.rounds; ++round) {
    std::vector<std::string> methods;
    const SearchResult found = search(settings.search, [&](double asked_pps) {
      const Trial trial = rig.run(asked_pps, settings.shared.duration_s, frame_bytes);
      if (rig.interrupted()) throw Interrupted();
      methods.push_back(rig.sent().method);
      std::fprintf(stderr, "engine bench search: %u bytes: %.0f pps, lost %llu of %llu\n", wire_bytes, trial.sent_pps,
                   static_cast<unsigned long long>(trial.sent - trial.received),
                   static_cast<unsigned long long>(trial.sent));
      return trial;
    });
    add_found(found, methods, frame_bytes, result);
  }
  return result;
}

}  // namespace

ExitCode run_search(std::span<char* const> args) {
  Settings settings;
  if (!parse({"search", "--iface IF --gen-iface IF [options]", help_text}, own_options(settings), shared_ones(settings),
             settings.shared, args))
    return ExitCode::done;
  require_interface("search", settings.receiver.interface);
  require_generator("search", settings.generator);
  if (settings.generator.gen.method == gen::Method::live)  // where its search ends
    settings.search.min_pps = std::max(settings.search.min_pps, gen::LiveSender::slowest_pps);
  Report report = begin_report("search", args);
  const cli::Log log(cli::LogLevel::warn);
  Receiver receiver(settings.receiver, settings.shared, log);
  report.interface = receiver.used();
  report.traffic = {{"flows", std::uint64_t{settings.generator.gen.traffic.flows}},
                    {"trial_s", settings.shared.duration_s}};
  TrialRig rig(receiving(receiver), settings.generator);
  receiver.start();
  try {
    for (const std::uint32_t wire_bytes : settings.wire_bytes)
      report.results.push_back(search_size(settings, wire_bytes, rig));
  } catch (const Interrupted&) {  // what was found is told
    report.missing.push_back({"the remaining sizes", "the search was interrupted", ""});
  }
  receiver.stop();
  publish(report, settings.shared.json_path);
  return ExitCode::done;
}

}  // namespace engine::bench
