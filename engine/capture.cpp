#include "engine/capture.h"

#include <algorithm>

#include "numa/topology.h"

namespace engine {

Capture::Capture(const cli::Settings& settings, const cli::Log& log, CaptureRequest request)
    : ports_(open_ports(settings, log, std::move(request))) {
  place_lanes(settings);
  for (const auto& port : ports_) open(*port);
  for (const auto& port : ports_)
    devices_.push_back({xsk::read_device_counters(port->link().ifindex).value_or(xsk::DeviceCounters{}), 0, 0});
  for (const auto& port : ports_)
    if (settings.rx_usecs > 0 && port->mode() == "afpacket")
      log.warn("--rx-usecs has no effect on " + port->link().name + ": a tap's packets come in blocks, and so it wakes");
}

void Capture::place_lanes(const cli::Settings& settings) {
  std::vector<Lane*> lanes;
  numa::PlacementRequest request;
  std::size_t interface = 0;
  for (const auto& port : ports_) {
    for (const auto& lane : port->lanes()) {
      lane->interface = static_cast<std::uint16_t>(interface);
      if (lane->wanted) lanes.push_back(lane.get());
    }
    ++interface;
    const auto node = numa::node_of_interface(port->link().name);
    // NICs on different nodes: no node is everybody's.
    request.nic_node = port == ports_.front() || request.nic_node == node ? node : std::nullopt;
  }
  request.queues = static_cast<std::uint32_t>(lanes.size());
  request.workers = settings.workers;
  if (!settings.cpus.empty()) request.cpus = cli::parse_cpu_list(settings.cpus);
  const numa::Placement placement = numa::place(numa::read_topology(), request);
  // A tap's packets come in blocks, and a block wakes its worker once: looking for it all the time gains nothing.
  const bool taps_only = std::ranges::all_of(ports_, [](const auto& port) { return port->mode() == "afpacket"; });
  idling_.coalesce_ns = std::uint64_t{settings.rx_usecs} * 1000;
  idling_.spin = settings.wait == cli::WaitMode::automatic ? placement.spins && !taps_only && settings.rx_usecs == 0
                                                           : settings.wait == cli::WaitMode::spin;
  for (const numa::WorkerPlacement& worker : placement.workers) {
    CaptureShare& share = shares_.emplace_back();
    share.cpu = worker.cpu;
    share.node = worker.node;
    share.range = std::make_unique<numa::AddressRange>();
    for (const std::uint32_t lane : worker.queues) {
      share.lanes.push_back(lanes[lane]);
      share.places.push_back(lane);
    }
  }
  place_spare_lanes();
}

// Those of queues that there may be later go to who has least to do.
void Capture::place_spare_lanes() {
  for (const auto& port : ports_)
    for (const auto& lane : port->lanes()) {
      if (lane->wanted) continue;
      const auto least = std::ranges::min_element(shares_, {}, [](const CaptureShare& it) { return it.lanes.size(); });
      if (least->lanes.size() < kMaxLanes) least->lanes.push_back(lane.get());
    }
}

void Capture::open(Port& port) {
  std::vector<LanePlace> places;
  for (const auto& lane : port.lanes()) {
    LanePlace& place = places.emplace_back();
    for (const CaptureShare& share : shares_)
      if (std::ranges::find(share.lanes, lane.get()) != share.lanes.end())
        place = {share.cpu, share.node, share.range.get()};
  }
  port.open(places);
}

void Capture::start() {
  for (const auto& port : ports_) port->start();
}

void Capture::stop() {
  for (const auto& port : ports_) port->stop();
}

void Capture::let_go(Port& port, RunControl& control, const xsk::DeviceCounters& last) {
  port.stop();
  for (const auto& lane : port.lanes()) lane->wanted.store(false, std::memory_order_relaxed);
  control.change_lanes();
  for (const auto& lane : port.lanes()) lane->served.wait(true, std::memory_order_acquire);
  Device& device = device_of(port);
  const xsk::DeviceCounters now = xsk::read_device_counters(port.link().ifindex).value_or(last);
  device.seen_before += now.nic_seen() - device.at_start.nic_seen();
  device.dropped_before += now.nic_dropped() - device.at_start.nic_dropped();
  device.at_start = now;
  const std::lock_guard lock(changing_);
  port.close();
}

void Capture::take(Port& port, RunControl& control) {
  {
    const std::lock_guard lock(changing_);
    try {
      open(port);
    } catch (const SetupError&) {
      port.stop();
      port.close();
      throw;
    }
  }
  device_of(port).at_start = xsk::read_device_counters(port.link().ifindex).value_or(xsk::DeviceCounters{});
  for (const auto& lane : port.lanes()) {
    lane->interface_state.store(0, std::memory_order_relaxed);
    lane->wanted.store(lane->fd >= 0, std::memory_order_relaxed);  // there may be more queues than before, or fewer
  }
  control.change_lanes();
  // Or the next let_go() might find it not served yet, and a worker take it up behind that.
  for (const auto& lane : port.lanes())
    if (lane->wanted) lane->served.wait(false, std::memory_order_acquire);
  port.start();
}

void Capture::rename(Port& port, std::string name) {
  const std::lock_guard lock(changing_);
  port.rename(std::move(name));
}

Capture::Device& Capture::device_of(const Port& port) {
  std::size_t i = 0;
  while (ports_[i].get() != &port) ++i;
  return devices_[i];
}

void Capture::set_filter(const bpf::FilterExpression& filter) {
  const std::lock_guard lock(changing_);
  for (const auto& port : ports_) port->set_filter(filter);
}

void Capture::change_stages() {
  const std::lock_guard lock(changing_);
  for (const auto& port : ports_) port->change_stages();
}

std::string Capture::names() const {
  std::string names;
  for (const auto& port : ports_) names += (names.empty() ? "" : ",") + port->link().name;
  return names;
}

std::vector<QueueLedger> Capture::ledger(bool workers_ended) {
  const std::lock_guard reading(reading_);
  const std::unique_lock changing(changing_, std::try_to_lock);
  if (changing.owns_lock()) ledger_ = read_ledger(workers_ended);
  return ledger_;
}

std::vector<QueueLedger> Capture::read_ledger(bool workers_ended) {
  std::vector<QueueLedger> ledgers, others;
  for (const auto& port : ports_) port->add_ledgers(workers_ended, ledgers, others);
  for (const CaptureShare& share : shares_) {
    for (const std::size_t place : share.places) {
      ledgers[place].cpu = static_cast<int>(share.cpu);
      ledgers[place].node = static_cast<int>(share.node);
    }
  }
  ledgers.insert(ledgers.end(), others.begin(), others.end());
  return ledgers;
}

std::vector<std::pair<std::string, std::uint64_t>> Capture::device_counters() const {
  std::uint64_t seen = 0, dropped = 0;
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    // One that is gone has counted all that it will.
    const xsk::DeviceCounters& start = devices_[i].at_start;
    const xsk::DeviceCounters now = xsk::read_device_counters(ports_[i]->link().ifindex).value_or(start);
    seen += devices_[i].seen_before + now.nic_seen() - start.nic_seen();
    dropped += devices_[i].dropped_before + now.nic_dropped() - start.nic_dropped();
  }
  return {{"nic_seen", seen}, {"nic_dropped", dropped}};
}

}  // namespace engine
