#include "engine/bench/latency_rig.h"

#include <pthread.h>

#include <cstring>
#include <string>
#include <utility>

#include "bpf/filter.h"
#include "engine/base/error.h"
#include "engine/clock.h"
#include "engine/results/json_lines.h"
#include "numa/memory.h"

namespace engine::bench {
namespace {

constexpr std::size_t kRing_bytes = 4u << 20;  // a round's worth of records while the collector sleeps
constexpr std::uint64_t kSettle_ns = 300'000'000;

// Our generator's stamp lies at the payload's beginning: sequence number, then ns since 1970, 8 bytes each. `skip`: of
// the sequence. A plugin has no clock but its packets'; this one, trusted, asks the system's.
constexpr const char* kAnalyzer = R"(
pcall(ffi.cdef, "struct engine_bench_time { long s; long ns; }; int clock_gettime(int, struct engine_bench_time *);")
local now, clock_gettime = ffi.new("struct engine_bench_time"), ffi.C.clock_gettime
local seen = engine.record { name = "seen", { "sent_ns", "i64" }, { "to_lua_ns", "f64" } }
function on_packet(p)
  if p.proto ~= 17 or p.payload_len < 16 or p.dst4 ~= args.destination or p.outgoing then return end
  clock_gettime(0, now)
  local at = p.payload_off
  if p:u32(at + 4) < args.skip then return end
  local sent = p:u32(at + 8) * 4294967296LL + p:u32(at + 12)
  seen:emit(sent, tonumber(now.s * 1000000000LL + now.ns - sent))
end
)";

cli::Settings settings_of(const LatencyConfig& config, const Shared& shared) {
  cli::Settings settings = capture_settings(config.interface, config.take_all, shared);
  settings.plugins.push_back({.path = {},
                              .code = kAnalyzer,
                              .name = "latency",
                              .args = {{"skip", static_cast<double>(config.skip)},
                                       {"destination", static_cast<double>(gen::TrafficSpec{}.destination4)}},
                              .trusted = true});
  return settings;
}

// JSON lines as the engine writes them, to nowhere; what it adds is the time at which they have been written.
class TimedLines final : public Output {
 public:
  TimedLines(Latencies& latencies, std::atomic<std::uint64_t>& measured)
      : lines_(std::make_unique<Sink>("/dev/null", Sink::WhenFull::drop)), latencies_(latencies), measured_(measured) {}

  bool record(std::uint64_t utc_ns, std::uint64_t epoch_ns, std::string_view plugin,
              const plugins::RecordSchema& schema, std::span<const std::byte> values) override {
    std::int64_t sent_ns;
    double to_lua_ns;
    std::memcpy(&sent_ns, values.data(), sizeof sent_ns);
    std::memcpy(&to_lua_ns, values.data() + sizeof sent_ns, sizeof to_lua_ns);
    latencies_.to_lua.add(std::max(to_lua_ns, 0.0));  // the wall clock may be set back
    unwritten_.push_back(sent_ns);
    return lines_.record(utc_ns, epoch_ns, plugin, schema, values);
  }
  void flush() noexcept override {
    lines_.flush();
    const auto now_ns = static_cast<std::int64_t>(wall_ns());
    for (const std::int64_t sent_ns : unwritten_)
      latencies_.to_result.add(static_cast<double>(std::max<std::int64_t>(now_ns - sent_ns, 0)));
    measured_.fetch_add(unwritten_.size(), std::memory_order_relaxed);
    unwritten_.clear();
  }
  void finish(int timeout_ms) noexcept override {
    lines_.finish(timeout_ms);
    flush();
  }
  bool json(std::uint64_t utc_ns, std::string_view plugin, std::string_view type, std::string_view members) override {
    return lines_.json(utc_ns, plugin, type, members);
  }
  bool part(Span interval, std::string_view plugin, std::string_view type, const plugins::Part& part,
            std::size_t line) override {
    return lines_.part(interval, plugin, type, part, line);
  }
  bool summary(Span interval, const std::vector<std::string>& interfaces, const std::vector<LedgerRow>& drops,
               const SummaryPart& part) override {
    return lines_.summary(interval, interfaces, drops, part);
  }
  bool event(std::uint64_t utc_ns, std::string_view event, std::string_view members) override {
    return lines_.event(utc_ns, event, members);
  }

 private:
  JsonLines lines_;
  Latencies& latencies_;
  std::atomic<std::uint64_t>& measured_;
  std::vector<std::int64_t> unwritten_;  // stamps of the packets whose lines wait for flush()
};

}  // namespace

LatencyRig::LatencyRig(const LatencyConfig& config, const Shared& shared, const cli::Log& log)
    : settings_(settings_of(config, shared)), capture_(settings_, log), plugins_(settings_, bpf::filter_ethernet) {
  const std::uint64_t epoch_ns = wall_ns();
  for (CaptureShare& share : capture_.shares()) {
    auto analysis =
        std::make_unique<Analysis>(AnalysisConfig{.ring_bytes = kRing_bytes, .make_room = {}, .epoch_ns = epoch_ns});
    plugins_.load({capture_.names(), {}, -1, -1}, static_cast<std::uint32_t>(analyses_.size()), *analysis);
    analysis->begin(share.frames(), epoch_ns);
    workers_.push_back(std::make_unique<Worker>(share.lanes, *analysis, control_, share.frames(), capture_.idling()));
    analyses_.push_back(std::move(analysis));
  }
  CollectorConfig collector;
  collector.plugins = collected_plugins(*analyses_.front());
  collector.epoch_ns = epoch_ns;
  collector.log = plugin_log(log);
  std::vector<std::unique_ptr<Output>> outputs;
  outputs.push_back(std::make_unique<TimedLines>(latencies_, measured_));
  collector_ = std::make_unique<Collector>(std::move(collector), std::move(outputs));
  for (auto& analysis : analyses_) collector_->add_worker(analysis->ring());
}

LatencyRig::~LatencyRig() { stop(); }

void LatencyRig::start() {
  std::vector<unsigned> cpus;
  for (const CaptureShare& share : capture_.shares()) cpus.push_back(share.cpu);
  sched_getaffinity(0, sizeof cpus_before_, &cpus_before_);
  numa::keep_this_thread_off(cpus);
  started_ = true;
  collector_->start();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    threads_.emplace_back([this, i, cpu = cpus[i]] {
      pthread_setname_np(pthread_self(), ("worker " + std::to_string(i)).c_str());
      numa::pin_this_thread(cpu);  // it was placed on a core of ours, so this cannot fail
      workers_[i]->run();
      collector_->worker_ended(i);
    });
  }
  capture_.start();
}

void LatencyRig::finish(std::uint64_t expected) {
  std::uint64_t last = measured(), changed_ns = monotonic_ns();
  while (last < expected && monotonic_ns() - changed_ns < kSettle_ns) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (const std::uint64_t now = measured(); now != last) {
      last = now;
      changed_ns = monotonic_ns();
    }
  }
  stop();
}

void LatencyRig::stop() {
  if (std::exchange(stopped_, true)) return;
  capture_.stop();
  control_.phase.store(RunControl::draining, std::memory_order_release);
  control_.wake_workers();
  for (std::thread& thread : threads_) thread.join();
  for (std::size_t i = threads_.size(); i < workers_.size(); ++i) collector_->worker_ended(i);
  if (!started_) return;
  collector_->join();
  sched_setaffinity(0, sizeof cpus_before_, &cpus_before_);
}

std::uint64_t LatencyRig::results_dropped() const noexcept {
  std::uint64_t dropped = 0;
  for (std::size_t i = 0; i < analyses_.size(); ++i)
    dropped += analyses_[i]->results_dropped() + collector_->results_dropped(i);
  return dropped;
}

std::uint64_t LatencyRig::plugin_errors() const noexcept {
  std::uint64_t errors = 0;
  for (const auto& analysis : analyses_) errors += analysis->plugin_errors();
  return errors;
}

InterfaceUsed LatencyRig::used() const {
  const Port& port = *capture_.ports().front();
  std::uint32_t queues = 0;
  for (const auto& lane : port.lanes()) queues += lane->wanted;
  return interface_used(port.link(), port.mode(), queues);
}

void add_latencies(const plugins::Histogram& histogram, Result& result) {
  constexpr std::pair<std::string_view, double> shares[] = {{"latency_p50_ns", 0.5},       {"latency_p90_ns", 0.9},
                                                            {"latency_p99_ns", 0.99},      {"latency_p99_9_ns", 0.999},
                                                            {"latency_p99_99_ns", 0.9999}, {"latency_max_ns", 1}};
  for (const auto& [name, share] : shares) result.add(name, histogram.percentile(share));
}

}  // namespace engine::bench
