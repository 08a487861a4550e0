// `engine bench soak`: the receiver under a steady load for hours. What is lost, unaccounted for, or grows, fails it.
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "engine/bench/bench.h"
#include "engine/bench/rounds.h"
#include "engine/bench/trial_rig.h"
#include "engine/clock.h"

namespace engine::bench {
namespace {

constexpr std::string_view help_text =
    "Receives for a long time and tells of each interval what was lost, how much memory and how many descriptors the\n"
    "process holds, and the longest time that its worker did not look at the queues. With --gen-iface it sends at "
    "--rate\n"
    "itself and compares what came with what was sent, by interval; without, loss is what the ledger tells. It fails\n"
    "(exit code 1) if a packet was lost or is unaccounted for, or if memory or descriptors grew after the first "
    "interval.";

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

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t descriptors() {
  std::uint64_t count = 0;
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count - 1;  // the folder's own
}

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
  explicit Elsewhere(Receiver& receiver) : receiver_(receiver) {
    receiver_.start();
    std::fprintf(stderr, "engine bench soak: ready\n");
    before_ = sum(receiver_.sample());
  }
  Interval run(double seconds) override {
    Interval interval;
    interval.interrupted = interrupts_.arrived(static_cast<std::uint64_t>(seconds * 1e9));
    const WorkerSample now = sum(receiver_.sample());
    interval.received = difference(now, before_);
    before_ = now;
    const std::uint64_t lost_now = lost(ledger_total(receiver_.ledger()));
    interval.lost = lost_now - lost_before_;
    lost_before_ = lost_now;
    return interval;
  }

 private:
  Receiver& receiver_;
  gen::Interrupts interrupts_;
  WorkerSample before_;
  std::uint64_t lost_before_ = 0;
};

class Own final : public Source {
 public:
  Own(Receiver& receiver, const Settings& settings) : rig_(receiver, settings.generator), settings_(settings) {}
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

Outcome run_intervals(const Settings& settings, Source& source, Result& result) {
  Outcome outcome;
  std::uint64_t memory_at_first = 0, descriptors_at_first = 0;
  const std::uint64_t end_ns = monotonic_ns() + static_cast<std::uint64_t>(settings.shared.duration_s * 1e9);
  for (std::uint64_t now_ns; (now_ns = monotonic_ns()) < end_ns;) {
    const double left_s = static_cast<double>(end_ns - now_ns) * 1e-9;
    const Interval interval = source.run(std::min(settings.interval_s, left_s));
    const std::uint64_t memory = resident_bytes(), open = descriptors();
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
    result.add("longest_gap_ns", static_cast<double>(interval.received.longest_gap_ns));
    std::fprintf(
        stderr, "engine bench soak: %llu packets, lost %llu, %llu KiB, %llu descriptors, longest gap %llu us\n",
        static_cast<unsigned long long>(interval.received.packets), static_cast<unsigned long long>(interval.lost),
        static_cast<unsigned long long>(memory >> 10), static_cast<unsigned long long>(open),
        static_cast<unsigned long long>(interval.received.longest_gap_ns / 1000));
    if (interval.interrupted) break;
  }
  return outcome;
}

std::string failure_of(const Settings& settings, const Outcome& outcome, std::uint64_t unaccounted) {
  std::string text;
  const auto add = [&text](std::uint64_t value, const std::string& what) {
    if (value != 0) text += (text.empty() ? "" : ", ") + std::to_string(value) + " " + what;
  };
  add(outcome.lost, "packets were lost");
  add(unaccounted, "packets are unaccounted for");
  add(outcome.memory_growth_bytes > settings.growth_bytes ? outcome.memory_growth_bytes : 0, "bytes of memory grew");
  add(outcome.descriptor_growth, "descriptors were not closed");
  return text;
}

}  // namespace

ExitCode run_soak(std::span<char* const> args) {
  Settings settings;
  if (!parse({"soak", "--iface IF [--gen-iface IF] [options]", help_text}, own_options(settings), shared_ones(settings),
             settings.shared, args))
    return ExitCode::done;
  require_interface("soak", settings.receiver.interface);
  Report report = begin_report("soak", args);
  const cli::Log log(cli::LogLevel::warn);
  settings.receiver.watch_gaps = true;
  Receiver receiver(settings.receiver, settings.shared, log);
  report.interface = receiver.used();
  Result result{.name = "soak", .params = {{"batch", std::uint64_t{settings.shared.batch}}}};
  std::unique_ptr<Source> source;
  if (settings.generator.gen.interface_name.empty()) {
    source = std::make_unique<Elsewhere>(receiver);
  } else {
    report.traffic = {{"frame_bytes", std::uint64_t{settings.frame_bytes}},
                      {"flows", std::uint64_t{settings.generator.gen.traffic.flows}},
                      {"rate_pps", settings.rate_pps}};
    source = std::make_unique<Own>(receiver, settings);
  }
  const Outcome outcome = run_intervals(settings, *source, result);
  receiver.stop();
  const std::vector<QueueLedger> queues = receiver.ledger();
  add_losses(queues, result);
  result.add("memory_growth_bytes", static_cast<double>(outcome.memory_growth_bytes));
  result.add("descriptor_growth", static_cast<double>(outcome.descriptor_growth));
  report.results.push_back(std::move(result));
  publish(report, settings.shared.json_path);
  const std::string failure = failure_of(settings, outcome, unaccounted(queues));
  if (failure.empty()) return ExitCode::done;
  std::fprintf(stderr, "engine bench soak: failed: %s\n", failure.c_str());
  return ExitCode::runtime_failure;
}

}  // namespace engine::bench
