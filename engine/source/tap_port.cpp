#include "engine/source/tap_port.h"

#include <algorithm>
#include <utility>

#include "numa/topology.h"

namespace engine {
namespace {

// A fanout group shares out flows, whatever the NIC's queues are: one socket for each worker there is going to be.
std::uint32_t one_per_worker(const cli::Settings& settings, const xsk::Link& link) {
  numa::PlacementRequest request;
  request.queues = std::max(link.rx_queues, settings.workers);
  request.workers = settings.workers;
  if (!settings.cpus.empty()) request.cpus = cli::parse_cpu_list(settings.cpus);
  request.nic_node = numa::node_of_interface(link.name);
  return static_cast<std::uint32_t>(numa::place(numa::read_topology(), request).workers.size());
}

// Its packets are copies: what is done to them in the kernel needs AF_XDP's program in front of the stack.
void refuse_what_a_tap_cannot(const cli::InterfaceSetting& interface, const cli::Settings& settings) {
  if (const std::optional<TapLack> lack = lack_of_tap(settings))
    throw SetupError(ExitCode::bad_usage, lack->option,
                     "AF_PACKET takes copies and keeps nothing away from the machine",
                     "leave it out, or use another --mode");
  if (!interface.queues.empty())
    throw SetupError(ExitCode::bad_usage, "queues of " + interface.name, "AF_PACKET knows no receive queues",
                     "--queues N makes N sockets, to which the kernel deals the flows");
}

}  // namespace

std::optional<TapLack> lack_of_tap(const cli::Settings& settings) {
  if (!settings.block_path.empty()) return TapLack{"--block", "the block list"};
  if (!settings.block.empty()) return TapLack{"block", "the block list"};
  if (!settings.bypass_path.empty()) return TapLack{"--bypass", "the bypass list"};
  if (!settings.bypass.empty()) return TapLack{"bypass", "the bypass list"};
  if (settings.rate_limit.max_pps != 0) return TapLack{"--rate-limit", "the rate limit"};
  return std::nullopt;
}

TapPort::TapPort(const cli::InterfaceSetting& interface, bpf::FilterExpression filter, const cli::Settings& settings,
                 const cli::Log& log)
    : Port(xsk::read_link(interface.name)), filter_(std::move(filter)), settings_(settings), log_(log) {
  refuse_what_a_tap_cannot(interface, settings);
  if (!link_.is_up)
    throw SetupError(ExitCode::machine_cannot, "interface " + link_.name, "is down",
                     "bring it up: ip link set " + link_.name + " up");
  const std::uint32_t sockets = settings.queues != 0 ? settings.queues : one_per_worker(settings, link_);
  for (std::uint32_t i = 0; i < sockets; ++i) {
    filters_.emplace_back(settings.outgoing == cli::Outgoing::ignore);
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->index = static_cast<std::uint16_t>(i);
  }
  closed_.resize(sockets);
}

void TapPort::open(std::span<const LanePlace> places) {
  link_ = xsk::read_link(link_.name);
  PacketSocketConfig config;
  config.interface_name = link_.name;
  config.ifindex = link_.ifindex;
  config.ring = ring_shape(settings_.tap_ring_bytes);
  config.ignore_outgoing = settings_.outgoing == cli::Outgoing::ignore;
  config.fanout = lanes_.size() > 1;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    numa::AddressRange& range = *places[i].range;
    parts_.push_back(range.take(config.ring.bytes()));
    config.ring_at = parts_.back().bytes().data();
    sockets_.push_back(PacketSocket::open(config));
    config.fanout_group = sockets_.back().fanout_group();
    Lane& lane = *lanes_[i];
    lane.memory_offset = static_cast<std::uint32_t>(config.ring_at - range.base());
    lane.tap = &sockets_.back().queue();
    lane.fd = sockets_.back().fd();
  }
  fence_.emplace();
  judged_ = judged_ || filter_ != bpf::FilterExpression() || config.ignore_outgoing;
  if (judged_) programs_ = load_programs(filter_);
  say_what_was_obtained();
}

void TapPort::say_what_was_obtained() const {
  const std::string count = std::to_string(lanes_.size());
  log_.info(link_.name + ": driver " + (link_.driver.empty() ? "unknown" : link_.driver) +
            ", AF_PACKET (TPACKET_V3), " +
            (lanes_.size() == 1 ? "1 socket, ring of " : count + " sockets by flow, rings of ") +
            std::to_string(settings_.tap_ring_bytes >> 20) + " MiB; the traffic goes on to the kernel's stack");
}

std::vector<UniqueFd> TapPort::load_programs(const bpf::FilterExpression& filter) const {
  std::vector<UniqueFd> programs;
  for (const bpf::TapFilter& counters : filters_) programs.push_back(counters.load(filter));
  return programs;
}

void TapPort::start() {
  if (!counted_by_programs_) counted_by_programs_ = judged_;
  for (std::size_t i = 0; i < sockets_.size(); ++i)
    judged_ ? sockets_[i].accept_by(programs_[i].get()) : sockets_[i].accept_all();
}

void TapPort::stop() {
  for (PacketSocket& socket : sockets_) socket.reject_all();
  if (fence_) fence_->wait();
  for (PacketSocket& socket : sockets_)
    if (!wait_for_last_block(socket.queue()))
      log_.warn(link_.name + ": the kernel keeps a block of packets to itself; they will be missing");
}

void TapPort::close() {
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    closed_[i] = counted(i);
    lanes_[i]->tap = nullptr;
    lanes_[i]->fd = -1;
  }
  sockets_.clear();
  programs_.clear();
  parts_.clear();
}

void TapPort::set_filter(const bpf::FilterExpression& filter) {
  std::vector<UniqueFd> programs = load_programs(filter);
  for (std::size_t i = 0; i < sockets_.size(); ++i) sockets_[i].accept_by(programs[i].get());
  if (!sockets_.empty()) programs_ = std::move(programs);  // else open() loads them
  filter_ = filter;
  judged_ = true;
}

// The kernel counts in 32 bits, which a socket has used up within the hour.
void TapPort::tick() {
  for (PacketSocket& socket : sockets_) socket.statistics();
}

// Since the lane was made.
PacketStatistics TapPort::counted(std::size_t lane) {
  PacketStatistics sum = closed_[lane];
  if (lane < sockets_.size()) {
    const PacketStatistics open = sockets_[lane].statistics();
    sum.accepted += open.accepted;
    sum.rx_packets += open.rx_packets;
    sum.rx_dropped += open.rx_dropped;
  }
  return sum;
}

void TapPort::add_ledgers(bool, std::vector<QueueLedger>& lanes, std::vector<QueueLedger>&) {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    QueueLedger entry;
    entry.interface = link_.name;
    entry.driver = link_.driver;
    entry.queue = lanes_[i]->index;
    entry.mode = mode();
    const bpf::TapCounters program = filters_[i].counters();
    const PacketStatistics socket = counted(i);
    // What came before the first program the socket counted alone.
    const bool by_program = counted_by_programs_.value_or(false);
    entry.xdp_seen = by_program ? program.seen : socket.accepted + program.rejected;
    entry.passed = program.rejected;
    entry.redirected = by_program ? program.accepted : socket.accepted;
    entry.rx_packets = socket.rx_packets;
    entry.rx_dropped = socket.rx_dropped;
    add_worker_figures(*lanes_[i], entry);
    lanes.push_back(std::move(entry));
  }
}

}  // namespace engine
