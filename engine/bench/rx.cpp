// `engine bench rx`: AF_XDP receiving without doing anything with the packets, which come from elsewhere.
#include <algorithm>
#include <cstdio>
#include <string>

#include "engine/bench/bench.h"
#include "engine/bench/receiver.h"
#include "engine/bench/rounds.h"

namespace engine::bench {
namespace {

constexpr std::string_view help_text =
    "Receives on an interface's queues and drops. Measuring begins with the first packet; the traffic comes from a\n"
    "generator at the other end, such as engine gen. Loss is told by cause, by the same ledger as the engine's own.";

struct Settings {
  Shared shared;
  ReceiverConfig receiver;
  double patience_s = 30;
};

std::vector<cli::Option> own_options(Settings& s) {
  std::vector<cli::Option> options = first_packet_options(s.receiver.take_all, s.receiver.limit, s.patience_s);
  options.insert(options.begin(),
                 interface_option(s.receiver.interface, "interface to receive on, and its queues if not all"));
  return options;
}

std::vector<cli::Option> shared_ones(Settings& s) {
  return shared_options(s.shared, {"mode", "queues", "batch", "cpus", "wait", "duration", "rounds"});
}

// One result for the whole; with several queues one for each, where CPU time is that of a core which serves it alone.
class Rounder {
 public:
  explicit Rounder(Receiver& receiver) : receiver_(receiver) {
    for (const auto& lane : receiver.port().lanes())
      if (lane->wanted) lanes_.push_back(lane.get());
    for (const Lane* lane : lanes_)
      queues_.push_back({.name = "rx_queue", .params = {{"queue", std::uint64_t{lane->index}}}});
    workers_before_ = receiver_.begin();
    packets_before_.resize(lanes_.size());  // before the first packet: none
  }

  void end() {
    const std::vector<WorkerSample> workers = receiver_.sample();
    std::vector<WorkerSample> changes;
    for (std::size_t i = 0; i < workers.size(); ++i) changes.push_back(difference(workers[i], workers_before_[i]));
    const WorkerSample together = sum(changes);
    add_rates(together, whole_);
    softirqs_.add_round(together.packets, whole_);
    for (std::size_t i = 0; i < lanes_.size(); ++i) add_queue(i, changes);
    workers_before_ = workers;
    for (std::size_t i = 0; i < lanes_.size(); ++i)
      packets_before_[i] = lanes_[i]->analysed.load(std::memory_order_relaxed);
  }

  std::vector<Result> results() {
    std::vector<Result> all{std::move(whole_)};
    if (queues_.size() > 1)
      for (Result& queue : queues_) all.push_back(std::move(queue));
    return all;
  }

 private:
  void add_queue(std::size_t i, const std::vector<WorkerSample>& changes) {
    const auto& shares = receiver_.shares();
    for (std::size_t worker = 0; worker < shares.size(); ++worker) {
      const std::vector<std::size_t>& places = shares[worker].places;
      if (std::ranges::find(places, i) == places.end()) continue;
      if (places.size() == 1) return add_rates(changes[worker], queues_[i]);
      const double packets =
          static_cast<double>(lanes_[i]->analysed.load(std::memory_order_relaxed) - packets_before_[i]);
      queues_[i].add("rate_pps", packets / (static_cast<double>(changes[worker].at_ns) * 1e-9));
      queues_[i].cannot("cpu_ns_per_packet", "one core serves " + std::to_string(places.size()) + " queues");
    }
  }

  Receiver& receiver_;
  std::vector<Lane*> lanes_;
  Result whole_{.name = "rx"};
  std::vector<Result> queues_;
  SoftirqRounds softirqs_;
  std::vector<WorkerSample> workers_before_;
  std::vector<std::uint64_t> packets_before_;
};

std::vector<Result> measure(const Settings& settings, Receiver& receiver, const cli::Signals& signals) {
  receiver.start();
  std::fprintf(stderr, "engine bench rx: ready\n");
  const Woken begun = await_first(receiver.first_fd(), signals, settings.patience_s, receiver.port().link().name);
  Rounder rounds(receiver);
  const std::uint32_t wanted = settings.receiver.limit != 0 ? 1 : settings.shared.rounds;
  Woken ended = begun;
  for (std::uint32_t round = 0; round < wanted && ended != Woken::by_stop; ++round) {
    ended = await(receiver.done_fd(), signals, settings.shared.duration_s);
    rounds.end();
  }
  receiver.stop();
  return rounds.results();
}

}  // namespace

ExitCode run_rx(std::span<char* const> args) {
  Settings settings;
  if (!parse({"rx", "--iface IF [options]", help_text}, own_options(settings), shared_ones(settings), settings.shared,
             args))
    return ExitCode::done;
  require_interface("rx", settings.receiver.interface);
  Report report = begin_report("rx", args);
  const cli::Log log(cli::LogLevel::warn);
  const cli::Signals signals(log);
  Receiver receiver(settings.receiver, settings.shared, log);
  report.interface = receiver.used();
  report.results = measure(settings, receiver, signals);
  const std::vector<QueueLedger> queues = receiver.ledger();
  Result& whole = report.results.front();
  whole.params = {{"batch", std::uint64_t{settings.shared.batch}},
                  {"wait", receiver.spins() ? "spin" : "poll"},
                  {"workers", std::uint64_t{receiver.shares().size()}}};
  add_losses(queues, whole);
  if (lost(ledger_total(queues)) > 0)
    whole.notes.emplace_back(
        "packets were lost: this is no rate that the receiver keeps up with, see engine bench search");
  whole.add("device_dropped", static_cast<double>(receiver.device_dropped()));
  for (std::size_t i = 1; i < report.results.size(); ++i) add_losses({queues[i - 1]}, report.results[i]);
  publish(report, settings.shared.json_path);
  return unaccounted(queues) == 0 ? ExitCode::done : ExitCode::runtime_failure;
}

}  // namespace engine::bench
