// `engine bench soak`: a receiver, or the whole engine, under a steady load for hours. What is lost, unaccounted for,
// or grows, fails it.
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/bench/bench.h"
#include "engine/bench/engine_process.h"
#include "engine/bench/rounds.h"
#include "engine/bench/trial_rig.h"
#include "engine/clock.h"

namespace engine::bench {
namespace {

constexpr std::string_view help_text =
    "Receives for a long time and tells of each interval what was lost, how much memory and how many descriptors the\n"
    "receiver holds, and the longest time that its worker did not look at the queues. What stands behind -- is the\n"
    "command line of an engine, with its plugins and sinks, that is watched from outside instead. With --gen-iface it\n"
    "sends at --rate itself and compares what came with what was sent, by interval; without, loss is what the ledger\n"
    "tells. It fails (exit code 1) if a packet or a result was lost, a packet is unaccounted for, a plugin failed, or\n"
    "memory or descriptors grew after the first interval.";

struct Settings {
  Shared shared{.duration_s = 60};
  ReceiverConfig receiver;
  GeneratorConfig generator;
  double rate_pps = 0;
  std::uint16_t frame_bytes = 60;
  double interval_s = 10;
  std::size_t growth_bytes = std::size_t{4} << 20;
};

std::vector<cli::Option> own_options(Settings& s) {
  std::vector<cli::Option> options{interface_option(s.receiver.interface, "interface to receive on")};
  for (cli::Option& option : generator_options(s.generator)) options.push_back(std::move(option));
  options.push_back({.name = "rate",
                     .value_name = "PPS",
                     .help = "packets a second; 0: as fast as possible",
                     .value = cli::real(s.rate_pps, 0, 1e9)});
  options.push_back({.name = "size",
                     .value_name = "BYTES",
                     .help = "frame length without FCS",
                     .value = cli::number(s.frame_bytes, 60, gen::max_frame_bytes)});
  options.push_back({.name = "duration",
                     .value_name = "S",
                     .help = "seconds in all",
                     .value = cli::real(s.shared.duration_s, 0.001, 1e7),
                     .section = "How long"});
  options.push_back({.name = "interval",
                     .value_name = "S",
                     .help = "seconds between two reports",
                     .value = cli::real(s.interval_s, 0.001, 86'400)});
  options.push_back({.name = "allow-growth",
                     .value_name = "SIZE",
                     .help = "of memory, after the first interval",
                     .value = cli::size_in_bytes(s.growth_bytes, 1, std::size_t{1} << 40)});
  return options;
}

std::vector<cli::Option> shared_ones(Settings& s) {
  return shared_options(s.shared, {"mode", "queues", "batch", "cpus", "wait"});
}

std::uint64_t resident_bytes(const std::string& process) {
  std::ifstream file("/proc/" + process + "/statm");
  std::uint64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t descriptors(const std::string& process) {
  std::uint64_t count = 0;
  DIR* const folder = opendir(("/proc/" + process + "/fd").c_str());
  if (folder == nullptr) return 0;
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count - (process == "self");  // the folder's own
}

// Who is watched.
class Watched {
 public:
  virtual ~Watched() = default;
  virtual Receiving receiving() = 0;
  virtual void start() = 0;
  virtual std::uint64_t lost_so_far() = 0;
  virtual std::string process() const = 0;  // its name in /proc
  virtual InterfaceUsed used() = 0;
  // Ends it; adds what it counted. What of it is a failure, in words.
  virtual std::vector<std::string> stop(Result& result) = 0;
};

void fail_if(std::uint64_t value, const std::string& what, std::vector<std::string>& failures) {
  if (value != 0) failures.push_back(std::to_string(value) + " " + what);
}

class OwnReceiver final : public Watched {
 public:
  OwnReceiver(const ReceiverConfig& config, const Shared& shared) : receiver_(config, shared, log_) {}
  Receiving receiving() override { return bench::receiving(receiver_); }
  void start() override { receiver_.start(); }
  std::uint64_t lost_so_far() override { return lost(ledger_total(receiver_.ledger())); }
  std::string process() const override { return "self"; }
  InterfaceUsed used() override { return receiver_.used(); }
  std::vector<std::string> stop(Result& result) override {
    receiver_.stop();
    const std::vector<QueueLedger> queues = receiver_.ledger();
    add_losses(queues, result);
    std::vector<std::string> failures;
    fail_if(unaccounted(queues), "packets are unaccounted for", failures);
    return failures;
  }

 private:
  cli::Log log_{cli::LogLevel::warn};
  Receiver receiver_;
};

class WholeEngine final : public Watched {
 public:
  explicit WholeEngine(std::span<char* const> options) : engine_(options) {}
  Receiving receiving() override {
    return {[this] { return engine_.sample(); }, engine_.used().name,
            "end the other generator; or have the engine take ours alone: --filter 'dst host 198.18.0.1'"};
  }
  void start() override {}
  std::uint64_t lost_so_far() override { return engine_.counts().lost; }
  std::string process() const override { return std::to_string(engine_.pid()); }
  InterfaceUsed used() override { return engine_.used(); }
  std::vector<std::string> stop(Result& result) override {
    const EngineProcess::Counts counts = engine_.stop();
    std::vector<std::string> failures;
    const auto add = [&](const char* name, std::uint64_t value, const char* failure) {
      result.add(name, static_cast<double>(value));
      if (failure != nullptr) fail_if(value, failure, failures);
    };
    add("received", counts.analysed, nullptr);
    add("lost", counts.lost, nullptr);
    add("unaccounted", counts.unaccounted, "packets are unaccounted for");
    add("results_dropped", counts.results_dropped, "results were dropped");
    add("plugin_errors", counts.plugin_errors, "plugin errors");
    return failures;
  }

 private:
  EngineProcess engine_;
};

struct Interval {
  WorkerSample received;
  std::uint64_t lost = 0;
  bool interrupted = false;
};

// Where the packets come from decides how an interval is run and what tells of loss.
class Source {
 public:
  virtual ~Source() = default;
  virtual Interval run(double seconds) = 0;
};

class Elsewhere final : public Source {
 public:
  explicit Elsewhere(Watched& watched) : watched_(watched) {
    watched_.start();
    std::fprintf(stderr, "engine bench soak: ready\n");
    receiving_ = watched_.receiving();
    before_ = receiving_.total();
  }
  Interval run(double seconds) override {
    Interval interval;
    interval.interrupted = interrupts_.arrived(static_cast<std::uint64_t>(seconds * 1e9));
    const WorkerSample now = receiving_.total();
    interval.received = difference(now, before_);
    before_ = now;
    const std::uint64_t lost_now = watched_.lost_so_far();
    interval.lost = lost_now - lost_before_;
    lost_before_ = lost_now;
    return interval;
  }

 private:
  Watched& watched_;
  gen::Interrupts interrupts_;
  Receiving receiving_;
  WorkerSample before_;
  std::uint64_t lost_before_ = 0;
};

class Own final : public Source {
 public:
  Own(Watched& watched, const Settings& settings) : rig_(watched.receiving(), settings.generator), settings_(settings) {
    watched.start();
  }
  Interval run(double seconds) override {
    const Trial trial = rig_.run(settings_.rate_pps, seconds, settings_.frame_bytes);
    return {rig_.received(), trial.sent - trial.received, rig_.interrupted()};
  }

 private:
  TrialRig rig_;
  const Settings& settings_;
};

// What the intervals came to.
struct Outcome {
  std::uint64_t lost = 0;
  std::uint64_t memory_growth_bytes = 0;  // after the first interval
  std::uint64_t descriptor_growth = 0;
};

Outcome run_intervals(const Settings& settings, const std::string& process, Source& source, Result& result) {
  Outcome outcome;
  std::uint64_t memory_at_first = 0, descriptors_at_first = 0;
  const std::uint64_t end_ns = monotonic_ns() + static_cast<std::uint64_t>(settings.shared.duration_s * 1e9);
  for (std::uint64_t now_ns; (now_ns = monotonic_ns()) < end_ns;) {
    const double left_s = static_cast<double>(end_ns - now_ns) * 1e-9;
    const Interval interval = source.run(std::min(settings.interval_s, left_s));
    const std::uint64_t memory = resident_bytes(process), open = descriptors(process);
    if (memory_at_first == 0) {
      memory_at_first = memory;
      descriptors_at_first = open;
    }
    outcome.lost += interval.lost;
    outcome.memory_growth_bytes = memory > memory_at_first ? memory - memory_at_first : 0;
    outcome.descriptor_growth = open > descriptors_at_first ? open - descriptors_at_first : 0;
    add_rates(interval.received, result);
    result.add("interval_lost", static_cast<double>(interval.lost));
    result.add("memory_bytes", static_cast<double>(memory));
    result.add("descriptors", static_cast<double>(open));
    std::string gap;
    if (settings.receiver.watch_gaps) {
      result.add("longest_gap_ns", static_cast<double>(interval.received.longest_gap_ns));
      gap = ", longest gap " + std::to_string(interval.received.longest_gap_ns / 1000) + " us";
    }
    std::fprintf(stderr, "engine bench soak: %llu packets, lost %llu, %llu KiB, %llu descriptors%s\n",
                 static_cast<unsigned long long>(interval.received.packets),
                 static_cast<unsigned long long>(interval.lost), static_cast<unsigned long long>(memory >> 10),
                 static_cast<unsigned long long>(open), gap.c_str());
    if (interval.interrupted) break;
  }
  result.add("memory_growth_bytes", static_cast<double>(outcome.memory_growth_bytes));
  result.add("descriptor_growth", static_cast<double>(outcome.descriptor_growth));
  return outcome;
}

std::unique_ptr<Watched> watched_by(Settings& settings, std::span<char* const> engine) {
  settings.receiver.watch_gaps = engine.empty();
  if (engine.empty()) {
    require_interface("soak", settings.receiver.interface);
    return std::make_unique<OwnReceiver>(settings.receiver, settings.shared);
  }
  if (!settings.receiver.interface.name.empty())
    throw SetupError(ExitCode::bad_usage, "--iface " + settings.receiver.interface.name,
                     "an engine is watched, which has its own", "give --iface behind --");
  return std::make_unique<WholeEngine>(engine);
}

std::unique_ptr<Source> source_of(const Settings& settings, Watched& watched, Report& report) {
  if (settings.generator.gen.interface_name.empty()) return std::make_unique<Elsewhere>(watched);
  report.traffic = {{"frame_bytes", std::uint64_t{settings.frame_bytes}},
                    {"flows", std::uint64_t{settings.generator.gen.traffic.flows}},
                    {"rate_pps", settings.rate_pps}};
  return std::make_unique<Own>(watched, settings);
}

}  // namespace

ExitCode run_soak(std::span<char* const> args) {
  Settings settings;
  const auto dashes =
      std::ranges::find(args, std::string_view("--"), [](const char* arg) { return std::string_view(arg); });
  const auto own = args.first(static_cast<std::size_t>(dashes - args.begin()));
  const auto engine = args.subspan(std::min(own.size() + 1, args.size()));
  if (!parse({"soak", "--iface IF [--gen-iface IF] [options]\n       engine bench soak [options] -- ENGINE'S OPTIONS",
              help_text},
             own_options(settings), shared_ones(settings), settings.shared, own))
    return ExitCode::done;
  Report report = begin_report("soak", args);
  const std::unique_ptr<Watched> watched = watched_by(settings, engine);
  report.interface = watched->used();
  Result result{.name = engine.empty() ? "soak" : "soak_engine", .params = {}};
  if (engine.empty()) result.params = {{"batch", std::uint64_t{settings.shared.batch}}};
  const std::unique_ptr<Source> source = source_of(settings, *watched, report);
  const Outcome outcome = run_intervals(settings, watched->process(), *source, result);
  std::vector<std::string> failures;
  fail_if(outcome.lost, "packets were lost", failures);
  for (std::string& failure : watched->stop(result)) failures.push_back(std::move(failure));
  fail_if(outcome.memory_growth_bytes > settings.growth_bytes ? outcome.memory_growth_bytes : 0, "bytes of memory grew",
          failures);
  fail_if(outcome.descriptor_growth, "descriptors were not closed", failures);
  report.results.push_back(std::move(result));
  publish(report, settings.shared.json_path);
  if (failures.empty()) return ExitCode::done;
  std::string text;
  for (const std::string& failure : failures) text += (text.empty() ? "" : ", ") + failure;
  std::fprintf(stderr, "engine bench soak: failed: %s\n", text.c_str());
  return ExitCode::runtime_failure;
}

}  // namespace engine::bench
