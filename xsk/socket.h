// An AF_XDP socket bound to one queue of an interface: file descriptor, UMEM registration, four rings.
//
// Socket owns the descriptor and the ring mappings; the UMEM's memory stays the caller's and must outlive it. Queues of
// one worker share a UMEM: one socket registers it, the others join (XDP_SHARED_UMEM), each with a fill and a
// completion ring of its own and frames of its own, so that a frame comes back on the queue whose fill ring gave it.
// Set-up runs on the main thread, then the socket belongs to one worker. RxQueue and TxQueue live on the heap, so that
// moving a Socket does not move what batches refer to; no batch may outlive its Socket.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/unique_fd.h"
#include "xsk/forward_queue.h"
#include "xsk/mode.h"
#include "xsk/ring_map.h"
#include "xsk/rx_queue.h"
#include "xsk/tx_queue.h"

namespace xsk {

struct SocketConfig {
  std::string interface_name;  // for messages
  unsigned ifindex = 0;
  QueueId queue{0};
  std::span<std::byte> umem;  // page-aligned, a multiple of chunk_bytes
  std::uint32_t chunk_bytes = 2048;
  FrameRange frames = {};        // the queue's own of the UMEM's
  std::uint32_t rx_entries = 0;  // power of two; 0: does not receive
  std::uint32_t tx_entries = 0;  // power of two; 0: does not send
  std::uint32_t tx_frames = 0;   // of a socket that does both: the last frames, for sending
  bool forwards = false;         // all frames receive, and a socket of the same UMEM sends them: see forward_queue.h
  RequestedMode mode = RequestedMode::automatic;
  bool multi_buffer = false;           // packets may take several frames; kernel 6.6, see RxBatch::gather()
  std::uint32_t single_frame_mtu = 0;  // the largest MTU that needs no multi_buffer, for messages
  bool attached_generic = false;       // the XDP program is attached in generic mode: zero-copy is not tried
};

// XDP_STATISTICS. The socket's counts start when it is made.
struct SocketStatistics {
  std::uint64_t rx_dropped = 0;  // redirected here and lost, other than by a full RX ring
  std::uint64_t rx_ring_full = 0;
  std::uint64_t fill_ring_empty = 0;   // explains losses; in copy mode they are in rx_dropped too
  std::uint64_t rx_invalid_descs = 0;  // bad addresses in the fill ring, not packets
  std::uint64_t tx_invalid_descs = 0;
  std::uint64_t tx_ring_empty = 0;
};

class Socket {
 public:
  // Throws engine::SetupError. The fill ring is filled and twice as large as the UMEM has frames for receiving (see
  // rx_queue.h). `ready` is an AF_XDP socket made by somebody with CAP_NET_RAW; without it one is made here.
  static Socket open(const SocketConfig& config, engine::UniqueFd ready = {});

  // A socket on each of these queues of the interface, all in one UMEM whose frames they share out evenly (`frames` and
  // `queue` of the configuration are not looked at). They are in one mode: where one queue can't have zero-copy, none
  // has it; unless it was forced, then that throws.
  static std::vector<Socket> open_sharing(const SocketConfig& config, std::span<const QueueId> queues);
  // The same for queues that may be of different interfaces, each with a configuration of its own; UMEM and chunk_bytes
  // are those of the first.
  static std::vector<Socket> open_sharing(std::vector<SocketConfig> queues);

  Socket(Socket&&) noexcept = default;
  Socket& operator=(Socket&&) = delete;

  int fd() const noexcept { return fd_.get(); }
  QueueId queue() const noexcept { return queue_; }

  // Only on sockets opened with rx_entries or tx_entries, and not on those that forward.
  RxQueue& rx_queue() noexcept { return *rx_queue_; }
  TxQueue& tx_queue() noexcept { return *tx_queue_; }
  ForwardQueue& forward_queue() noexcept { return *forward_queue_; }  // only on those

  // Read back from the kernel after bind (XDP_OPTIONS).
  bool obtained_zero_copy() const noexcept { return zero_copy_; }
  ObtainedMode mode() const noexcept { return obtained_mode(attached_generic_, zero_copy_); }
  // Why zero-copy was tried and not obtained, in words; empty where it was obtained or not tried.
  const std::string& fallback_reason() const noexcept { return fallback_reason_; }

  SocketStatistics statistics() const noexcept;

  // Tells the kernel that the fill ring has frames / that the TX ring has packets. 0 or the errno: ENETDOWN while the
  // interface is down, ENXIO once it is gone; EAGAIN and EBUSY from wake_tx mean "call again".
  int wake_rx() noexcept;
  int wake_tx() noexcept;

 private:
  Socket(engine::UniqueFd fd, const SocketConfig& config) noexcept;
  enum class Umem { own, joined };
  static Socket prepare(const SocketConfig& config, Umem umem, engine::UniqueFd ready);
  void bind(const SocketConfig& config);
  int join(const SocketConfig& config, const Socket& owner) noexcept;

  // Destroyed in reverse order: the queues, then the mappings they refer to, then the descriptor.
  engine::UniqueFd fd_;
  QueueId queue_;
  bool attached_generic_;
  bool zero_copy_ = false;
  std::string fallback_reason_;
  std::array<RingMap, 4> rings_;
  std::unique_ptr<RxQueue> rx_queue_;
  std::unique_ptr<TxQueue> tx_queue_;
  std::unique_ptr<ForwardQueue> forward_queue_;
};

// Raises the soft and hard limit on locked memory as far as the kernel permits; true if it is unlimited afterwards.
// Kernels account UMEMs against it (xdp_umem_account_pages in net/xdp/xdp_umem.c) unless the process has CAP_IPC_LOCK.
bool raise_memlock_limit() noexcept;

// The kernel keeps, for each queue, bookkeeping of every frame of the UMEM that the queue uses
// (xp_create_and_assign_umem in net/xdp/xsk_buff_pool.c: pool->heads), so what it takes grows with the square of the
// queues. Of 4,096 frames of 2 KiB a queue, in MiB (6.18, VmallocUsed and Slab): 8 queues 33 beside 64 of frames, 16
// queues 130 beside 128; in a UMEM each they take 5 and 10.
inline constexpr std::size_t max_queues_per_umem = 8;

}  // namespace xsk
