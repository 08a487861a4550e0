#include "engine/bench/receiver.h"

#include <utility>

namespace engine::bench {
Receiver::Receiver(const ReceiverConfig& config, const Shared& shared, const cli::Log& log)
    : settings_(capture_settings(config.interface, config.take_all, shared)),
      capture_(settings_, log),
      threads_(control_) {
  if (port().mode() == "afpacket")
    throw SetupError(ExitCode::machine_cannot, "interface " + port().link().name, "AF_XDP cannot take its packets",
                     "the warning before this says why and what helps");
  control_.limit = config.limit;
  for (const CaptureShare& share : capture_.shares()) {
    std::vector<Lane*> lanes;
    for (Lane* lane : share.lanes)
      if (lane->wanted) lanes.push_back(lane);
    workers_.push_back(std::make_unique<DropWorker>(
        std::move(lanes), control_,
        WorkerConfig{.batch = shared.batch, .spin = capture_.idling().spin, .watch_gaps = config.watch_gaps}));
  }
}

Receiver::~Receiver() { stop(); }

void Receiver::start() {
  std::vector<SampledWorker*> workers;
  std::vector<unsigned> cpus;
  for (const auto& worker : workers_) workers.push_back(worker.get());
  for (const CaptureShare& share : capture_.shares()) cpus.push_back(share.cpu);
  threads_.start(std::move(workers), cpus, "receiver");
  capture_.start();
}

void Receiver::stop() {
  if (std::exchange(stopped_, true)) return;
  capture_.stop();
  threads_.end();
}

std::vector<QueueLedger> Receiver::ledger() { return capture_.ledger(stopped_); }

std::uint64_t Receiver::device_dropped() const {
  for (const auto& [name, value] : capture_.device_counters())
    if (name == "nic_dropped") return value;
  return 0;
}

InterfaceUsed Receiver::used() const {
  std::uint32_t queues = 0;
  for (const auto& lane : port().lanes()) queues += lane->wanted;
  return interface_used(port().link(), port().mode(), queues);
}

std::uint64_t lost(const QueueLedger& total) {
  return total.rx_dropped + total.rx_ring_full + total.no_socket + total.slot_dropped +
         total.redirect_errors.value_or(0);
}

std::uint64_t unaccounted(const std::vector<QueueLedger>& queues) {
  std::uint64_t packets = 0;
  for (const QueueLedger& queue : queues) packets += queue.unaccounted();
  return packets;
}

void add_losses(const std::vector<QueueLedger>& queues, Result& result) {
  const QueueLedger total = ledger_total(queues);
  const auto add = [&result](std::string_view name, std::uint64_t value) {
    result.add(name, static_cast<double>(value));
  };
  add("xdp_seen", total.xdp_seen);
  add("received", total.analysed + total.skipped);
  add("rx_dropped", total.rx_dropped);
  add("rx_ring_full", total.rx_ring_full);
  add("no_socket", total.no_socket);
  add("slot_dropped", total.slot_dropped);
  if (total.redirect_errors) {
    add("redirect_errors", *total.redirect_errors);
  } else {
    result.cannot("redirect_errors", "the kernel's trace point is not to be had, see CAP_PERFMON");
  }
  add("lost", lost(total));
  add("unaccounted", unaccounted(queues));
}

}  // namespace engine::bench
