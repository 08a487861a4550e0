#include "engine/file_run.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <optional>
#include <system_error>
#include <thread>

#include "engine/analysis.h"
#include "engine/cli/filter_file.h"
#include "engine/cli/privileges.h"
#include "engine/clock.h"
#include "engine/file/file_source.h"
#include "engine/file_worker.h"
#include "engine/results/status.h"
#include "engine/session.h"
#include "numa/topology.h"

namespace engine {
namespace {

// A quarter of it is what a batch's results may take: 8 KiB a packet.
constexpr std::size_t kRing_bytes = 2u << 20;

class FileRun {
 public:
  FileRun(const cli::Settings& settings, cli::Log& log, cli::Signals& signals);
  ExitCode run();

 private:
  void load_analyses();
  void make_collector();
  void start_threads();
  void watch();
  RunLedger ledger();

  const cli::Settings& settings_;
  cli::Log& log_;
  cli::Signals& signals_;
  std::atomic<bool> output_failed_{false};
  std::uint64_t begin_ns_;
  SummaryFile summary_;
  FileSource source_;
  std::unique_ptr<PacketWriter> packet_file_;  // its lanes outlive the workers
  std::vector<std::unique_ptr<Analysis>> analyses_;
  std::vector<std::unique_ptr<FileWorker>> workers_;
  std::optional<PluginSet> plugins_;  // its thread ends before what it gives states to
  std::unique_ptr<Collector> collector_;
  std::vector<std::thread> threads_;
};

// That this process may run on.
std::uint32_t cores() noexcept {
  cpu_set_t allowed;
  return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? static_cast<std::uint32_t>(CPU_COUNT(&allowed)) : 1;
}

FileOptions file_options(const cli::Settings& settings, int interrupt_fd) {
  FileOptions options;
  options.path = settings.pcap_path;
  options.filter = cli::filter_text(settings);
  options.workers = settings.workers != 0 ? settings.workers : 1;
  options.max_packets = settings.count;
  options.interrupt_fd = interrupt_fd;
  const std::uint32_t threads = options.workers == 1 ? 1 : options.workers + 1;
  options.read_ahead = cores() > threads;
  return options;
}

FileRun::FileRun(const cli::Settings& settings, cli::Log& log, cli::Signals& signals)
    : settings_(settings),
      log_(log),
      signals_(signals),
      begin_ns_(monotonic_ns()),
      summary_(settings.summary_path),
      source_(file_options(settings, signals.stop_fd())) {}

void FileRun::load_analyses() {
  if (!settings_.write_path.empty()) {
    pcapng::Interface interface;
    interface.name = settings_.pcap_path;
    interface.link_type = source_.file_link_type();
    packet_file_ = open_packet_file(settings_, source_.workers(), {interface}, source_.epoch_ns(), log_,
                                    [this] { source_.stop(); });
  }
  plugins_.emplace(settings_, source_.datalink());
  for (std::uint32_t i = 0; i < source_.workers(); ++i) {
    AnalysisConfig config;
    config.ring_bytes = kRing_bytes;
    config.lossless = true;
    config.make_room = [this] {
      if (collector_ == nullptr) return false;
      collector_->wait_for_round();
      return true;
    };
    config.epoch_ns = source_.epoch_ns();
    config.packets_to_file = packet_file_ ? &packet_file_->lane(i) : nullptr;
    auto analysis = std::make_unique<Analysis>(config);
    plugins_->load({settings_.pcap_path, {0}, -1, -1, source_.workers()}, i, *analysis);
    analysis->begin(source_.queue(i).frames(), source_.epoch_ns());
    workers_.push_back(std::make_unique<FileWorker>(source_.queue(i), *analysis));
    analyses_.push_back(std::move(analysis));
  }
  source_.set_intervals(analyses_.front()->intervals_ns());
}

void FileRun::make_collector() {
  CollectorConfig config;
  config.plugins = collected_plugins(*analyses_.front());
  config.epoch_ns = source_.epoch_ns();
  config.in_order = true;
  config.interfaces = {settings_.pcap_path};
  config.log = plugin_log(log_);
  config.on_reader_gone = [this] { source_.stop(); };
  config.on_failure = [this](const std::string& line) {
    log_.error(line);
    output_failed_.store(true, std::memory_order_relaxed);
    source_.stop();
  };
  collector_ = std::make_unique<Collector>(std::move(config),
                                           open_outputs(settings_, true, [] { return std::vector<QueueLedger>(); }));
  std::vector<Analysis*> analyses;
  for (auto& analysis : analyses_) analyses.push_back(analysis.get());
  require_same_shapes(analyses);
  for (auto& analysis : analyses_) collector_->add_worker(analysis->ring());
}

void FileRun::start_threads() {
  cli::drop_privileges();
  try {
    collector_->start();
    if (packet_file_) packet_file_->start();
    plugins_->start(settings_, log_, *collector_);
    const bool reads_itself = workers_.size() == 1;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      threads_.emplace_back([this, i, reads_itself] {
        if (reads_itself) {
          workers_[i]->run(source_);
        } else {
          workers_[i]->run();
        }
        collector_->worker_ended(i);
      });
    }
    if (!reads_itself) threads_.emplace_back([this] { source_.run(); });
  } catch (const std::system_error& error) {
    source_.stop();
    source_.run();  // nobody else does: ends every queue at once
    for (std::size_t i = threads_.size(); i < workers_.size(); ++i) {
      collector_->worker_ended(i);
      if (packet_file_) packet_file_->lane(i).finish();
    }
    for (std::thread& thread : threads_) thread.join();
    collector_->join();
    throw SetupError(ExitCode::runtime_failure, "start the workers' threads", error.what(), "see ulimit -u");
  }
}

// The reader ends by itself at the end of the file, the outputs once their readers have taken all; a signal or
// --duration ends them before.
void FileRun::watch() {
  const std::uint64_t end_ns =
      settings_.duration_s > 0 ? monotonic_ns() + static_cast<std::uint64_t>(settings_.duration_s * 1e9) : UINT64_MAX;
  std::array<pollfd, 4> waits{{{signals_.stop_fd(), POLLIN, 0},
                               {signals_.reload_fd(), POLLIN, 0},
                               {collector_->done_fd(), POLLIN, 0},
                               {packet_file_ ? packet_file_->done_fd() : -1, POLLIN, 0}}};
  while (waits[2].fd >= 0 || waits[3].fd >= 0) {
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= end_ns || (waits[0].revents & POLLIN) != 0) {
      source_.stop();
      collector_->interrupt();
      if (packet_file_) packet_file_->interrupt();
      return;
    }
    if (waits[1].revents != 0 && signals_.take_reload()) plugins_->reload(settings_, log_);
    const std::uint64_t wait_ms = end_ns == UINT64_MAX ? INT_MAX : (end_ns - now_ns) / 1'000'000 + 1;
    poll(waits.data(), waits.size(), static_cast<int>(std::min<std::uint64_t>(wait_ms, INT_MAX)));
    for (pollfd& done : std::span(waits).subspan(2))
      if ((done.revents & POLLIN) != 0) done.fd = -1;
  }
}

// One entry for the file: the reader counts records, the queues what arrived, the workers what they analysed.
RunLedger FileRun::ledger() {
  RunLedger run;
  run.kernel = kernel_release();
  run.duration_s = static_cast<double>(monotonic_ns() - begin_ns_) * 1e-9;
  QueueLedger& file = run.queues.emplace_back();
  file.interface = settings_.pcap_path;
  file.driver = "file";
  file.mode = "file";
  file.xdp_seen = source_.counts().records.load();
  file.passed = source_.counts().passed.load();
  for (std::uint32_t i = 0; i < source_.workers(); ++i) {
    file.redirected += source_.handed(i);
    file.rx_packets += source_.queue(i).rx_packets();
    file.analysed += workers_[i]->figures().analysed;
    file.rx_bytes += workers_[i]->figures().bytes;
    file.results += analyses_[i]->results();
    file.results_dropped += analyses_[i]->results_dropped();
    file.plugin_errors += analyses_[i]->plugin_errors();
    run.workers.push_back({i, -1, 0, 0, workers_[i]->figures().cpu_ns});
  }
  std::vector<Analysis*> analyses;
  for (const auto& analysis : analyses_) analyses.push_back(analysis.get());
  run.plugins = plugin_ledgers(analyses);
  count_lost_results(*collector_, std::vector<std::size_t>(workers_.size(), 0), run.queues);
  run.output = collector_->ledger();
  run.time_clamped = source_.counts().time_clamped.load();
  close_packet_file(packet_file_.get(), run);
  return run;
}

ExitCode FileRun::run() {
  load_analyses();
  make_collector();
  start_threads();
  watch();
  for (std::thread& thread : threads_) thread.join();
  plugins_->stop();
  collector_->join();
  if (packet_file_) packet_file_->join();
  const RunLedger result = ledger();
  report(result, log_);
  summary_.write(result);
  const bool failed = output_failed_ || (packet_file_ && packet_file_->failed());
  if (!failed) source_.throw_if_cut_off();
  return failed ? ExitCode::runtime_failure : ExitCode::done;
}

}  // namespace

ExitCode run_file(const cli::Settings& settings, cli::Log& log, cli::Signals& signals) {
  return FileRun(settings, log, signals).run();
}

}  // namespace engine
