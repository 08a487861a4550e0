#include "engine/bench/forwarder.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/cli/protect.h"
#include "engine/source/attach.h"
#include "numa/topology.h"
#include "xsk/sizes.h"

namespace engine::bench {
namespace {

std::uint64_t tx_dropped(const xsk::Link& link) {
  return xsk::read_device_counters(link.ifindex).value_or(xsk::DeviceCounters{}).tx_dropped;
}

void require_interface(const xsk::Link& link, bool take_all) {
  if (!link.is_up)
    throw SetupError(ExitCode::machine_cannot, "interface " + link.name, "is down", "ip link set " + link.name + " up");
  const auto why = take_all ? std::nullopt : cli::why_protected(link.name);
  if (why)
    throw SetupError(ExitCode::machine_cannot, "interface " + link.name,
                     *why + ", and forwarding takes its packets away from this machine",
                     "give --take-all if that is meant");
  if (xsk::choose_frames(link.mtu_bytes, link.driver).multi_buffer)
    throw SetupError(ExitCode::machine_cannot, "forward on " + link.name,
                     "packets of MTU " + std::to_string(link.mtu_bytes) + " do not fit into one frame",
                     "ip link set " + link.name + " mtu " +
                         std::to_string(xsk::choose_frames(link.mtu_bytes, link.driver).single_frame_mtu));
}

}  // namespace

Forwarder::Forwarder(const ForwarderConfig& config, const Shared& shared) : threads_(control_) {
  xsk::raise_memlock_limit();
  control_.limit = config.limit;
  for (const std::string& name : config.interfaces) add_side(name, shared, config.take_all);
  for (std::uint32_t queue = 0; queue < queues_; ++queue) open_lane(queue, shared);
  make_workers(shared, config.swap_macs);
}

Forwarder::~Forwarder() { stop(); }

// Queues that a driver only makes for XDP are left alone: see XdpPort::attach().
void Forwarder::add_side(const std::string& name, const Shared& shared, bool take_all) {
  xsk::Link link = xsk::read_link(name);
  require_interface(link, take_all);
  if (shared.queues != 0) xsk::require_queues(link, shared.queues);
  const std::uint32_t queues = shared.queues != 0 ? shared.queues : link.rx_queues;
  queues_ = sides_.empty() ? queues : std::min(queues_, queues);
  bpf::RootConfig root;
  root.queues = std::max(link.rx_queues, link.max_rx_queues.value_or(0));
  Side& side = sides_.emplace_back(Side{link, tx_dropped(link), bpf::RootProgram::load(root), std::nullopt});
  side.program.attach(link.ifindex, link.name, attach_request(shared.mode), bpf::Foreign::refuse);
  xsk::wait_for_carrier(link.ifindex, kCarrierTimeout);
  std::string reason;
  side.redirect_errors = bpf::RedirectErrors::open(side.program.socket_map_id(), root.queues, reason);
}

void Forwarder::open_lane(std::uint32_t queue, const Shared& shared) {
  std::vector<xsk::SocketConfig> configs;
  std::uint32_t frames = 0;
  for (Side& side : sides_) {
    const xsk::FrameChoice choice = xsk::choose_frames(side.link.mtu_bytes, side.link.driver);
    const xsk::RingSizes sizes = xsk::ring_sizes(side.link.nic_ring_entries, 1);
    xsk::SocketConfig config;
    config.interface_name = side.link.name;
    config.ifindex = side.link.ifindex;
    config.queue = xsk::QueueId(queue);
    config.chunk_bytes = choice.chunk_bytes;
    config.single_frame_mtu = choice.single_frame_mtu;
    config.rx_entries = config.tx_entries = sizes.rx_entries;
    config.forwards = true;
    config.mode = shared.mode;
    config.attached_generic = side.program.attach_mode() == bpf::AttachMode::generic;
    configs.push_back(std::move(config));
    frames = std::max(frames, sizes.frames);
  }
  // One UMEM has one mode and one size of frames.
  const auto chunk_bytes = std::ranges::max(configs, {}, &xsk::SocketConfig::chunk_bytes).chunk_bytes;
  const bool generic = std::ranges::any_of(configs, &xsk::SocketConfig::attached_generic);
  const unsigned node = numa::node_of_interface(sides_.front().link.name).value_or(0);
  Lane lane{numa::NodeMemory(std::size_t{frames} * chunk_bytes * configs.size(), node, numa::NodeMemory::Populate::now,
                             numa::Pages::automatic),
            {}};
  for (xsk::SocketConfig& config : configs) {
    config.umem = lane.umem.bytes().first(std::size_t{frames} * chunk_bytes * configs.size());
    config.chunk_bytes = chunk_bytes;
    if (generic && config.mode == xsk::RequestedMode::automatic) config.mode = xsk::RequestedMode::copy;
  }
  lane.sockets = xsk::Socket::open_sharing(std::move(configs));
  lanes_.push_back(std::move(lane));
}

void Forwarder::make_workers(const Shared& shared, bool swap_macs) {
  numa::PlacementRequest request;
  request.queues = queues_;
  if (!shared.cpus.empty()) request.cpus = cli::parse_cpu_list(shared.cpus);
  request.nic_node = numa::node_of_interface(sides_.front().link.name);
  const numa::Placement placement = numa::place(numa::read_topology(), request);
  spins_ = shared.wait == cli::WaitMode::automatic ? placement.spins : shared.wait == cli::WaitMode::spin;
  for (const numa::WorkerPlacement& place : placement.workers) {
    std::vector<Direction> directions;
    for (const std::uint32_t queue : place.queues)
      for (std::size_t side = 0; side < sides_.size(); ++side)
        directions.push_back({&lanes_[queue].sockets[side], &lanes_[queue].sockets[other(side)]});
    cpus_.push_back(place.cpu);
    workers_.push_back(std::make_unique<ForwardWorker>(std::move(directions), swap_macs, control_,
                                                       WorkerConfig{.batch = shared.batch, .spin = spins_}));
  }
}

void Forwarder::start() {
  std::vector<SampledWorker*> workers;
  for (const auto& worker : workers_) workers.push_back(worker.get());
  threads_.start(std::move(workers), cpus_, "forwarder");
  for (Lane& lane : lanes_)
    for (std::size_t side = 0; side < sides_.size(); ++side)
      sides_[side].program.set_socket(lane.sockets[side].queue().value(), lane.sockets[side].fd());
}

// Both programs first: as long as one runs, the other side's TX rings get packets.
void Forwarder::stop() {
  if (std::exchange(stopped_, true)) return;
  for (Side& side : sides_) {
    for (std::uint32_t queue = 0; queue < queues_; ++queue) side.program.clear_socket(queue);
    side.program.detach();
  }
  wait_until_settled([this] {
    std::uint64_t packets = 0;
    for (const Side& side : sides_)
      for (std::uint32_t queue = 0; queue < side.program.queues(); ++queue)
        packets += side.program.counters(queue).xdp_seen;
    return packets;
  });
  threads_.end();
}

ForwardLedger Forwarder::ledger_of(std::size_t number) {
  Side& side = sides_[number];
  ForwardLedger ledger;
  ledger.out_interface = sides_[other(number)].link.name;
  ledger.device_refused = tx_dropped(sides_[other(number)].link) - sides_[other(number)].tx_dropped_before;
  QueueLedger& in = ledger.in;
  in.interface = side.link.name;
  if (!side.redirect_errors) in.redirect_errors.reset();
  for (std::uint32_t queue = 0; queue < side.program.queues(); ++queue) {
    const root_counters counters = side.program.counters(queue);
    in.xdp_seen += counters.xdp_seen;
    in.passed += counters.passed;
    in.no_socket += counters.no_socket;
    in.slot_dropped += counters.slot_dropped;
    in.redirected += counters.redirected;
    if (side.redirect_errors) *in.redirect_errors += side.redirect_errors->count(queue);
  }
  for (Lane& lane : lanes_) {
    xsk::Socket& socket = lane.sockets[number];
    xsk::ForwardQueue& forward = socket.forward_queue();
    const xsk::SocketStatistics statistics = socket.statistics();
    in.rx_dropped += statistics.rx_dropped;
    in.rx_ring_full += statistics.rx_ring_full;
    in.rx_packets += forward.rx_packets();
    ledger.forwarded += forward.forwarded();
    ledger.tx_ring_full += forward.dropped();
    ledger.bad += forward.bad_packets();
    ledger.completed += forward.completed();
    ledger.unfinished += forward.in_flight();
    ledger.bad_completions += forward.bad_completions();
  }
  in.analysed = ledger.forwarded;
  in.skipped = ledger.tx_ring_full + ledger.bad;
  return ledger;
}

std::vector<ForwardLedger> Forwarder::ledgers() {
  std::vector<ForwardLedger> all;
  for (std::size_t side = 0; side < sides_.size(); ++side) all.push_back(ledger_of(side));
  return all;
}

std::string_view Forwarder::mode() const noexcept {
  xsk::ObtainedMode worst = lanes_.front().sockets.front().mode();
  for (const Lane& lane : lanes_)
    for (const xsk::Socket& socket : lane.sockets) worst = std::max(worst, socket.mode());
  return xsk::to_string(worst);
}

}  // namespace engine::bench
