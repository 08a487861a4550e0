// The sending half of an AF_XDP socket: TX ring, completion ring and the frames that go round between them.
//
// TxQueue is used by one thread. It refers to ring memory and a UMEM owned by others (Socket, or a test) and must be
// destroyed before them; TxBatch refers to its TxQueue, which therefore does not move.
//
// A frame is in exactly one place: free (FramePool), in the one TxBatch that is alive, or in flight (TX ring, kernel,
// completion ring). Frames are written through a TxBatch: only pushed ones can be submitted, the others and those of a
// dropped batch are free again. FramePool knows which are in flight, so that a completion which names a wrong frame, or
// one frame twice, is counted instead of believed.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "xsk/frame.h"
#include "xsk/ring.h"
#include "xsk/uapi.h"

namespace xsk {

class TxQueue;

// The free frames of a range of a UMEM. Private to TxQueue: nobody else can take or give back a frame.
class FramePool {
 public:
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  std::uint32_t free() const noexcept { return static_cast<std::uint32_t>(free_.size()); }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(state_.size()); }

 private:
  friend class TxQueue;
  friend class TxBatch;
  enum class State : std::uint8_t { free, written, in_flight };

  explicit FramePool(const FrameLayout& layout) : layout_(layout), state_(layout.frames(), State::free) {
    free_.reserve(layout.frames());
    for (std::uint32_t i = layout.frames(); i > 0; --i) free_.push_back(i - 1);
  }

  // The frame that take() would give; only if free() is not 0.
  FrameAddress next() const noexcept { return layout_.frame(free_.back()); }
  FrameAddress take() noexcept {
    const FrameAddress taken = next();
    state_[free_.back()] = State::written;
    free_.pop_back();
    return taken;
  }
  void send(FrameAddress address) noexcept { state_[layout_.index(address)] = State::in_flight; }
  // False if the frame is not of this pool or not in the state that it is said to leave. Never allocates: the vector's
  // capacity is the number of frames.
  bool give(FrameAddress address, State leaves) noexcept {
    if (!layout_.holds(address, 0)) return false;
    const std::uint32_t index = layout_.index(address);
    if (state_[index] != leaves) return false;
    state_[index] = State::free;
    free_.push_back(index);
    return true;
  }

  FrameLayout layout_;
  std::vector<State> state_;
  std::vector<std::uint32_t> free_;
};

// Frames being written. buffer() is the next frame's memory; push() queues what was written there.
class [[nodiscard]] TxBatch {
 public:
  TxBatch(TxBatch&& other) noexcept : queue_(std::exchange(other.queue_, nullptr)), slots_(std::move(other.slots_)) {}
  TxBatch& operator=(TxBatch&&) = delete;
  TxBatch(const TxBatch&) = delete;
  TxBatch& operator=(const TxBatch&) = delete;
  inline ~TxBatch();

  std::uint32_t room() const noexcept { return slots_.room(); }  // frames that can still be pushed
  std::uint32_t size() const noexcept { return slots_.written(); }

  // The memory of the next frame, a whole chunk; empty if there is no room.
  inline std::span<std::byte> buffer() noexcept;
  // Queues the first length_bytes of buffer(). False, and nothing queued, if there is no room or it does not fit.
  inline bool push(std::uint32_t length_bytes) noexcept;

 private:
  friend class TxQueue;
  TxBatch(TxQueue* queue, Slots<xdp_desc>&& slots) noexcept : queue_(queue), slots_(std::move(slots)) {}

  TxQueue* queue_;
  Slots<xdp_desc> slots_;
};

class TxQueue {
 public:
  // Sends from these frames of `umem`. The completion ring must have an entry for each, so that the kernel is never
  // short of one.
  TxQueue(const RingMemory& tx, const RingMemory& completion, std::span<std::byte> umem, std::uint32_t chunk_bytes,
          FrameRange frames = {})
      : tx_(tx), completion_(completion), umem_(umem), pool_(FrameLayout(umem.size(), chunk_bytes, frames)) {
    if (pool_.size() > completion.size)
      throw engine::SetupError(engine::ExitCode::runtime_failure, "set up a transmit queue",
                               "the completion ring must have an entry for each frame");
  }
  TxQueue(const TxQueue&) = delete;
  TxQueue& operator=(const TxQueue&) = delete;

  // Up to `max` frames to write: as many as are free and the TX ring has room for, perhaps none. One batch at a time.
  TxBatch reserve(std::uint32_t max) noexcept { return {this, tx_.reserve(pool_.free() < max ? pool_.free() : max)}; }

  // Hands exactly the pushed frames to the kernel; returns how many.
  std::uint32_t submit(TxBatch&& batch) noexcept {
    assert(batch.queue_ == this);
    TxBatch taken(std::move(batch));
    taken.queue_ = nullptr;
    for (std::uint32_t i = 0; i < taken.slots_.written(); ++i) pool_.send(FrameAddress(taken.slots_[i].addr));
    const std::uint32_t count = tx_.submit(std::move(taken.slots_));
    submitted_ += count;
    return count;
  }

  // Takes back what the kernel is done with; returns how many frames became free.
  std::uint32_t drain_completions() noexcept {
    const std::uint64_t before = completed_;
    for (;;) {
      const Entries<std::uint64_t> done = completion_.peek(completion_.size());
      if (done.size() == 0) return static_cast<std::uint32_t>(completed_ - before);
      for (std::uint32_t i = 0; i < done.size(); ++i) {
        const bool freed = pool_.give(FrameAddress(done[i]), FramePool::State::in_flight);
        completed_ += freed;
        bad_completions_ += !freed;
      }
      completion_.release(done.size());
    }
  }

  bool needs_wakeup() const noexcept { return tx_.needs_wakeup(); }
  std::uint64_t submitted() const noexcept { return submitted_; }
  std::uint64_t completed() const noexcept { return completed_; }  // as of the last drain_completions()
  std::uint64_t in_flight() const noexcept { return submitted_ - completed_; }
  std::uint64_t bad_completions() const noexcept { return bad_completions_; }
  const FramePool& pool() const noexcept { return pool_; }

 private:
  friend class TxBatch;

  ProducerRing<xdp_desc> tx_;
  ConsumerRing<std::uint64_t> completion_;
  std::span<std::byte> umem_;
  FramePool pool_;
  std::uint64_t submitted_ = 0;
  std::uint64_t completed_ = 0;
  std::uint64_t bad_completions_ = 0;
};

inline TxBatch::~TxBatch() {
  if (queue_ == nullptr) return;
  for (std::uint32_t i = slots_.written(); i > 0; --i)
    queue_->pool_.give(FrameAddress(slots_[i - 1].addr), FramePool::State::written);
}

inline std::span<std::byte> TxBatch::buffer() noexcept {
  if (queue_ == nullptr || slots_.room() == 0) return {};
  return queue_->umem_.subspan(queue_->pool_.next().offset_bytes(), queue_->pool_.layout_.chunk_bytes());
}

inline bool TxBatch::push(std::uint32_t length_bytes) noexcept {
  if (queue_ == nullptr || slots_.room() == 0 || length_bytes > queue_->pool_.layout_.chunk_bytes()) return false;
  return slots_.push({queue_->pool_.take().offset_bytes(), length_bytes, 0});
}

}  // namespace xsk
