// What a live run and a run over a file share: plugins made from settings, outputs, the collector's view of the
// workers, the ledger's end. Main thread, before the threads start and after they have ended.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/analysis.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/ledger.h"
#include "engine/results/collector.h"
#include "engine/results/output.h"
#include "plugins/runtime.h"

namespace engine {

std::vector<plugins::PluginSpec> plugin_specs(const cli::Settings& settings);

// Decoded built-in packets that every new plugin state is warmed up with.
class WarmUpTraffic {
 public:
  WarmUpTraffic();
  plugins::Traffic view() const noexcept;

 private:
  std::vector<std::byte> memory_;
  std::vector<engine_packet> packets_;
};

// Loads every plugin into the worker's analysis, or the built-in summary if there is none.
void load_plugins(const cli::Settings& settings, const plugins::WorkerInfo& info, std::uint32_t worker,
                  const WarmUpTraffic& traffic, Analysis& analysis);

// Whether results go to a person (the live table) or to a program (JSON lines).
bool is_pretty(const cli::Settings& settings);
bool takes_the_screen(const cli::Settings& settings);  // pretty, and on a terminal

// `lossless`: files; the output waits for its reader. `ledger`: what the live table shows of the queues.
std::vector<std::unique_ptr<Output>> open_outputs(const cli::Settings& settings, bool lossless,
                                                  std::function<std::vector<QueueLedger>()> ledger);

// Plugins' names, intervals and schemas, as the first worker has them: they are the same on every worker.
std::vector<CollectedPlugin> collected_plugins(const Analysis& analysis);
CollectedWorker collected_worker(Analysis& analysis);

// What the collector calls with a plugin's log lines and errors.
std::function<void(int level, std::string_view plugin, std::string_view text)> plugin_log(const cli::Log& log);

std::vector<PluginLedger> plugin_ledgers(const std::vector<Analysis*>& analyses);

std::string kernel_release();

// The ledger as a table on the log, and as JSON in --summary's file. Throws SetupError if that cannot be written.
void report(const RunLedger& ledger, const cli::Settings& settings, const cli::Log& log);

}  // namespace engine
