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
#pragma once

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

// One received frame: where it lies in the queue's UMEM span. A plain value, meaningful while its batch lives.
struct ReceivedFrame {
  std::uint64_t offset = 0;  // bytes from the start of the span given to RxQueue
  std::uint32_t len = 0;     // bytes
  bool continued = false;    // the packet goes on in the next frame (only on sockets bound for multi-buffer)
};

// Frames lent by receive(), in the order of arrival. All of them go back to the fill ring when it is destroyed.
class [[nodiscard]] RxBatch {
 public:
  RxBatch(RxBatch&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)), entries_(std::exchange(other.entries_, {})) {}
  RxBatch& operator=(RxBatch&&) = delete;
  RxBatch(const RxBatch&) = delete;
  RxBatch& operator=(const RxBatch&) = delete;
  inline ~RxBatch();

  std::uint32_t size() const noexcept { return entries_.size(); }
  bool empty() const noexcept { return entries_.size() == 0; }

  // Not on a temporary: its frames would be back with the kernel before they are read.
  ReceivedFrame operator[](std::uint32_t i) const& noexcept {
    const xdp_desc& entry = entries_[i];
    return {entry.addr, entry.len, (entry.options & XDP_PKT_CONTD) != 0};
  }
  ReceivedFrame operator[](std::uint32_t i) const&& = delete;

 private:
  friend class RxQueue;
  RxBatch(RxQueue* queue, Entries<xdp_desc> entries) noexcept : queue_(queue), entries_(entries) {}

  RxQueue* queue_;
  Entries<xdp_desc> entries_;
};

class RxQueue {
 public:
  // Puts every frame of `umem` into the fill ring. `fill` must have at least twice as many entries as there are frames.
  RxQueue(const RingMemory& rx, const RingMemory& fill, std::span<std::byte> umem, std::uint32_t chunk_bytes)
      : rx_(rx), fill_(fill), layout_(umem.size(), chunk_bytes), umem_(umem) {
    if (fill.size / 2 < layout_.frames())
      throw engine::SetupError(engine::ExitCode::runtime_failure, "set up a receive queue",
                               "the fill ring must have two entries for each frame");
    auto slots = fill_.reserve(layout_.frames());
    for (std::uint32_t i = 0; i < layout_.frames(); ++i) slots.push(layout_.frame(i).offset_bytes());
    fill_.submit(std::move(slots));
  }
  RxQueue(const RxQueue&) = delete;
  RxQueue& operator=(const RxQueue&) = delete;

  // Up to `max` frames that have arrived; empty if none. One batch at a time: it must be gone before the next call.
  inline RxBatch receive(std::uint32_t max) noexcept;

  // Packets that the kernel put into the RX ring since the queue was made, by the kernel's own index: read or not. With
  // multi-buffer packets exact once the ring is drained, before that frames still to be read count as packets.
  std::uint64_t rx_packets() noexcept { return rx_.produced_total() - continuations_; }

  // Descriptors that pointed outside a frame. They are part of rx_packets(), were never handed out, and their frames
  // are retired: what such a descriptor names cannot be trusted to be ours to give back.
  std::uint64_t bad_descriptors() const noexcept { return bad_descriptors_; }

  // The kernel waits for a system call (recvfrom or poll) before it takes frames from the fill ring.
  bool needs_wakeup() const noexcept { return fill_.needs_wakeup(); }

  std::span<std::byte> umem() const noexcept { return umem_; }
  const FrameLayout& layout() const noexcept { return layout_; }

 private:
  friend class RxBatch;
  inline std::uint32_t leading_good(const Entries<xdp_desc>& seen) noexcept;
  inline void recycle(const Entries<xdp_desc>& entries) noexcept;

  ConsumerRing<xdp_desc> rx_;
  ProducerRing<std::uint64_t> fill_;
  FrameLayout layout_;
  std::span<std::byte> umem_;
  std::uint64_t continuations_ = 0;
  std::uint64_t bad_descriptors_ = 0;
  bool lent_ = false;
};

inline RxBatch::~RxBatch() {
  if (queue_ != nullptr && entries_.size() != 0) queue_->recycle(entries_);
}

// How many descriptors can be handed out before the first bad one.
inline std::uint32_t RxQueue::leading_good(const Entries<xdp_desc>& seen) noexcept {
  std::uint32_t good = 0;
  std::uint32_t continued = 0;
  for (; good < seen.size(); ++good) {
    const xdp_desc& descriptor = seen[good];
    if (!layout_.holds(FrameAddress(descriptor.addr), descriptor.len)) break;
    continued += descriptor.options & XDP_PKT_CONTD;
  }
  continuations_ += continued;
  return good;
}

inline RxBatch RxQueue::receive(std::uint32_t max) noexcept {
  assert(!lent_);
  for (;;) {
    const Entries<xdp_desc> seen = rx_.peek(max);
    if (seen.size() == 0) return {nullptr, {}};
    // A batch is one run of the ring, so it ends before a bad descriptor; the next call meets that one first.
    const std::uint32_t good = leading_good(seen);
    if (good != 0) {
      lent_ = true;
      return {this, good == seen.size() ? seen : rx_.peek(good)};
    }
    ++bad_descriptors_;
    rx_.release(1);
  }
}

inline void RxQueue::recycle(const Entries<xdp_desc>& entries) noexcept {
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
