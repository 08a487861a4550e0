#include "engine/live_run.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <system_error>
#include <thread>

#include "bpf/filter.h"
#include "engine/analysis.h"
#include "engine/capture.h"
#include "engine/cli/privileges.h"
#include "engine/clock.h"
#include "engine/control/run_target.h"
#include "engine/control/server.h"
#include "engine/kernel_side.h"
#include "engine/results/json.h"
#include "engine/results/status.h"
#include "engine/session.h"
#include "engine/source/port_keeper.h"
#include "engine/source/xdp_port.h"
#include "engine/worker.h"
#include "numa/memory.h"

namespace engine {
namespace {

constexpr std::size_t kRing_bytes = 512u << 10;  // of results, per worker
// How often the ports measure what drifts.
constexpr std::uint64_t kTick_ns = 1'000'000'000;

UniqueFd make_eventfd() {
  UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) throw SetupError(ExitCode::runtime_failure, "create an eventfd", strerror(errno));
  return fd;
}

void signal_eventfd(int fd) noexcept { eventfd_write(fd, 1); }

class LiveRun {
 public:
  LiveRun(const cli::Settings& settings, cli::Log& log, cli::Signals& signals)
      : settings_(settings), log_(log), signals_(signals), stop_(make_eventfd()), summary_(settings.summary_path) {}

  ExitCode run();

 private:
  void prepare();
  void load_analyses();
  void open_control();
  void reload();
  void open_packet_file(std::uint64_t epoch_ns);
  void make_collector();
  void start_threads();
  void run_worker(std::size_t i) noexcept;
  std::vector<cap_value_t> capabilities_to_keep();
  void watch();
  std::vector<QueueLedger> look() noexcept;
  void print_status(std::uint64_t now_ns);
  void make_keeper();
  void end_threads();
  RunLedger ledger();

  const cli::Settings& settings_;
  cli::Log& log_;
  cli::Signals& signals_;
  UniqueFd stop_;  // readable: the run is to end (count reached, reader gone, output failed)
  SummaryFile summary_;
  std::vector<std::unique_ptr<Output>> outputs_;  // until the collector has them
  std::atomic<bool> output_failed_{false};
  bool interface_lost_ = false;
  std::uint64_t begin_ns_ = 0;
  std::uint64_t end_ns_ = 0;
  std::uint64_t status_ns_ = 0;
  std::vector<QueueLedger> status_before_;

  // Destroyed in reverse: threads have ended by then; the collector goes before what it refers to, the capture's
  // memory and sockets after the workers that used them.
  std::optional<KernelSide> kernel_;
  std::optional<Capture> capture_;
  std::unique_ptr<PacketWriter> packet_file_;  // its lanes outlive the workers
  std::vector<std::unique_ptr<Analysis>> analyses_;
  RunControl control_;
  std::optional<PortKeeper> keeper_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<PluginSet> plugins_;  // its thread ends before what it gives states to
  std::unique_ptr<Collector> collector_;
  std::vector<std::thread> threads_;
  control::Target target_;
  std::optional<control::Server> server_;
};

void LiveRun::prepare() {
  cli::require_capabilities("capture on " + settings_.first_interface());
  if (!settings_.control_path.empty()) open_control();
  outputs_ = open_outputs(settings_, false, [this] { return look(); });
  plugins_.emplace(settings_, bpf::filter_ethernet);  // before the interface is touched
  kernel_.emplace(settings_, log_, *plugins_);
  capture_.emplace(settings_, log_, kernel_->request());
  kernel_->begin(*capture_, [this](std::string_view event, std::string_view members) {
    if (collector_) collector_->event(wall_ns(), event, members);  // before, it is what the operator wrote down
  });
  make_keeper();
  load_analyses();
  make_collector();
  if (server_)
    target_ = control::target_of({*kernel_, *capture_, [this] { return look(); }, [this] { reload(); },
                                  [this] { signal_eventfd(stop_.get()); }});
}

void LiveRun::make_keeper() {
  KeeperConfig config;
  config.promiscuous = !settings_.no_promisc;
  config.may_retake = !settings_.no_reload;
  config.tell = [this](std::string_view event, const std::string& interface, const std::string& more) {
    std::string members = "\"interface\":";
    append_json_string(members, interface);
    collector_->event(wall_ns(), event, members + more);
  };
  keeper_.emplace(std::move(config), *capture_, control_, log_);
}

// Before any interface is touched: a path that cannot be had ends it there. Clients are served once it runs.
void LiveRun::open_control() {
  server_.emplace(settings_.control_path, [this](std::string_view line) { return control::answer(line, target_); });
}

void LiveRun::reload() {
  plugins_->reload(settings_, log_);
  kernel_->reload_filter();
}

void LiveRun::open_packet_file(std::uint64_t epoch_ns) {
  std::vector<pcapng::Interface> interfaces;
  for (const auto& port : capture_->ports()) {
    pcapng::Interface& interface = interfaces.emplace_back();
    interface.name = port->link().name;
    interface.description = port->link().driver + ", mode " + std::string(port->mode());
  }
  packet_file_ = engine::open_packet_file(settings_, capture_->shares().size(), std::move(interfaces), epoch_ns, log_,
                                          [this] { signal_eventfd(stop_.get()); });
}

void LiveRun::load_analyses() {
  const std::uint64_t epoch_ns = wall_ns();
  open_packet_file(epoch_ns);
  for (CaptureShare& share : capture_->shares()) {
    AnalysisConfig config{.ring_bytes = kRing_bytes, .make_room = {}, .epoch_ns = epoch_ns};
    if (packet_file_) config.packets_to_file = &packet_file_->lane(analyses_.size());
    auto analysis = std::make_unique<Analysis>(config);
    plugins::WorkerInfo info{capture_->names(),
                             {},
                             static_cast<std::int32_t>(share.cpu),
                             static_cast<std::int32_t>(share.node),
                             static_cast<std::uint32_t>(capture_->shares().size())};
    for (const Lane* lane : share.lanes)
      if (lane->wanted) info.queues.push_back(lane->index);
    // A NIC may hash the directions of a connection to different queues.
    const bool split = capture_->shares().size() > 1;
    plugins_->load(info, static_cast<std::uint32_t>(analyses_.size()), *analysis, split, kernel_->requests());
    analysis->begin(share.frames(), epoch_ns);
    workers_.push_back(std::make_unique<Worker>(share.lanes, *analysis, control_, share.frames(), capture_->idling()));
    analyses_.push_back(std::move(analysis));
  }
}

void LiveRun::make_collector() {
  CollectorConfig config;
  config.plugins = collected_plugins(*analyses_.front());
  config.epoch_ns = analyses_.front()->epoch_ns();
  for (const auto& port : capture_->ports()) config.interfaces.push_back(port->link().name);
  config.drops = [this] { return drop_rows(ledger_total(look())); };
  config.log = plugin_log(log_);
  kernel_->set_up(config);
  config.on_reader_gone = [this] { signal_eventfd(stop_.get()); };
  config.on_failure = [this](const std::string& line) {
    log_.error(line);
    output_failed_.store(true, std::memory_order_relaxed);
    signal_eventfd(stop_.get());
  };
  collector_ = std::make_unique<Collector>(std::move(config), std::move(outputs_));
  std::vector<Analysis*> analyses;
  for (auto& analysis : analyses_) analyses.push_back(analysis.get());
  require_same_shapes(analyses);
  for (auto& analysis : analyses_) collector_->add_worker(analysis->ring());
}

void LiveRun::start_threads() {
  control_.limited = settings_.count > 0;
  control_.budget = static_cast<std::int64_t>(settings_.count);
  control_.done_fd = stop_.get();
  std::vector<unsigned> cpus;
  for (const CaptureShare& share : capture_->shares()) cpus.push_back(share.cpu);
  numa::keep_this_thread_off(cpus);  // the collector inherits it: a worker that spins is not interrupted by us
  const std::vector<cap_value_t> kept = capabilities_to_keep();
  cli::drop_privileges(kept);
  if (settings_.no_reload) log_.info("--no-reload: all rights are given up; an interface that goes ends the run");
  try {
    collector_->start();
    if (packet_file_) packet_file_->start();
    plugins_->start(
        settings_, log_, *collector_,
        [this](std::size_t plugin, const std::vector<std::string>& filters) {
          kernel_->set_plugin_filters(plugin, filters);
        },
        [this](std::uint32_t uses) { kernel_->require_stages(uses); });
    for (std::size_t i = 0; i < workers_.size(); ++i) threads_.emplace_back([this, i] { run_worker(i); });
    capture_->start();
  } catch (const std::system_error& error) {
    end_threads();
    throw SetupError(ExitCode::runtime_failure, "start the workers' threads", error.what(), "see ulimit -u");
  } catch (const SetupError&) {
    end_threads();
    throw;
  }
}

void LiveRun::run_worker(std::size_t i) noexcept {
  pthread_setname_np(pthread_self(), ("worker " + std::to_string(i)).c_str());
  try {
    numa::pin_this_thread(capture_->shares()[i].cpu);
  } catch (const SetupError& error) {  // slower, not wrong: it runs wherever the scheduler puts it
    log_.warn(error.what());
  }
  try {
    cli::drop_privileges();
  } catch (const SetupError& error) {
    log_.warn(error.what());
  }
  workers_[i]->run();
  collector_->worker_ended(i);
}

// What loads a filter and takes an interface anew when it is back; workers give that up too. With --no-reload nothing:
// from Linux 5.19 on maps are read and written through a descriptor without any capability; before, every bpf() call
// needs CAP_BPF. A thread that gives everything up tries it: capabilities are a thread's own.
std::vector<cap_value_t> LiveRun::capabilities_to_keep() {
  if (!settings_.no_reload) return {CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_PERFMON};
  bool needs_none = false;
  std::thread([this, &needs_none] {
    try {
      cli::drop_privileges();
      capture_->ledger(false);
      needs_none = true;
    } catch (const SetupError&) {
    }
  }).join();
  if (needs_none) return {};
  return {CAP_BPF};
}

// The main thread's part while packets flow: wait for a reason to end, print the status line.
void LiveRun::watch() {
  const auto end_ns =
      settings_.duration_s > 0 ? begin_ns_ + static_cast<std::uint64_t>(settings_.duration_s * 1e9) : UINT64_MAX;
  // The live table has a status line of its own.
  const auto every_ns =
      settings_.stats_s > 0 && !is_pretty(settings_) ? static_cast<std::uint64_t>(settings_.stats_s * 1e9) : UINT64_MAX;
  std::uint64_t next_status_ns = every_ns == UINT64_MAX ? UINT64_MAX : begin_ns_ + every_ns;
  std::uint64_t next_tick_ns = begin_ns_ + kTick_ns;
  for (;;) {
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= end_ns) return;
    if (now_ns >= next_status_ns) {
      print_status(now_ns);
      next_status_ns += every_ns;
    }
    if (now_ns >= next_tick_ns) {
      for (const auto& port : capture_->ports()) port->tick();
      next_tick_ns = now_ns + kTick_ns;
    }
    interface_lost_ = !keeper_->serve(now_ns);
    if (interface_lost_) return;
    const std::uint64_t until_ns = std::min({end_ns, next_status_ns, next_tick_ns, keeper_->due_ns()});
    const std::uint64_t wait_ms = until_ns > now_ns ? (until_ns - now_ns) / 1'000'000 + 1 : 0;
    std::array<pollfd, 5> waits{{{signals_.stop_fd(), POLLIN, 0},
                                 {stop_.get(), POLLIN, 0},
                                 {signals_.reload_fd(), POLLIN, 0},
                                 {keeper_->fd(), POLLIN, 0},
                                 {server_ ? server_->fd() : -1, POLLIN, 0}}};
    poll(waits.data(), waits.size(), static_cast<int>(wait_ms));
    if (waits[0].revents != 0 || waits[1].revents != 0) return;
    if (waits[2].revents != 0 && signals_.take_reload()) reload();
    if (waits[4].revents != 0) server_->serve(monotonic_ns());
  }
}

// The ledger while it runs, for the collector's thread too: a map that cannot be read then (it can at the end, or the
// run fails with the reason) leaves the figures out and ends nothing.
std::vector<QueueLedger> LiveRun::look() noexcept {
  try {
    return capture_->ledger(false);
  } catch (const std::exception&) {
    return {};
  }
}

void LiveRun::print_status(std::uint64_t now_ns) {
  std::vector<QueueLedger> now = look();
  const double seconds = static_cast<double>(now_ns - status_ns_) * 1e-9;
  log_.info(status_line(now, status_before_, seconds));
  status_before_ = std::move(now);
  status_ns_ = now_ns;
}

// Detach, wait, drain, then read: only then is every count final.
void LiveRun::end_threads() {
  capture_->stop();
  kernel_->end(monotonic_ns());  // while the collector takes events
  control_.phase.store(RunControl::draining, std::memory_order_release);
  control_.wake_workers();
  for (std::thread& thread : threads_) thread.join();
  plugins_->stop();
  for (std::size_t i = threads_.size(); i < workers_.size(); ++i) {  // those that never ran
    collector_->worker_ended(i);
    if (packet_file_) packet_file_->lane(i).finish();
  }
  end_ns_ = monotonic_ns();
  collector_->join();
  if (packet_file_) packet_file_->join();
}

RunLedger LiveRun::ledger() {
  RunLedger run;
  run.kernel = kernel_release();
  run.duration_s = static_cast<double>(end_ns_ - begin_ns_) * 1e-9;
  run.queues = capture_->ledger(true);
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const int cpu = static_cast<int>(capture_->shares()[i].cpu);
    run.workers.push_back(
        {static_cast<std::uint32_t>(i), cpu, workers_[i]->polls(), workers_[i]->empty_polls(), workers_[i]->cpu_ns()});
  }
  std::vector<Analysis*> analyses;
  for (auto& analysis : analyses_) analyses.push_back(analysis.get());
  run.plugins = plugin_ledgers(analyses);
  std::vector<std::size_t> first_of_worker;
  for (const CaptureShare& share : capture_->shares()) first_of_worker.push_back(share.places.front());
  count_lost_results(*collector_, first_of_worker, run.queues);
  run.output = collector_->ledger();
  run.device = capture_->device_counters();
  kernel_->add_ledger(run);
  close_packet_file(packet_file_.get(), run);
  return run;
}

ExitCode LiveRun::run() {
  prepare();
  start_threads();
  begin_ns_ = status_ns_ = monotonic_ns();
  log_.info("ready: " + std::to_string(workers_.size()) + (workers_.size() == 1 ? " worker, " : " workers, ") +
            (capture_->idling().spin ? "spinning" : "sleeping in poll() when idle"));
  const bool table = takes_the_screen(settings_);
  if (table) log_.hold();
  watch();
  end_threads();
  if (table) log_.release();
  const RunLedger result = ledger();
  report(result, log_);
  summary_.write(result);
  const bool file_failed = packet_file_ && packet_file_->failed();
  return output_failed_ || interface_lost_ || file_failed ? ExitCode::runtime_failure : ExitCode::done;
}

}  // namespace

ExitCode run_live(const cli::Settings& settings, cli::Log& log, cli::Signals& signals) {
  return LiveRun(settings, log, signals).run();
}

}  // namespace engine
