// The order of set-up matters: protocol 0 first and the bind last, so that the kernel delivers nothing to a socket that
// is not set up; the fanout group behind the bind, which a member cannot change (net/packet/af_packet.c:
// packet_do_bind, fanout_add).
#include "engine/tap/packet_socket.h"

#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "engine/base/error.h"
#include "engine/clock.h"

namespace engine {
namespace {

constexpr std::uint64_t kBlockPatience_ns = 2'000'000'000;

std::string words(int error) { return std::generic_category().message(error); }

SetupError refused(int error, const std::string& what, std::string_view remedy = {}) {
  if (error == EPERM) return {ExitCode::not_permitted, what, words(error), "run as root or with CAP_NET_RAW"};
  return {ExitCode::machine_cannot, what, words(error), remedy};
}

UniqueFd make_socket(const std::string& what) {
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.valid()) return fd;
  if (errno == EAFNOSUPPORT)
    throw SetupError(ExitCode::machine_cannot, what, "this kernel was built without AF_PACKET",
                     "use a kernel with CONFIG_PACKET");
  throw refused(errno, what);
}

void set_option(int fd, int option, int value, const std::string& what) {
  if (::setsockopt(fd, SOL_PACKET, option, &value, sizeof value) != 0) throw refused(errno, what);
}

}  // namespace

PacketSocket::PacketSocket(UniqueFd fd, const PacketSocketConfig& config)
    : fd_(std::move(fd)), object_("the packet socket on " + config.interface_name) {}

PacketSocket PacketSocket::open(const PacketSocketConfig& config) {
  PacketSocket made(make_socket("open a packet socket on " + config.interface_name), config);
  const int fd = made.fd();
  set_option(fd, PACKET_VERSION, TPACKET_V3, "set TPACKET_V3 on " + made.object_);
  set_option(fd, PACKET_RESERVE, PacketQueue::kHeadroom_bytes, "reserve room for VLAN tags on " + made.object_);
  if (config.ignore_outgoing) set_option(fd, PACKET_IGNORE_OUTGOING, 1, "ignore outgoing frames on " + made.object_);
  made.reject_all();
  made.ring_ = PacketRing(fd, config.ring, config.ring_at, made.object_);
  made.queue_ = std::make_unique<PacketQueue>(made.ring_.bytes(), config.ring.block_bytes);
  made.counts_ = std::make_unique<Counts>();
  made.bind(config);
  if (config.fanout) made.join_fanout(config);
  return made;
}

void PacketSocket::bind(const PacketSocketConfig& config) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(config.ifindex);
  if (::bind(fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw SetupError(ExitCode::machine_cannot, "bind " + object_,
                     errno == ENODEV || errno == ENXIO ? "there is no such interface any more" : words(errno));
  socklen_t length = sizeof address;
  ::getsockname(fd(), reinterpret_cast<sockaddr*>(&address), &length);
  if (address.sll_hatype != ARPHRD_ETHER && address.sll_hatype != ARPHRD_LOOPBACK)
    throw SetupError(ExitCode::machine_cannot, config.interface_name,
                     "its packets are not Ethernet frames (hardware type " + std::to_string(address.sll_hatype) + ")",
                     "capture on the interface below it");
}

void PacketSocket::join_fanout(const PacketSocketConfig& config) {
  constexpr std::uint32_t by_flow = PACKET_FANOUT_HASH;  // symmetric (fanout_demux_hash): both directions in one place
  const std::uint32_t first = by_flow | PACKET_FANOUT_FLAG_UNIQUEID;
  const std::uint32_t request = config.fanout_group ? by_flow << 16 | *config.fanout_group : first << 16;
  const std::string what = "join " + object_ + " to a fanout group";
  if (::setsockopt(fd(), SOL_PACKET, PACKET_FANOUT, &request, sizeof request) != 0)
    throw refused(errno, what, "use one worker: --workers 1");
  std::uint32_t group = 0;
  socklen_t length = sizeof group;
  if (::getsockopt(fd(), SOL_PACKET, PACKET_FANOUT, &group, &length) != 0) throw refused(errno, what);
  fanout_group_ = static_cast<std::uint16_t>(group);
}

void PacketSocket::accept_by(int program_fd) {
  if (::setsockopt(fd(), SOL_SOCKET, SO_ATTACH_BPF, &program_fd, sizeof program_fd) != 0)
    throw refused(errno, "attach the filter to " + object_);
}

void PacketSocket::accept_all() {
  const int ignored = 0;
  if (::setsockopt(fd(), SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof ignored) != 0)
    throw refused(errno, "open " + object_ + " for everything");
}

void PacketSocket::reject_all() {
  sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{1, &none};
  if (::setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
    throw refused(errno, "close " + object_ + " by a filter");
}

// tp_packets counts the dropped ones too (packet_getsockopt).
PacketStatistics PacketSocket::statistics() noexcept {
  tpacket_stats_v3 since{};
  socklen_t length = sizeof since;
  if (::getsockopt(fd(), SOL_PACKET, PACKET_STATISTICS, &since, &length) != 0) since = {};
  return {counts_->accepted.fetch_add(since.tp_packets, std::memory_order_relaxed) + since.tp_packets,
          queue_->rx_packets(),
          counts_->rx_dropped.fetch_add(since.tp_drops, std::memory_order_relaxed) + since.tp_drops};
}

// packet_notifier() in net/packet/af_packet.c: both ways down set the socket's error; removal also takes the binding.
int take_packet_socket_error(int fd) noexcept {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  sockaddr_ll address{};
  length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0 && address.sll_ifindex <= 0) return ENXIO;
  return error;
}

ReceiverFence::ReceiverFence() : fd_(make_socket("open a packet socket")) {}

bool wait_for_last_block(const PacketQueue& queue) noexcept {
  const std::uint64_t give_up_ns = monotonic_ns() + kBlockPatience_ns;
  while (queue.has_open_block()) {
    if (monotonic_ns() >= give_up_ns) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

}  // namespace engine
