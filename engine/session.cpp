#include "engine/session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "engine/cli/filter_file.h"
#include "engine/clock.h"
#include "engine/report.h"
#include "engine/results/json_lines.h"
#include "engine/results/pretty.h"
#include "engine/results/status.h"

namespace engine {
namespace {

// Of packets on their way to --write's file, per worker: live what arrives while a disk is slow for some milliseconds,
// over a file only what two threads need to run side by side.
constexpr std::size_t kLivePacketRing_bytes = 8u << 20;
constexpr std::size_t kFilePacketRing_bytes = 4u << 20;
constexpr std::uint64_t kSummaryInterval_ns = 1'000'000'000;
constexpr std::uint32_t kLiveDeadline_ms = 20;
constexpr std::uint32_t kFileDeadline_ms = 200;

}  // namespace

std::vector<plugins::PluginSpec> plugin_specs(const cli::Settings& settings) {
  std::vector<plugins::PluginSpec> specs;
  for (const cli::PluginSetting& setting : settings.plugins) {
    plugins::PluginSpec& spec = specs.emplace_back();
    spec.name = setting.name;
    spec.path = setting.path;
    spec.code = setting.code;
    spec.args = setting.args;
    spec.memory_bytes = setting.memory_bytes;
    // Over a file nothing is lost by waiting, and results must not depend on how busy the machine is.
    const std::uint32_t default_ms = settings.pcap_path.empty() ? kLiveDeadline_ms : kFileDeadline_ms;
    spec.deadline_ns = std::uint64_t{(setting.deadline_ms != 0 ? setting.deadline_ms : default_ms)} * 1'000'000;
    spec.trusted = setting.trusted;
    spec.reproducible = !settings.pcap_path.empty();
  }
  return specs;
}

PluginSet::PluginSet(const cli::Settings& settings, int datalink)
    : workshop_(plugin_specs(settings), datalink,
                {.writes_packets = !settings.write_path.empty(), .is_live = settings.pcap_path.empty()}) {
  for (std::size_t i = 0; i < workshop_.size(); ++i) {
    first_.push_back(workshop_.make(i));
    uses_ |= first_.back()->state->uses();
    filters_.push_back(first_.back()->state->filter());
  }
}

void PluginSet::load(const plugins::WorkerInfo& info, std::uint32_t worker, Analysis& analysis, bool directions_split,
                     plugins::Requests* requests) {
  plugins::Seat seat;
  seat.directions_split = directions_split;
  seat.worker = worker;
  seat.info = info;
  seat.requests = requests;
  for (std::size_t i = 0; i < workshop_.size(); ++i)
    workshop_.add_slot(i, analysis.add_plugin(workshop_, i, seat, std::move(first_[i])));
  if (workshop_.size() == 0) analysis.add_summary(kSummaryInterval_ns);
}

void PluginSet::start(const cli::Settings& settings, const cli::Log& log, Collector& collector,
                      std::function<void(std::size_t, const std::vector<std::string>&)> filters_change,
                      std::function<void(std::uint32_t)> require_uses) {
  workshop_.start(
      {log,
       [&collector](std::string_view event, std::string_view members) { collector.event(wall_ns(), event, members); },
       settings.pcap_path.empty(), settings.watch, std::move(filters_change), std::move(require_uses)});
}

// The command line as it was given, the configuration as it is now.
void PluginSet::reload(const cli::Settings& settings, const cli::Log& log) {
  const std::vector<plugins::PluginSpec> before = plugin_specs(settings);
  try {
    std::vector<plugins::PluginSpec> now =
        settings.command_line.empty() ? before : plugin_specs(cli::parse_command_line(settings.command_line));
    const auto same = [](const auto& a, const auto& b) { return a.name == b.name; };
    if (std::ranges::equal(before, now, same)) return workshop_.reload(std::move(now));
    log.error("not reloaded: the configuration names other plugins than before; stop and start again");
  } catch (const SetupError& error) {
    log.error(std::string("not reloaded: ") + error.what());
  }
}

bool is_pretty(const cli::Settings& settings) {
  if (settings.format != cli::OutputFormat::automatic) return settings.format == cli::OutputFormat::pretty;
  return settings.output_path == "-" && isatty(STDOUT_FILENO) == 1;
}

bool takes_the_screen(const cli::Settings& settings) {
  return is_pretty(settings) && settings.output_path == "-" && isatty(STDOUT_FILENO) == 1;
}

std::vector<std::unique_ptr<Output>> open_outputs(const cli::Settings& settings, bool lossless,
                                                  std::function<std::vector<QueueLedger>()> ledger) {
  std::vector<std::unique_ptr<Output>> outputs;
  auto sink = std::make_unique<Sink>(settings.output_path, lossless ? Sink::WhenFull::wait : Sink::WhenFull::drop);
  if (is_pretty(settings)) {
    PrettyConfig config;
    config.ledger = std::move(ledger);
    config.terminal = takes_the_screen(settings);
    outputs.push_back(std::make_unique<Pretty>(std::move(config), std::move(sink)));
  } else {
    outputs.push_back(std::make_unique<JsonLines>(std::move(sink)));
  }
  return outputs;
}

std::vector<CollectedPlugin> collected_plugins(const Analysis& analysis) {
  std::vector<CollectedPlugin> plugins;
  for (const auto& slot : analysis.slots()) plugins.push_back({slot->name, slot->interval_ns, slot->registry});
  return plugins;
}

std::function<void(int, std::string_view, std::string_view)> plugin_log(const cli::Log& log) {
  return [&log](int level, std::string_view plugin, std::string_view text) {
    std::string line(plugin);
    line.append(plugin.empty() ? "" : ": ").append(text);
    log.write(static_cast<cli::LogLevel>(level), line);
  };
}

std::vector<PluginLedger> plugin_ledgers(const std::vector<Analysis*>& analyses) {
  std::vector<PluginLedger> ledgers;
  if (analyses.empty()) return ledgers;
  for (std::size_t i = 0; i < analyses.front()->slots().size(); ++i) {
    PluginLedger& ledger = ledgers.emplace_back();
    std::uint64_t sampled_packets = 0, sampled_ns = 0;
    for (const Analysis* analysis : analyses) {
      const Analysis::Slot& slot = *analysis->slots()[i];
      const PluginSlot::Figures figures = slot.service->figures();
      ledger.name = slot.name;
      ledger.memory_limit_bytes = slot.service->state().spec().memory_bytes;
      ledger.deadline_ms = slot.service->state().spec().deadline_ns / 1'000'000;
      ledger.packets += slot.figures.packets;
      ledger.filtered += slot.figures.filtered;
      ledger.errors += figures.errors;
      ledger.missed += figures.missed;
      ledger.cutoffs += figures.cutoffs;
      ledger.reloads += figures.reloads;
      if (figures.condition != "running") ledger.state = figures.condition;
      ledger.memory_bytes += figures.memory_bytes;
      ledger.capture_refused += figures.capture_refused;
      ledger.actions_refused += figures.actions_refused;
      sampled_packets += slot.figures.sampled_packets;
      sampled_ns += slot.figures.sampled_ns;
    }
    if (sampled_packets > 0)
      ledger.ns_per_packet = static_cast<double>(sampled_ns) / static_cast<double>(sampled_packets);
  }
  return ledgers;
}

std::string kernel_release() {
  utsname name{};
  uname(&name);
  return name.release;
}

std::unique_ptr<PacketWriter> open_packet_file(const cli::Settings& settings, std::size_t workers,
                                               std::vector<pcapng::Interface> interfaces, std::uint64_t begin_ns,
                                               const cli::Log& log, std::function<void()> on_reader_gone) {
  if (settings.write_path.empty()) return nullptr;
  PacketWriterConfig config;
  config.path = settings.write_path;
  config.input_path = settings.pcap_path;
  config.marked_only = settings.capture_only;
  config.lossless = !settings.pcap_path.empty();
  config.workers = workers;
  config.ring_bytes = config.lossless ? kFilePacketRing_bytes : kLivePacketRing_bytes;
  config.begin_ns = begin_ns;
  utsname machine{};
  uname(&machine);
  const std::string version = cli::version_text();
  config.section = {machine.machine, std::string(machine.sysname) + " " + machine.release,
                    version.substr(0, version.find('\n'))};
  config.interfaces = std::move(interfaces);
  for (pcapng::Interface& interface : config.interfaces) interface.filter = cli::filter_text(settings);
  config.log = [&log](bool warns, std::string_view text) {
    log.write(warns ? cli::LogLevel::warn : cli::LogLevel::info, text);
  };
  if (settings.write_path == "-") config.on_reader_gone = std::move(on_reader_gone);
  return std::make_unique<PacketWriter>(std::move(config));
}

void close_packet_file(PacketWriter* file, RunLedger& run) {
  if (file == nullptr) return;
  std::vector<std::string> names;  // in the order of the file's interfaces
  for (const QueueLedger& queue : run.queues)
    if (std::ranges::find(names, queue.interface) == names.end()) names.push_back(queue.interface);
  std::vector<pcapng::Statistics> all;
  for (const std::string& name : names) {
    std::vector<QueueLedger> queues;
    std::ranges::copy_if(run.queues, std::back_inserter(queues),
                         [&](const QueueLedger& queue) { return queue.interface == name; });
    const QueueLedger total = ledger_total(queues);
    pcapng::Statistics& statistics = all.emplace_back();
    statistics.interface = static_cast<std::uint32_t>(all.size() - 1);
    statistics.received = total.xdp_seen;
    statistics.filter_accepted = total.xdp_seen - total.passed;
    statistics.os_dropped = total.rx_dropped + total.rx_ring_full + total.redirect_errors.value_or(0);
    statistics.delivered = total.analysed;
  }
  file->finish(all);
  run.write = file->ledger();
}

SummaryFile::SummaryFile(const std::string& path) : path_(path) {
  if (path.empty()) return;
  file_.reset(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file_.valid()) throw SetupError(ExitCode::bad_usage, "--summary " + path, strerror(errno));
}

void SummaryFile::write(const RunLedger& ledger) {
  if (!file_.valid()) return;
  const std::string text = ledger.json() + "\n";
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t written = ::write(file_.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw SetupError(ExitCode::runtime_failure, "write the summary to " + path_, strerror(errno));
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

void count_lost_results(const Collector& collector, const std::vector<std::size_t>& first_of_worker,
                        std::vector<QueueLedger>& queues) {
  std::uint64_t rest = collector.ledger().lines_dropped;
  const auto move = [&rest](QueueLedger& queue, std::uint64_t count) {
    const std::uint64_t moved = std::min({count, rest, queue.results});
    queue.results -= moved;
    queue.results_dropped += moved;
    rest -= moved;
  };
  for (std::size_t i = 0; i < first_of_worker.size(); ++i)
    move(queues[first_of_worker[i]], collector.results_dropped(i));
  for (QueueLedger& queue : queues) move(queue, rest);
  if (!queues.empty()) queues.front().results_dropped += rest;  // merged lines, which are no worker's
}

void require_same_shapes(const std::vector<Analysis*>& analyses) {
  for (std::size_t worker = 1; worker < analyses.size(); ++worker) {
    for (std::size_t plugin = 0; plugin < analyses[0]->slots().size(); ++plugin) {
      plugins::State& first = analyses[0]->slots()[plugin]->service->state();
      plugins::State& other = analyses[worker]->slots()[plugin]->service->state();
      const auto same = [](plugins::Structure* a, plugins::Structure* b) {
        return a->name() == b->name() && a->active().shape() == b->active().shape();
      };
      if (first.schemas() == other.schemas() && first.interval_ns() == other.interval_ns() &&
          std::ranges::equal(first.structures(), other.structures(), same))
        continue;
      throw SetupError(
          ExitCode::bad_usage, "plugin " + first.name(),
          "declares other structures, records or an interval on worker " + std::to_string(worker) + " than on worker 0",
          "declare the same on every worker");
    }
  }
}

void report(const RunLedger& ledger, const cli::Log& log) {
  const std::string table = ledger_table(ledger);
  for (std::size_t at = 0; at < table.size();) {
    const std::size_t end = table.find('\n', at);
    log.info(table.substr(at, end - at));
    at = end + 1;
  }
  if (ledger.write) {
    const WriteLedger& write = *ledger.write;
    const std::string written = format_grouped(write.packets) + " packets are in " + write.path;
    if (write.dropped == 0) {
      log.info(written);
    } else {
      log.warn(written + ", " + format_grouped(write.dropped) + " that belong there are not");
    }
  }
  const std::uint64_t lost = ledger_total(ledger.queues).results_dropped;
  if (lost > 0) log.warn(std::to_string(lost) + " results were dropped: their reader was too slow; packets were not");
}

}  // namespace engine
