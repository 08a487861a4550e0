// An AF_PACKET socket with a TPACKET_V3 ring on one interface, alone or as a member of a fanout group, in which the
// kernel hands each frame to one member by its flow. The frames are copies: the traffic goes on to the kernel's stack.
//
// Owns descriptor and mapping. Set-up runs on the main thread; then the queue belongs to one worker, everything else
// stays the main thread's. Nothing is received before accept_by() or accept_all().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/unique_fd.h"
#include "engine/tap/packet_queue.h"
#include "engine/tap/packet_ring.h"

namespace engine {

struct PacketSocketConfig {
  std::string interface_name;  // for messages
  unsigned ifindex = 0;
  RingShape ring;
  std::byte* ring_at = nullptr;  // in an address range that the caller reserved; null: anywhere
  bool ignore_outgoing = false;  // what this machine sends is not seen; in a group the filter has to see to it
  bool fanout = false;           // joins a group: a new one, or
  std::optional<std::uint16_t> fanout_group = std::nullopt;  // that of an earlier socket
};

// What the kernel counted since the socket was made.
struct PacketStatistics {
  std::uint64_t accepted = 0;    // by the filter, or all if there is none
  std::uint64_t rx_packets = 0;  // in the ring's blocks, as far as the reader has got
  std::uint64_t rx_dropped = 0;  // no room in the ring
};

class PacketSocket {
 public:
  // Throws SetupError. Bound to the interface, with a filter that rejects everything and counts nothing.
  static PacketSocket open(const PacketSocketConfig& config);

  PacketSocket(PacketSocket&&) noexcept = default;
  PacketSocket& operator=(PacketSocket&&) = delete;

  int fd() const noexcept { return fd_.get(); }
  PacketQueue& queue() noexcept { return *queue_; }
  const std::byte* frames() const noexcept { return ring_.bytes().data(); }  // what offsets count from
  std::optional<std::uint16_t> fanout_group() const noexcept { return fanout_group_; }

  // From here on frames arrive that the program (bpf::TapFilter's) accepts; swaps one program for another without a
  // gap. Throws SetupError.
  void accept_by(int program_fd);
  // The same without a program: the kernel's way to one costs each frame more than counting in it.
  void accept_all();
  // Nothing is accepted any more, once wait_for_receivers() has returned.
  void reject_all();

  // Reading takes the kernel's 32-bit counts out of the socket and adds them up here: any thread may, and one has to
  // before they overflow.
  PacketStatistics statistics() noexcept;

 private:
  struct Counts {
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> rx_dropped{0};
  };

  PacketSocket(UniqueFd fd, const PacketSocketConfig& config);
  void bind(const PacketSocketConfig& config);
  void join_fanout(const PacketSocketConfig& config);

  // Destroyed in reverse order: the queue, then the mapping it refers to, then the descriptor.
  UniqueFd fd_;
  std::string object_;
  PacketRing ring_;
  std::unique_ptr<PacketQueue> queue_;
  std::unique_ptr<Counts> counts_;
  std::optional<std::uint16_t> fanout_group_;
};

// What happened to a socket's interface: 0; ENETDOWN after it went down (once: the next call says 0, and frames arrive
// again when it is up); ENXIO for ever once it was removed or moved to another namespace. Also what lets poll() wait
// again. Any thread.
int take_packet_socket_error(int fd) noexcept;

// Lets those CPUs finish that are still delivering a frame by a filter which has been replaced. Made in advance, as it
// needs CAP_NET_RAW; good for one wait.
class ReceiverFence {
 public:
  ReceiverFence();  // throws SetupError
  void wait() noexcept { fd_.reset(); }

 private:
  UniqueFd fd_;
};

// After reject_all() and the fence: waits until the kernel has handed over the blocks that it had begun (their
// timeout); false if it did not within two seconds. Then what the queue does not give has not been received.
bool wait_for_last_block(const PacketQueue& queue) noexcept;

}  // namespace engine
