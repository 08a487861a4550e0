#include "engine/source/xdp_port.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <chrono>

#include "engine/source/attach.h"
#include "xsk/ethtool.h"
#include "xsk/explain.h"
#include "xsk/netdev.h"
#include "xsk/release.h"

namespace engine {
namespace {

// Until a driver has given up a closed socket's queue: some grace periods of the kernel.
constexpr std::chrono::milliseconds kReleaseTimeout{5000};
constexpr std::uint32_t kMaxRxEntries = 32768;

numa::Pages pages(cli::AutoOnOff hugepages) {
  if (hugepages == cli::AutoOnOff::automatic) return numa::Pages::automatic;
  return hugepages == cli::AutoOnOff::on ? numa::Pages::huge : numa::Pages::normal;
}

}  // namespace

XdpPort::XdpPort(XdpPortConfig config, const cli::Settings& settings, const cli::Log& log)
    : Port(xsk::read_link(config.interface)),
      config_(std::move(config)),
      settings_(settings),
      log_(log),
      program_(std::move(config_.program)) {
  xsk::raise_memlock_limit();
  require_sockets();
  attach();
  choose_queues();
}

// What AF_XDP itself is missing for, before an interface is touched.
void XdpPort::require_sockets() const {
  const UniqueFd probe(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (probe.valid()) return;
  xsk::SetupContext context;
  context.interface_name = link_.name;
  throw xsk::explain(xsk::SetupStep::create_socket, errno, context);
}

bpf::RootConfig XdpPort::wanted_root() const {
  bpf::RootConfig root;
  root.queues = std::max(link_.rx_queues, link_.max_rx_queues.value_or(0));
  root.filter = config_.filter;
  root.hints = wanted_hints();
  root.frags = program_takes_several_frames_;
  if (config_.add_stages) config_.add_stages(root);
  return root;
}

void XdpPort::attach() {
  if (!link_.is_up)
    throw SetupError(ExitCode::machine_cannot, "interface " + link_.name, "is down",
                     "bring it up: ip link set " + link_.name + " up");
  frames_ = xsk::choose_frames(link_.mtu_bytes, link_.driver);
  load_program();
  program_->attach(link_.ifindex, link_.name, attach_request(settings_.mode),
                   settings_.replace ? bpf::Foreign::replace : bpf::Foreign::refuse);
  if (!program_->fallback_reason().empty())
    log_.info(link_.name + ": native XDP is not to be had (" + program_->fallback_reason() + "); using generic XDP");
  queues_without_xdp_ = link_.rx_queues;
  // Attaching may change the number of queues (virtio adds its spare pairs) and take the link down for a while.
  if (!xsk::wait_for_carrier(link_.ifindex, kCarrierTimeout))
    log_.warn("interface " + link_.name + " has no carrier; nothing will arrive until it has");
  link_ = xsk::read_link(link_.name);
  sockets_go_first_ = link_.rx_queues > queues_without_xdp_;
  if (!sockets_go_first_) return;
  // virtio_net takes these queues away at the detach, then refuses to let go of a zero-copy socket on one of them and
  // keeps a pointer to its freed pool, which the next attach follows (drivers/net/virtio_net.c:
  // virtnet_xsk_pool_disable, seen on 6.18). So there sockets are closed first, and the detach waits until the driver
  // has let go: close_sockets().
  program_->prepare_pass();
  // At SIGKILL the kernel closes descriptors from the highest number down (task work is last in, first out): sockets
  // before the link, which is older. This one comes in between, and closing it takes a grace period
  // (net/packet/af_packet.c: packet_release), time in which the sockets' queues are let go.
  grace_.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  release_probes_.clear();
  for (std::uint32_t queue = queues_without_xdp_; queue < link_.rx_queues; ++queue)  // while there are capabilities
    release_probes_.emplace_back(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
}

// Again, if the interface came back with an MTU whose packets take several frames.
void XdpPort::load_program() {
  const bool several_frames = frames_.multi_buffer || program_takes_several_frames_;
  if (program_ && several_frames == program_takes_several_frames_) return;
  bpf::RootConfig root = wanted_root();
  root.frags = several_frames;
  if (program_) {
    program_->swap(root);
  } else {
    program_ = bpf::RootProgram::load(root);
  }
  program_takes_several_frames_ = several_frames;
}

void XdpPort::choose_queues() {
  std::vector<std::uint32_t> queues = config_.queues;
  if (queues.empty()) {
    const std::uint32_t count = config_.queue_count != 0 ? config_.queue_count : link_.rx_queues;
    for (std::uint32_t queue = 0; queue < count; ++queue) queues.push_back(queue);
  }
  std::ranges::sort(queues);
  xsk::require_queues(link_, queues.back() + 1);
  for (const std::uint32_t queue : queues) add_lane(queue, true);
  lanes_from_start_ = lanes_.size();
  if (config_.takes_all())
    for (std::uint32_t queue = link_.rx_queues; queue < program_->queues(); ++queue) add_lane(queue, false);
  closed_.resize(lanes_.size());
  places_.resize(lanes_.size());
  std::string reason;
  redirect_errors_ = bpf::RedirectErrors::open(program_->socket_map_id(), program_->queues(), reason);
  if (!redirect_errors_) log_.info("redirect errors are not counted: " + reason);
}

void XdpPort::add_lane(std::uint32_t queue, bool from_start) {
  lanes_.push_back(std::make_unique<Lane>());
  lanes_.back()->index = static_cast<std::uint16_t>(queue);
  lanes_.back()->wanted = lanes_.back()->served = from_start;
}

// The first so many: there may be more queues than at the start, or fewer.
std::size_t XdpPort::lanes_to_open(std::span<const LanePlace> places) const {
  if (!config_.takes_all()) {
    xsk::require_queues(link_, std::uint32_t{lanes_.back()->index} + 1);
    if (lanes_.size() < link_.rx_queues)
      log_.info(link_.name + ": captures " + std::to_string(lanes_.size()) + " of " + std::to_string(link_.rx_queues) +
                " queues; what arrives on the others goes to the kernel's stack and counts as no_socket");
    return lanes_.size();
  }
  std::size_t count = 0;
  while (count < lanes_.size() && lanes_[count]->index < link_.rx_queues && places[count].range != nullptr) ++count;
  if (count < link_.rx_queues)
    log_.warn(link_.name + ": has " + std::to_string(link_.rx_queues) + " queues now, and there is room for " +
              std::to_string(count) + "; what arrives on the others goes to the kernel's stack");
  return count;
}

xsk::RingSizes XdpPort::choose_sizes() const {
  xsk::RingSizes sizes = xsk::ring_sizes(link_.nic_ring_entries, frames_.frames_per_packet);
  if (settings_.frames != 0) sizes.frames = settings_.frames;
  // Where packets are copied no frame of ours lies in the NIC: all of them may wait in the RX ring.
  const bool may_zero_copy = program_->attach_mode() != bpf::AttachMode::generic &&
                             xsk::asks_for_zero_copy(settings_.mode) &&
                             xsk::read_netdev_features(link_.ifindex).can(xsk::NetdevFeatures::zerocopy);
  if (!may_zero_copy) sizes.rx_entries = std::min(std::bit_ceil(sizes.frames), kMaxRxEntries);
  if (settings_.rx_ring_entries != 0) sizes.rx_entries = settings_.rx_ring_entries;
  return sizes;
}

void XdpPort::open(std::span<const LanePlace> places) {
  if (program_->attach_mode() == bpf::AttachMode::detached) {  // again, after close()
    link_ = xsk::read_link(link_.name);
    attach();
  }
  const std::size_t count = lanes_to_open(places);
  std::ranges::copy(places.first(count), places_.begin());
  const xsk::RingSizes sizes = choose_sizes();
  XdpMemoryRequest request{
      .socket = {}, .frames = frames_, .frames_per_queue = sizes.frames, .pages = pages(settings_.hugepages)};
  request.socket.interface_name = link_.name;
  request.socket.ifindex = link_.ifindex;
  request.socket.rx_entries = sizes.rx_entries;
  request.socket.mode = settings_.mode;
  request.socket.attached_generic = program_->attach_mode() == bpf::AttachMode::generic;
  memory_ = open_xdp_memory(request, lanes_, places.first(count));
  sockets_.resize(count);
  for (XdpMemory& memory : memory_) {
    for (std::size_t i = 0; i < memory.lanes.size(); ++i) {
      xsk::Socket& socket = memory.sockets[i];
      Lane& lane = *lanes_[memory.lanes[i]];
      lane.memory_offset = static_cast<std::uint32_t>(memory.umem.bytes().data() - memory.range->base());
      lane.gather_area = memory.gather_area.bytes();
      lane.queue = &socket.rx_queue();
      lane.fd = socket.fd();
      sockets_[memory.lanes[i]] = &socket;
    }
  }
  mode_ = xsk::to_string(worst_socket().mode());
  say_what_was_obtained(sizes.frames);
  say_which_hints();
}

// A driver may run the program on those queues only that there were when it was attached (drivers/net/veth.c:
// veth_set_channels): what arrives on the new ones would be seen by nobody.
bool XdpPort::fits(std::uint32_t mtu_bytes, std::uint32_t rx_queues) const {
  const xsk::FrameChoice next = xsk::choose_frames(mtu_bytes, link_.driver);
  const bool frames_do = next.multi_buffer ? frames_.multi_buffer && next.packet_bytes <= frames_.packet_bytes
                                           : next.chunk_bytes <= frames_.chunk_bytes;
  return rx_queues <= link_.rx_queues && frames_do;
}

// Workers' queues may have come to different modes: the port is called by the least of them.
const xsk::Socket& XdpPort::worst_socket() const noexcept {
  return **std::ranges::max_element(sockets_, {}, [](const xsk::Socket* socket) { return socket->mode(); });
}

void XdpPort::say_what_was_obtained(std::uint32_t frames_per_queue) const {
  const bool generic = program_->attach_mode() == bpf::AttachMode::generic;
  std::string line = link_.name + ": driver " + (link_.driver.empty() ? "unknown" : link_.driver) + ", " +
                     std::to_string(sockets_.size()) + (sockets_.size() == 1 ? " queue, " : " queues, ") +
                     (generic ? "generic" : "native") + " XDP, mode " + mode_;
  const std::string& fallback = worst_socket().fallback_reason();
  if (!fallback.empty()) line += " (zero-copy: " + fallback + ")";
  line += ", " + std::to_string(frames_per_queue) + " frames of " + std::to_string(frames_.chunk_bytes) +
          " bytes a queue, " + describe_memory(memory_);
  if (frames_.multi_buffer)
    line += "; up to " + std::to_string(frames_.frames_per_packet) + " frames a packet for MTU " +
            std::to_string(link_.mtu_bytes);
  log_.info(line);
  for (const std::string& advice : advice_on_memory(memory_)) log_.info(link_.name + ": " + advice);
}

void XdpPort::start() {
  for (xsk::Socket* socket : sockets_) program_->set_socket(socket->queue().value(), socket->fd());
}

void XdpPort::stop() {
  for (const auto& lane : lanes_) program_->clear_socket(lane->index);
  if (sockets_go_first_)
    program_->pass();
  else
    program_->detach();
  wait_until_settled([this] {
    std::uint64_t sum = 0;
    for (std::uint32_t queue = 0; queue < program_->queues(); ++queue) sum += program_->counters(queue).xdp_seen;
    return sum;
  });
}

// Those that the driver has. veth has a hash that the machine computes itself and no clock: only if asked for.
std::uint32_t XdpPort::wanted_hints() const {
  if (settings_.hints == cli::AutoOnOff::off) return 0;
  if (settings_.hints == cli::AutoOnOff::on) return ROOT_HINT_ALL;
  if (link_.driver == "veth") return 0;
  static_assert(xsk::NetdevFeatures::rx_timestamp == ROOT_HINT_TIMESTAMP &&
                xsk::NetdevFeatures::rx_hash == ROOT_HINT_HASH && xsk::NetdevFeatures::rx_vlan_tag == ROOT_HINT_VLAN);
  return static_cast<std::uint32_t>(xsk::read_netdev_features(link_.ifindex).rx_metadata.value_or(0)) & ROOT_HINT_ALL;
}

void XdpPort::say_which_hints() {
  const std::uint32_t hints = program_->hints();
  clock_.reset();
  if ((hints & ROOT_HINT_TIMESTAMP) != 0) clock_ = HardwareClock::open(link_.name);
  for (const auto& lane : lanes_) lane->has_hints = hints != 0;
  tick();
  if (const std::string& refusal = program_->hints_refusal(); !refusal.empty()) {
    if (settings_.hints == cli::AutoOnOff::on)
      throw SetupError(ExitCode::machine_cannot, "--hints of " + link_.name, refusal, "leave it out");
    log_.info(link_.name + ": no hints from the NIC: " + refusal);
  }
  // veth's peer leaves tags out only where its own stack made them, as a rule for the machine's own traffic.
  if (link_.driver != "veth" && xsk::ethtool::takes_vlan_tags_out(link_.name))
    log_.info(link_.name +
              ": VLAN tags are taken out of the frames (rx-vlan-offload): filters and files do not see them, " +
              ((hints & ROOT_HINT_VLAN) != 0 ? "plugins only where the driver tells them" : "nor do plugins") +
              "; they stay in with: ethtool -K " + link_.name + " rxvlan off");
  if (hints == 0) return;
  std::string names;
  if ((hints & ROOT_HINT_HASH) != 0) names += ", hash";
  if ((hints & ROOT_HINT_VLAN) != 0) names += ", VLAN tag";
  if (clock_) names += ", time stamp";
  if (names.empty()) names = ", nothing";
  log_.info(link_.name + ": asks the driver for" + names.substr(1) + " of each packet" +
            (clock_ ? "" : "; packets are stamped here, as it has no clock that can be read"));
}

void XdpPort::tick() {
  const std::int64_t offset_ns = clock_ ? clock_->to_utc_ns().value_or(Lane::kNoClock) : Lane::kNoClock;
  for (const auto& lane : lanes_) lane->clock_to_utc_ns.store(offset_ns, std::memory_order_relaxed);
}

void XdpPort::set_filter(const bpf::FilterExpression& filter) {
  // Without the stage everything comes up, and every plugin selects what it asked for.
  if (!program_->has_filter_stage()) return;
  program_->set_filter(filter);
  config_.filter = filter;
}

void XdpPort::change_stages() { program_->swap(wanted_root()); }

void XdpPort::close() {
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    closed_[i] = counted(i, true);
    lanes_[i]->queue = nullptr;
    lanes_[i]->gather_area = {};
    lanes_[i]->fd = -1;
  }
  close_sockets();
}

void XdpPort::close_sockets() noexcept {
  if (program_ && !sockets_go_first_) program_->detach();
  sockets_.clear();
  memory_.clear();
  if (!program_ || program_->attach_mode() == bpf::AttachMode::detached) return;
  for (const auto& lane : lanes_)
    if (lane->index >= queues_without_xdp_ && !release_probes_.empty()) {
      xsk::await_release(std::move(release_probes_.back()), link_.ifindex, xsk::QueueId(lane->index), kReleaseTimeout);
      release_probes_.pop_back();
    }
  program_->detach();
}

// Since the lane was made. The ring's index belongs to the worker while it runs; until then its own count stands in.
XdpPort::Closed XdpPort::counted(std::size_t lane, bool exact) {
  Closed sum = closed_[lane];
  if (lane < sockets_.size()) {
    xsk::Socket& socket = *sockets_[lane];
    const xsk::SocketStatistics statistics = socket.statistics();
    sum.rx_dropped += statistics.rx_dropped;
    sum.rx_ring_full += statistics.rx_ring_full;
    sum.fill_ring_empty += statistics.fill_ring_empty;
    sum.invalid_descs += statistics.rx_invalid_descs;
    if (exact) {
      sum.rx_packets += socket.rx_queue().rx_packets();
      sum.invalid_descs += socket.rx_queue().bad_packets();
    }
  }
  if (!exact)
    sum.rx_packets =
        lanes_[lane]->analysed.load(std::memory_order_relaxed) + lanes_[lane]->skipped.load(std::memory_order_relaxed);
  return sum;
}

QueueLedger XdpPort::program_ledger(std::uint32_t queue) const {
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

void XdpPort::add_ledgers(bool workers_ended, std::vector<QueueLedger>& lanes, std::vector<QueueLedger>& others) {
  std::vector<bool> told(program_->queues());
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (!was_open(i)) continue;
    QueueLedger entry = program_ledger(lanes_[i]->index);
    entry.cpu = static_cast<int>(places_[i].cpu);
    entry.node = static_cast<int>(places_[i].node);
    entry.mode = i < sockets_.size() ? xsk::to_string(sockets_[i]->mode()) : std::string_view(mode_);
    const Closed socket = counted(i, workers_ended);
    entry.rx_packets = socket.rx_packets;
    entry.rx_dropped = socket.rx_dropped;
    entry.rx_ring_full = socket.rx_ring_full;
    entry.fill_ring_empty = socket.fill_ring_empty;
    entry.invalid_descs = socket.invalid_descs;
    add_worker_figures(*lanes_[i], entry);
    told[lanes_[i]->index] = true;
    (i < lanes_from_start_ ? lanes : others).push_back(std::move(entry));
  }
  for (std::uint32_t queue = 0; queue < program_->queues(); ++queue) {
    if (told[queue]) continue;
    QueueLedger entry = program_ledger(queue);
    if (entry.xdp_seen > 0) others.push_back(std::move(entry));
  }
}

}  // namespace engine
