// What a live run and a run over a file share: plugins made from settings, outputs, the collector's view of the
// workers, the ledger's end. Main thread, before the threads start and after they have ended.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/analysis.h"
#include "engine/base/unique_fd.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/cli/signals.h"
#include "engine/ledger.h"
#include "engine/results/collector.h"
#include "engine/results/output.h"
#include "engine/write/packet_writer.h"
#include "plugins/native.h"
#include "plugins/runtime.h"

namespace engine {

std::vector<plugins::PluginSpec> plugin_specs(const cli::Settings& settings);

// The plugins of a run: made, seated at every worker, reloaded. Outlives the workers and the collector.
class PluginSet {
 public:
  // Throws SetupError for a plugin that does not load.
  PluginSet(const cli::Settings& settings, int datalink);
  // Seats every plugin at the worker, or the built-in summary if there is none. `directions_split`: see plugins::Seat.
  // `requests`: where engine.block() and the like lead; null: nowhere. Outlives the workers.
  void load(const plugins::WorkerInfo& info, std::uint32_t worker, Analysis& analysis, bool directions_split = false,
            plugins::Requests* requests = nullptr);
  const std::vector<std::string>& filters() const noexcept { return filters_; }  // theirs, empty: every packet
  std::uint32_t uses() const noexcept { return uses_; }  // what any of them declares, of engine_use
  // From here on dead states are replaced and files are watched, if settings say so. What the threads that are started
  // later inherit (cores, privileges) is the caller's. After the collector has workers; end with stop().
  // `filters_change`, `require_uses`: see Workshop::Running; null: there is no kernel to ask.
  void start(const cli::Settings& settings, const cli::Log& log, Collector& collector,
             std::function<void(std::size_t, const std::vector<std::string>&)> filters_change = nullptr,
             std::function<void(std::uint32_t)> require_uses = nullptr);
  // Reads configuration and plugins anew; an error leaves everything as it is and is logged. Main thread.
  void reload(const cli::Settings& settings, const cli::Log& log);
  void stop() noexcept { workshop_.stop(); }

 private:
  Workshop workshop_;
  std::vector<std::unique_ptr<Prepared>> first_;  // for the first worker
  std::uint32_t uses_ = 0;
  std::vector<std::string> filters_;
};

// Whether results go to a person (the live table) or to a program (JSON lines).
bool is_pretty(const cli::Settings& settings);
bool takes_the_screen(const cli::Settings& settings);  // pretty, and on a terminal

// `lossless`: files; the output waits for its reader. `ledger`: what the live table shows of the queues.
std::vector<std::unique_ptr<Output>> open_outputs(const cli::Settings& settings, bool lossless,
                                                  std::function<std::vector<QueueLedger>()> ledger);

// Plugins' names, intervals and schemas, as the first worker has them: they are the same on every worker.
std::vector<CollectedPlugin> collected_plugins(const Analysis& analysis);

// What the collector calls with a plugin's log lines and errors.
std::function<void(int level, std::string_view plugin, std::string_view text)> plugin_log(const cli::Log& log);

std::vector<PluginLedger> plugin_ledgers(const std::vector<Analysis*>& analyses);

std::string kernel_release();

// --write's file with its head, null where none was asked for. `on_reader_gone`: nobody reads stdout any more; called
// on the writer's thread. Throws SetupError.
std::unique_ptr<PacketWriter> open_packet_file(const cli::Settings& settings, std::size_t workers,
                                               std::vector<pcapng::Interface> interfaces, std::uint64_t begin_ns,
                                               const cli::Log& log, std::function<void()> on_reader_gone);
// The run's ledger closes the file and gets what was written; null: nothing.
void close_packet_file(PacketWriter* file, RunLedger& run);

// --summary's file, opened before the run: by its end the right to create files may be gone, and a wrong path should
// not be found out then. Nothing is opened where it was not asked for. Throws SetupError(bad_usage).
class SummaryFile {
 public:
  explicit SummaryFile(const std::string& path);
  void write(const RunLedger& ledger);  // throws SetupError(runtime_failure)

 private:
  std::string path_;
  UniqueFd file_;
};

// Results that were taken from a worker's queue and lost at the outputs, moved in the ledger from `results` to
// `results_dropped`: per worker as far as it is known whose they were, the rest (merged lines) as it comes.
// `first_of_worker[i]`: the place in `queues` of a queue of worker i.
void count_lost_results(const Collector& collector, const std::vector<std::size_t>& first_of_worker,
                        std::vector<QueueLedger>& queues);

// All workers' structures and records have one shape, or they could not be merged. Throws SetupError(bad_usage) that
// names the plugin: it declares something that depends on its worker.
void require_same_shapes(const std::vector<Analysis*>& analyses);

// The ledger as a table on the log; says it if results were lost.
void report(const RunLedger& ledger, const cli::Log& log);

}  // namespace engine
