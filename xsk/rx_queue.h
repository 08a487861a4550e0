// The receiving half of an AF_XDP socket: RX ring, fill ring and the frames that go round between them.
//
// RxQueue is used by one thread, the worker it belongs to. It refers to ring memory and a UMEM owned by others (Socket,
// or a test) and must be destroyed before them; RxBatch refers to its RxQueue, which therefore does not move.
//
// A frame is in exactly one place: in the fill ring, with the kernel, in the RX ring, or in the one RxBatch that is
// alive. A batch cannot be copied, its destructor is the only way back to the fill ring, and every constructor of one
// is private to receive(): so a frame is neither leaked nor returned twice.
//
// Room in the fill ring. The destructor cannot fail, so the fill ring must always have room for what a batch holds.
// With F frames a ring of F entries is not enough: the kernel takes entries by a private index and publishes it later,
// after it has made the packets visible (xsk_flush in net/xdp/xsk.c submits the RX ring first; xskq_cons_release in
// net/xdp/xsk_queue.h only counts). The entries that look occupied are those really in the ring (at most F) and those
// taken since the index was last published (at most F, as each of these frames was taken once). Hence a fill ring of
// 2 F entries always has room; the constructor insists on it.
//
// Packets of several frames (multi-buffer, sockets bound with XDP_USE_SG) are rare or not there at all. A run of the
// RX ring without them is handed out as it stands, after one look at each descriptor; anything else takes the slow
// path, receive_mixed(), which writes down what the packets are. The kernel publishes whole packets only (__xsk_rcv and
// xsk_rcv_zc in net/xdp/xsk.c look for room for all descriptors first, xsk_flush publishes them together). Should one
// not be whole all the same, it waits for its end.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "xsk/frame.h"
#include "xsk/ring.h"
#include "xsk/uapi.h"

namespace xsk {

class RxQueue;

// One received packet: where it lies in the UMEM. A plain value, meaningful while its batch lives.
struct ReceivedPacket {
  std::uint64_t offset = 0;     // of its first frame's bytes, from the start of the UMEM
  std::uint32_t len = 0;        // bytes, of all frames together
  bool several_frames = false;  // RxBatch::gather() puts them together
};

// Packets lent by receive(), in the order of arrival. All their frames go back to the fill ring when it is destroyed.
class [[nodiscard]] RxBatch {
 public:
  RxBatch(RxBatch&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)),
        packets_(std::exchange(other.packets_, {})),
        frames_(std::exchange(other.frames_, 0)) {}
  RxBatch& operator=(RxBatch&&) = delete;
  RxBatch(const RxBatch&) = delete;
  RxBatch& operator=(const RxBatch&) = delete;
  inline ~RxBatch();

  std::uint32_t size() const noexcept { return packets_.size(); }
  bool empty() const noexcept { return packets_.size() == 0; }

  std::uint32_t frames() const noexcept { return frames_; }
  // Each packet lies in one frame: the common case, and the only one without multi-buffer.
  bool in_single_frames() const noexcept { return frames_ == packets_.size(); }

  // Not on a temporary: its frames would be back with the kernel before they are read.
  ReceivedPacket operator[](std::uint32_t i) const& noexcept {
    const xdp_desc& entry = packets_[i];
    return {entry.addr, entry.len, (entry.options & XDP_PKT_CONTD) != 0};
  }
  ReceivedPacket operator[](std::uint32_t i) const&& = delete;

  // Copies packet i into one piece, as much of it as there is room for; returns how many bytes that were.
  std::uint32_t gather(std::uint32_t i, std::span<std::byte> into) const noexcept;

 private:
  friend class RxQueue;
  RxBatch(RxQueue* queue, Entries<xdp_desc> packets) noexcept
      : queue_(queue), packets_(packets), frames_(packets.size()) {}
  RxBatch(RxQueue* queue, Entries<xdp_desc> packets, std::uint32_t frames) noexcept
      : queue_(queue), packets_(packets), frames_(frames) {}

  RxQueue* queue_;
  Entries<xdp_desc> packets_;  // the ring's own where each is one frame, else RxQueue::mixed_
  std::uint32_t frames_;       // that go back: the ring's next entries
};

class RxQueue {
 public:
  // Puts these frames of `umem` into the fill ring, which must have at least twice as many entries. Frames of other
  // ranges belong to other queues of the same UMEM.
  RxQueue(const RingMemory& rx, const RingMemory& fill, std::span<std::byte> umem, std::uint32_t chunk_bytes,
          FrameRange frames = {})
      : rx_(rx), fill_(fill), layout_(umem.size(), chunk_bytes, frames), umem_(umem) {
    if (fill.size / 2 < layout_.frames())
      throw engine::SetupError(engine::ExitCode::runtime_failure, "set up a receive queue",
                               "the fill ring must have two entries for each frame");
    auto slots = fill_.reserve(layout_.frames());
    for (std::uint32_t i = 0; i < layout_.frames(); ++i) slots.push(layout_.frame(i).offset_bytes());
    fill_.submit(std::move(slots));
  }
  RxQueue(const RxQueue&) = delete;
  RxQueue& operator=(const RxQueue&) = delete;

  // Up to `max` packets that have arrived; empty if none. One batch at a time: it must be gone before the next call.
  inline RxBatch receive(std::uint32_t max) noexcept;

  // Packets that the kernel put into the RX ring since the queue was made, by the kernel's own index: read or not. With
  // multi-buffer packets exact once the ring is drained, before that frames still to be read count as packets.
  std::uint64_t rx_packets() noexcept { return rx_.produced_total() - continuations_; }

  // Packets with a descriptor that pointed outside this queue's frames. They are part of rx_packets(), were never
  // handed out, and their frames are retired: what came with such a descriptor cannot be trusted to be ours to give
  // back.
  std::uint64_t bad_packets() const noexcept { return bad_packets_; }

  // The kernel waits for a system call (recvfrom or poll) before it takes frames from the fill ring.
  bool needs_wakeup() const noexcept { return fill_.needs_wakeup(); }

  std::span<std::byte> umem() const noexcept { return umem_; }  // the whole
  const FrameLayout& layout() const noexcept { return layout_; }

 private:
  friend class RxBatch;
  // What starts at one entry of the RX ring: a packet, `end` behind its last entry; or, not whole, what is there of it.
  struct Extent {
    std::uint32_t end;
    std::uint32_t bytes;
    bool whole;
    bool good;
  };
  // Packets that the slow path hands out at once.
  static constexpr std::uint32_t max_mixed_packets = 256;

  bool are_single_frames(const Entries<xdp_desc>& seen) const noexcept;
  Extent extent_at(const Entries<xdp_desc>& seen, std::uint32_t first) const noexcept;
  RxBatch receive_mixed(std::uint32_t max) noexcept;
  void retire(std::uint32_t entries) noexcept;
  inline void recycle(std::uint32_t frames) noexcept;

  ConsumerRing<xdp_desc> rx_;
  ProducerRing<std::uint64_t> fill_;
  FrameLayout layout_;
  std::span<std::byte> umem_;
  std::uint64_t continuations_ = 0;  // entries that were handed out or retired and did not end a packet
  std::uint64_t bad_packets_ = 0;
  bool lent_ = false;

  // Of the batch that is lent, if it came by receive_mixed(): its packets, the first with the length of all their
  // frames, and where in the ring each begins; behind the last, the end.
  std::array<xdp_desc, max_mixed_packets> mixed_;
  std::array<std::uint32_t, max_mixed_packets + 1> starts_;
};

inline RxBatch::~RxBatch() {
  if (queue_ != nullptr && frames_ != 0) queue_->recycle(frames_);
}

// Every descriptor is a packet of its own and lies in one of our frames.
inline bool RxQueue::are_single_frames(const Entries<xdp_desc>& seen) const noexcept {
  const FrameLayout layout = layout_;
  std::uint32_t options = 0;  // of all together: one branch less for each
  for (std::uint32_t i = 0; i < seen.size(); ++i) {
    if (!layout.holds(FrameAddress(seen[i].addr), seen[i].len)) return false;
    options |= seen[i].options;
  }
  return (options & XDP_PKT_CONTD) == 0;
}

inline RxBatch RxQueue::receive(std::uint32_t max) noexcept {
  assert(!lent_);
  const Entries<xdp_desc> seen = rx_.peek(max);
  if (seen.size() == 0) return {nullptr, {}};
  if (!are_single_frames(seen)) [[unlikely]]
    return receive_mixed(max);
  lent_ = true;
  return {this, seen};
}

inline void RxQueue::recycle(std::uint32_t frames) noexcept {
  const Entries<xdp_desc> entries = rx_.peek(frames);  // the same as when they were lent
  auto slots = fill_.reserve(entries.size());
  // By value: a store into the fill ring might change *this, for all the compiler knows.
  const auto base_of = [entries, layout = layout_](std::uint32_t i) noexcept {
    return layout.base(FrameAddress(entries[i].addr)).offset_bytes();
  };
  [[maybe_unused]] const std::uint32_t returned = slots.push_n(entries.size(), base_of);
  assert(returned == entries.size());
  fill_.submit(std::move(slots));
  // Only now: the descriptors were read from the ring itself, and released slots are the kernel's to overwrite.
  rx_.release(entries.size());
  lent_ = false;
}

}  // namespace xsk
