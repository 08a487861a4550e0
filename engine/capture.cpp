#include "engine/capture.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "bpf/block_list.h"
#include "engine/block/timed_blocks.h"
#include "engine/cli/filter_file.h"
#include "xsk/sizes.h"

namespace engine {
namespace {

// An attach makes some NICs reset their link for seconds (igb, ixgbe); veth needs nothing.
constexpr std::chrono::milliseconds kCarrierTimeout{5000};
// After the detach: looks at the program's counters until two in a row, a millisecond apart, are equal.
constexpr int kSettleRounds = 100;

bpf::AttachRequest attach_request(xsk::RequestedMode mode) {
  switch (mode) {
    case xsk::RequestedMode::skb:
      return bpf::AttachRequest::generic;
    case xsk::RequestedMode::zerocopy:
    case xsk::RequestedMode::copy:
      return bpf::AttachRequest::native;
    default:
      return bpf::AttachRequest::automatic;
  }
}

bpf::RootConfig root_config(const cli::Settings& settings, const xsk::Link& link, bool plugins_block) {
  const std::string filter = cli::filter_text(settings);
  return {.queues = std::max(link.rx_queues, link.max_rx_queues.value_or(0)),
          .block = operators_block_list(settings),
          .more_addresses = plugins_block ? TimedBlocks::kMaxAddresses : 0,
          .more_networks = plugins_block ? TimedBlocks::kMaxNetworks : 0,
          .filter = filter.empty() ? std::nullopt : std::optional<bpf::FilterExpression>(filter)};
}

}  // namespace

bpf::BlockList operators_block_list(const cli::Settings& settings) {
  bpf::BlockList list;
  if (!settings.block_path.empty()) list = bpf::read_block_file(settings.block_path);
  for (const std::string& entry : settings.block) bpf::add_block_entry(entry, "block", list);
  return list;
}

Capture::Capture(const cli::Settings& settings, const cli::Log& log, std::optional<bpf::RootProgram> ready,
                 bool plugins_block)
    : link_(xsk::read_link(settings.first_interface())), program_(std::move(ready)) {
  if (!link_.is_up)
    throw SetupError(ExitCode::machine_cannot, "interface " + link_.name, "is down",
                     "bring it up: ip link set " + link_.name + " up");
  if (settings.queues != 0) xsk::require_queues(link_, settings.queues);
  chunk_bytes_ = xsk::chunk_bytes_for(link_.mtu_bytes, link_.driver, link_.name);
  xsk::raise_memlock_limit();

  open_program(settings, log, plugins_block);
  // Attaching may change the number of queues (virtio adds its spare pairs) and take the link down for a while.
  if (!xsk::wait_for_carrier(link_.ifindex, kCarrierTimeout))
    log.warn("interface " + link_.name + " has no carrier; nothing will arrive until it has");
  link_ = xsk::read_link(link_.name);
  queues_ = settings.queues != 0 ? settings.queues : link_.rx_queues;
  xsk::require_queues(link_, queues_);
  if (queues_ < link_.rx_queues)
    log.info(link_.name + ": captures " + std::to_string(queues_) + " of " + std::to_string(link_.rx_queues) +
             " queues; what arrives on the others goes to the kernel's stack and counts as no_socket");
  place_workers(settings);
  open_sockets(settings, log);
  if (const auto counters = xsk::read_device_counters(link_.ifindex)) device_at_start_ = *counters;
}

void Capture::open_program(const cli::Settings& settings, const cli::Log& log, bool plugins_block) {
  if (!program_) program_ = bpf::RootProgram::load(root_config(settings, link_, plugins_block));
  program_->attach(link_.ifindex, link_.name, attach_request(settings.mode),
                   settings.replace ? bpf::Foreign::replace : bpf::Foreign::refuse);
  if (!program_->fallback_reason().empty())
    log.info(link_.name + ": native XDP is not to be had (" + program_->fallback_reason() + "); using generic XDP");

  std::string reason;
  redirect_errors_ = bpf::RedirectErrors::open(program_->socket_map_id(), program_->queues(), reason);
  if (!redirect_errors_) log.info("redirect errors are not counted: " + reason);
}

void Capture::place_workers(const cli::Settings& settings) {
  numa::PlacementRequest request;
  request.queues = queues_;
  request.workers = settings.workers;
  if (!settings.cpus.empty()) request.cpus = cli::parse_cpu_list(settings.cpus);
  request.nic_node = numa::node_of_interface(link_.name);
  placement_ = numa::place(numa::read_topology(), request);
  if (settings.wait != cli::WaitMode::automatic) placement_.spins = settings.wait == cli::WaitMode::spin;
}

void Capture::open_sockets(const cli::Settings& settings, const cli::Log& log) {
  xsk::RingSizes sizes = xsk::ring_sizes(link_.nic_ring_entries);
  if (settings.rx_ring_entries != 0) sizes.rx_entries = settings.rx_ring_entries;
  if (settings.frames != 0) sizes.frames = settings.frames;
  const std::uint64_t umem_bytes = sizes.umem_bytes(chunk_bytes_);
  const bool generic = program_->attach_mode() == bpf::AttachMode::generic;
  for (const numa::WorkerPlacement& placement : placement_.workers) {
    const std::uint64_t memory_bytes = umem_bytes * placement.queues.size();
    if (memory_bytes > std::numeric_limits<std::uint32_t>::max())
      throw SetupError(ExitCode::bad_usage, "worker on CPU " + std::to_string(placement.cpu),
                       "its queues need more than 4 GiB of packet memory", "use more workers: --workers N");
    shares_.push_back({placement, {memory_bytes, placement.node, numa::NodeMemory::Populate::on_first_touch}, {}, {}});
    CaptureShare& share = shares_.back();
    for (std::size_t i = 0; i < placement.queues.size(); ++i) {
      xsk::SocketConfig config;
      config.interface_name = link_.name;
      config.ifindex = link_.ifindex;
      config.queue = xsk::QueueId(placement.queues[i]);
      config.umem = share.memory.bytes().subspan(i * umem_bytes, umem_bytes);
      config.chunk_bytes = chunk_bytes_;
      config.rx_entries = sizes.rx_entries;
      config.mode = settings.mode;
      config.attached_generic = generic;
      share.sockets.push_back(xsk::Socket::open(config));
      auto lane = std::make_unique<Lane>();
      lane->index = static_cast<std::uint16_t>(placement.queues[i]);
      lane->memory_offset = static_cast<std::uint32_t>(i * umem_bytes);
      share.lanes.push_back(std::move(lane));
    }
    for (std::size_t i = 0; i < share.sockets.size(); ++i) {
      share.lanes[i]->queue = &share.sockets[i].rx_queue();
      share.lanes[i]->fd = share.sockets[i].fd();
    }
  }
  const xsk::Socket& first = shares_.front().sockets.front();
  std::string line = link_.name + ": driver " + (link_.driver.empty() ? "unknown" : link_.driver) + ", " +
                     std::to_string(queues_) + (queues_ == 1 ? " queue, " : " queues, ") +
                     (generic ? "generic" : "native") + " XDP, mode " + std::string(xsk::to_string(first.mode()));
  if (!first.fallback_reason().empty()) line += " (zero-copy: " + first.fallback_reason() + ")";
  line += ", " + std::to_string(sizes.frames) + " frames of " + std::to_string(chunk_bytes_) + " bytes a queue";
  log.info(line);
}

void Capture::start() {
  for (CaptureShare& share : shares_)
    for (xsk::Socket& socket : share.sockets) program_->set_socket(socket.queue().value(), socket.fd());
}

void Capture::stop() {
  for (CaptureShare& share : shares_)
    for (xsk::Socket& socket : share.sockets) program_->clear_socket(socket.queue().value());
  program_->detach();
  const auto seen = [this] {
    std::uint64_t sum = 0;
    for (std::uint32_t queue = 0; queue < program_->queues(); ++queue) sum += program_->counters(queue).xdp_seen;
    return sum;
  };
  // The kernel frees the program after a grace period; nothing announces it to us.
  std::uint64_t before = seen();
  for (int round = 0, equal = 0; round < kSettleRounds && equal < 2; ++round) {
    poll(nullptr, 0, 1);
    const std::uint64_t now = seen();
    equal = now == before ? equal + 1 : 0;
    before = now;
  }
}

QueueLedger Capture::program_ledger(std::uint32_t queue) const {
  const root_counters counters = program_->counters(queue);
  QueueLedger entry;
  entry.interface = link_.name;
  entry.driver = link_.driver;
  entry.queue = queue;
  entry.mode = "none";
  entry.xdp_seen = counters.xdp_seen;
  entry.passed = counters.passed;
  entry.blocked = counters.blocked;
  entry.rate_limited = counters.rate_limited;
  entry.bypassed = counters.bypassed;
  entry.no_socket = counters.no_socket;
  entry.slot_dropped = counters.slot_dropped;
  entry.redirected = counters.redirected;
  entry.redirect_errors.reset();
  if (redirect_errors_) entry.redirect_errors = redirect_errors_->count(queue);
  return entry;
}

std::vector<QueueLedger> Capture::ledger(bool workers_ended) {
  std::vector<QueueLedger> ledgers;
  for (CaptureShare& share : shares_) {
    for (std::size_t i = 0; i < share.sockets.size(); ++i) {
      xsk::Socket& socket = share.sockets[i];
      const Lane& lane = *share.lanes[i];
      QueueLedger entry = program_ledger(lane.index);
      entry.mode = xsk::to_string(socket.mode());
      entry.cpu = static_cast<int>(share.placement.cpu);
      entry.node = static_cast<int>(share.placement.node);
      const xsk::SocketStatistics statistics = socket.statistics();
      entry.rx_dropped = statistics.rx_dropped;
      entry.rx_ring_full = statistics.rx_ring_full;
      entry.fill_ring_empty = statistics.fill_ring_empty;
      entry.analysed = lane.analysed.load(std::memory_order_relaxed);
      entry.skipped = lane.skipped.load(std::memory_order_relaxed);
      // The ring's index belongs to the worker while it runs; until then its own count stands in.
      entry.rx_packets = workers_ended ? socket.rx_queue().rx_packets() : entry.analysed + entry.skipped;
      entry.invalid_descs = statistics.rx_invalid_descs + (workers_ended ? socket.rx_queue().bad_descriptors() : 0);
      entry.rx_bytes = lane.rx_bytes.load(std::memory_order_relaxed);
      entry.results = lane.results.load(std::memory_order_relaxed);
      entry.results_dropped = lane.results_dropped.load(std::memory_order_relaxed);
      entry.plugin_errors = lane.plugin_errors.load(std::memory_order_relaxed);
      ledgers.push_back(std::move(entry));
    }
  }
  std::sort(ledgers.begin(), ledgers.end(), [](const auto& a, const auto& b) { return a.queue < b.queue; });
  for (std::uint32_t queue = queues_; queue < program_->queues(); ++queue) {
    QueueLedger entry = program_ledger(queue);
    if (entry.xdp_seen > 0) ledgers.push_back(std::move(entry));
  }
  return ledgers;
}

std::vector<std::pair<std::string, std::uint64_t>> Capture::device_counters() const {
  const auto now = xsk::read_device_counters(link_.ifindex);
  if (!now) return {};
  return {{"nic_seen", now->nic_seen() - device_at_start_.nic_seen()},
          {"nic_dropped", now->nic_dropped() - device_at_start_.nic_dropped()}};
}

}  // namespace engine
