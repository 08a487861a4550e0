// Set-up of an AF_XDP socket by plain system calls: the order matters (UMEM, rings, frames into the fill ring, bind),
// and bind is retried and varied on the same socket, which libxdp's xsk_socket__create() does not offer.
#include "xsk/socket.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "xsk/explain.h"
#include "xsk/netdev.h"
#include "xsk/uapi.h"

namespace xsk {
namespace {

using engine::ExitCode;
using engine::SetupError;

constexpr std::chrono::milliseconds busy_patience{1000};
constexpr long busy_pause_ns = 1'000'000;

// The kernel wants all four rings' two UMEM rings also on a socket that only receives or only sends
// (xsk_validate_queues in net/xdp/xsk.c); the idle one is made as small as it may be.
constexpr std::uint32_t idle_ring_entries = 1;

std::uint64_t memlock_limit() noexcept {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  return limit.rlim_cur;
}

SetupError failure(SetupStep step, int error, const SocketConfig& config) {
  return explain(step, error,
                 {.interface_name = config.interface_name,
                  .queue = config.queue,
                  .umem_bytes = config.umem.size(),
                  .chunk_bytes = config.chunk_bytes,
                  .memlock_limit_bytes = memlock_limit(),
                  .zero_copy_forced = config.mode == RequestedMode::zerocopy,
                  .multi_buffer = config.multi_buffer,
                  .single_frame_mtu = config.single_frame_mtu});
}

// How the queue's frames are shared out between receiving and sending; none: count 0.
struct FrameShares {
  FrameRange rx;
  FrameRange tx;
};

FrameShares share_frames(const SocketConfig& config) {
  const auto refuse = [&](const char* reason) {
    return SetupError(ExitCode::runtime_failure, "set up an AF_XDP socket on " + config.interface_name, reason);
  };
  const std::uint32_t first = config.frames.first;
  const std::uint32_t frames = FrameLayout(config.umem.size(), config.chunk_bytes, config.frames).frames();
  const bool receives = config.rx_entries != 0;
  const bool sends = config.tx_entries != 0;
  if (!receives && !sends) throw refuse("it neither receives nor sends");
  if ((receives && !std::has_single_bit(config.rx_entries)) || (sends && !std::has_single_bit(config.tx_entries)))
    throw refuse("ring sizes must be powers of two");
  if (config.mode == RequestedMode::afpacket) throw refuse("mode afpacket is not a mode of AF_XDP");
  if (config.forwards && !(receives && sends)) throw refuse("forwarding takes both rings");
  if (config.forwards || !sends) return {{first, frames}, {}};
  if (!receives) return {{}, {first, frames}};
  if (config.tx_frames == 0 || config.tx_frames >= frames) throw refuse("sending and receiving need frames each");
  const std::uint32_t rx_frames = frames - config.tx_frames;
  return {{first, rx_frames}, {first + rx_frames, config.tx_frames}};
}

sockaddr_xdp address_of(const SocketConfig& config, std::uint16_t flags) noexcept {
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = flags;
  address.sxdp_ifindex = config.ifindex;
  address.sxdp_queue_id = config.queue.value();
  return address;
}

// A queue whose socket was closed stays taken until a work item of the kernel has run (xp_release_deferred in
// net/xdp/xsk_buff_pool.c; 12 to 21 ms on 6.18). Nothing announces that, so it is asked for again until it is free.
int bind_patiently(int fd, const sockaddr_xdp& address, std::chrono::milliseconds patience) noexcept {
  const auto give_up = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const int error = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
    if (error != EBUSY || std::chrono::steady_clock::now() >= give_up) return error;
    const timespec pause{0, busy_pause_ns};
    ::nanosleep(&pause, nullptr);
  }
}

int bind_mode(int fd, const SocketConfig& config, std::uint16_t flags, std::chrono::milliseconds patience) noexcept {
  const int error = bind_patiently(fd, address_of(config, flags | XDP_USE_NEED_WAKEUP), patience);
  // EINVAL is also what a kernel or driver without need-wakeup says; without it each wake-up is merely unnecessary.
  return error == EINVAL ? bind_patiently(fd, address_of(config, flags), patience) : error;
}

// A driver without zero-copy and one whose zero-copy takes no packets of several frames give the same errno.
std::string why_no_zero_copy(int error, const SocketConfig& config) {
  if (error == EOPNOTSUPP && config.multi_buffer) {
    const NetdevFeatures features = read_netdev_features(config.ifindex);
    if (!features.can(NetdevFeatures::zerocopy)) return std::string(zero_copy_refusal(error, false));
    if (features.zc_max_segs == 1)
      return "the driver's zero-copy takes packets of one frame only, up to MTU " +
             std::to_string(config.single_frame_mtu);
  }
  return std::string(zero_copy_refusal(error, config.multi_buffer));
}

// Returns why zero-copy was not obtained, if it was tried and there was another way.
std::string bind_socket(int fd, const SocketConfig& config) {
  std::string fallback;
  auto patience = busy_patience;
  const std::uint16_t several_frames = config.multi_buffer ? XDP_USE_SG : 0;
  if (!config.attached_generic && asks_for_zero_copy(config.mode)) {
    const int error = bind_mode(fd, config, XDP_ZEROCOPY | several_frames, patience);
    if (error == 0) return fallback;
    if (config.mode == RequestedMode::zerocopy) throw failure(SetupStep::bind, error, config);
    fallback = why_no_zero_copy(error, config);
    // EBUSY is what a taken queue says in every mode, and some drivers only of zero-copy: one look tells them apart.
    if (error == EBUSY) patience = std::chrono::milliseconds(0);
  } else if (config.mode == RequestedMode::zerocopy) {
    throw failure(SetupStep::bind, EOPNOTSUPP, config);
  }
  const int error = bind_mode(fd, config, XDP_COPY | several_frames, patience);
  if (error == 0) return fallback;
  // A kernel that does not know the flag says EINVAL (6.5 and older), as it does of a queue that is not there.
  if (error == EINVAL && config.multi_buffer && bind_mode(fd, config, XDP_COPY, patience) == 0)
    throw failure(SetupStep::bind_multi_buffer, error, config);
  throw failure(SetupStep::bind, error, config);
}

bool read_zero_copy(int fd) noexcept {
  xdp_options options{};
  socklen_t length = sizeof options;
  return ::getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &length) == 0 && (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

void register_umem(int fd, const SocketConfig& config) {
  raise_memlock_limit();
  xdp_umem_reg area{};
  area.addr = reinterpret_cast<std::uintptr_t>(config.umem.data());
  area.len = config.umem.size();
  area.chunk_size = config.chunk_bytes;
  if (::setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &area, sizeof area) != 0)
    throw failure(SetupStep::register_umem, errno, config);
}

}  // namespace

bool raise_memlock_limit() noexcept {
  rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0) return true;
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return false;
  limit.rlim_cur = limit.rlim_max;  // needs no privilege
  ::setrlimit(RLIMIT_MEMLOCK, &limit);
  return limit.rlim_cur == RLIM_INFINITY;
}

Socket::Socket(engine::UniqueFd fd, const SocketConfig& config) noexcept
    : fd_(std::move(fd)), queue_(config.queue), attached_generic_(config.attached_generic) {}

// Everything but the bind: a driver may take frames from the fill ring as soon as it is bound, and some (igb, i40e,
// ice) go to sleep or leak where there are none.
Socket Socket::prepare(const SocketConfig& config, Umem umem, engine::UniqueFd ready) {
  const FrameShares frames = share_frames(config);
  if (!ready.valid()) ready.reset(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!ready.valid()) throw failure(SetupStep::create_socket, errno, config);

  Socket made(std::move(ready), config);
  const int fd = made.fd_.get();
  if (umem == Umem::own) register_umem(fd, config);
  try {
    const auto [rx_frames, tx_frames] = std::pair(frames.rx.count, frames.tx.count);
    // What is sent through a socket that forwards may be any frame of the UMEM.
    const auto sendable =
        config.forwards ? static_cast<std::uint32_t>(config.umem.size() / config.chunk_bytes) : tx_frames;
    auto& [fill, completion, rx, tx] = made.rings_;
    fill = RingMap(fd, RingKind::fill, rx_frames != 0 ? std::bit_ceil(2 * rx_frames) : idle_ring_entries);
    completion = RingMap(fd, RingKind::completion, sendable != 0 ? std::bit_ceil(sendable) : idle_ring_entries);
    if (rx_frames != 0) rx = RingMap(fd, RingKind::rx, config.rx_entries);
    if (sendable != 0) tx = RingMap(fd, RingKind::tx, config.tx_entries);
    if (config.forwards) {
      made.forward_queue_ = std::make_unique<ForwardQueue>(rx.memory(), fill.memory(), tx.memory(), completion.memory(),
                                                           config.umem, config.chunk_bytes, frames.rx);
      return made;
    }
    if (rx_frames != 0)
      made.rx_queue_ =
          std::make_unique<RxQueue>(rx.memory(), fill.memory(), config.umem, config.chunk_bytes, frames.rx);
    if (tx_frames != 0)
      made.tx_queue_ =
          std::make_unique<TxQueue>(tx.memory(), completion.memory(), config.umem, config.chunk_bytes, frames.tx);
  } catch (const std::system_error& error) {
    throw failure(SetupStep::create_rings, error.code().value(), config);
  }
  return made;
}

void Socket::bind(const SocketConfig& config) {
  fallback_reason_ = bind_socket(fd(), config);
  zero_copy_ = read_zero_copy(fd());
}

// With the UMEM the socket takes over its owner's mode, need-wakeup and multi-buffer; flags for them are refused
// (xsk_bind in net/xdp/xsk.c, xp_assign_dev_shared in xsk_buff_pool.c). Returns 0 or the errno.
int Socket::join(const SocketConfig& config, const Socket& owner) noexcept {
  sockaddr_xdp address = address_of(config, XDP_SHARED_UMEM);
  address.sxdp_shared_umem_fd = static_cast<std::uint32_t>(owner.fd());
  const int error = bind_patiently(fd(), address, busy_patience);
  if (error == 0) zero_copy_ = read_zero_copy(fd());
  return error;
}

Socket Socket::open(const SocketConfig& config, engine::UniqueFd ready) {
  Socket made = prepare(config, Umem::own, std::move(ready));
  made.bind(config);
  return made;
}

std::vector<Socket> Socket::open_sharing(const SocketConfig& config, std::span<const QueueId> queues) {
  std::vector<SocketConfig> each(queues.size(), config);
  for (std::size_t i = 0; i < queues.size(); ++i) each[i].queue = queues[i];
  return open_sharing(std::move(each));
}

std::vector<Socket> Socket::open_sharing(std::vector<SocketConfig> queues) {
  std::vector<Socket> opened;
  const SocketConfig& first = queues.front();
  const auto share = static_cast<std::uint32_t>(first.umem.size() / first.chunk_bytes / queues.size());
  for (SocketConfig& config : queues) {
    config.umem = first.umem;
    config.chunk_bytes = first.chunk_bytes;
    config.frames = {static_cast<std::uint32_t>(opened.size()) * share, share};
    Socket socket = prepare(config, opened.empty() ? Umem::own : Umem::joined, {});
    if (opened.empty()) {
      socket.bind(config);
    } else if (const int error = socket.join(config, opened.front()); error != 0) {
      if (!opened.front().obtained_zero_copy() || config.mode != RequestedMode::automatic)
        throw failure(SetupStep::join, error, config);
      const std::string reason = "queue " + std::to_string(config.queue.value()) + ": " +
                                 std::string(zero_copy_refusal(error, config.multi_buffer));
      opened.clear();
      for (SocketConfig& copying : queues) copying.mode = RequestedMode::copy;
      opened = open_sharing(std::move(queues));
      for (Socket& copying : opened) copying.fallback_reason_ = reason;
      return opened;
    } else {
      socket.fallback_reason_ = opened.front().fallback_reason_;
    }
    opened.push_back(std::move(socket));
  }
  return opened;
}

SocketStatistics Socket::statistics() const noexcept {
  xdp_statistics raw{};
  socklen_t length = sizeof raw;
  ::getsockopt(fd_.get(), SOL_XDP, XDP_STATISTICS, &raw, &length);
  return {raw.rx_dropped,       raw.rx_ring_full,     raw.rx_fill_ring_empty_descs,
          raw.rx_invalid_descs, raw.tx_invalid_descs, raw.tx_ring_empty_descs};
}

int Socket::wake_rx() noexcept {
  return ::recvfrom(fd_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr) >= 0 ? 0 : errno;
}

int Socket::wake_tx() noexcept { return ::sendto(fd_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0 ? 0 : errno; }

}  // namespace xsk
