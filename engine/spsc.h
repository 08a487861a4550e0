// A queue of length-prefixed records between one producer and one consumer thread: workers send their messages to the
// collector through it, the file reader sends frames to the workers.
//
// The records lie back to back in a ring of bytes; each begins with its length as u32, a multiple of 8 that counts the
// whole record. A record never wraps: where it does not fit before the ring's end, the producer leaves the rest of the
// lap unused and says in `wrap_at_` where. Because of that a record may be at most half the capacity: then an empty
// ring always has room for it, wherever the indexes stand.
//
// Indexes only grow and are taken modulo the capacity at access. Each side keeps its own private index and a copy of
// the other's, and looks at the shared one only when the copy says full or empty: as long as both run, a batch costs
// one release store and mostly no cache miss. What the two sides write lies on cache lines of their own, 128 bytes
// apart because x86 fetches lines in pairs (Intel optimization manual, "spatial prefetcher").
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>

#include "engine/base/error.h"

namespace engine {

class SpscRing {
 public:
  static constexpr std::size_t kMinCapacityBytes = 4096;

  // Every page is touched here, so that the loops never fault one in.
  explicit SpscRing(std::size_t capacity_bytes)
      : owned_(allocate(capacity_bytes)), data_(owned_.get()), mask_(capacity_bytes - 1) {}

  // Over memory of the caller's (of a NUMA node, in huge pages), which outlives the ring.
  explicit SpscRing(std::span<std::byte> memory) : data_(memory.data()), mask_(memory.size() - 1) {
    check(memory.size());
  }

  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  std::size_t capacity() const noexcept { return mask_ + 1; }

  // --- producer ---------------------------------------------------------------------------------------------------

  // The contiguous free bytes behind what was written so far, at least as many as asked for; empty if the ring is full.
  std::span<std::byte> window(std::size_t at_least_bytes) noexcept {
    const std::size_t to_end = capacity() - (written_ & mask_);
    const bool wraps = to_end < at_least_bytes;
    const std::size_t needed = wraps ? to_end + at_least_bytes : at_least_bytes;
    if (capacity() - (written_ - seen_head_) < needed) {
      // acquire: pairs with the release in consume(); the consumer's reads of these bytes are over before we overwrite.
      seen_head_ = head_.load(std::memory_order_acquire);
      if (capacity() - (written_ - seen_head_) < needed) return {};
    }
    if (wraps) {
      // relaxed: made visible by the release store in publish(). The mark of the last lap is no longer needed: this
      // lap's rest was found free, hence the consumer has passed the last one.
      wrap_at_.store(written_, std::memory_order_relaxed);
      written_ += to_end;
    }
    const std::size_t position = written_ & mask_;
    const std::size_t free = capacity() - (written_ - seen_head_);
    return {data_ + position, std::min(free, capacity() - position)};
  }

  // Whole records of together `bytes` were written at the window's start.
  void advance(std::size_t bytes) noexcept {
    assert(bytes % 8 == 0);
    written_ += bytes;
  }

  // Positions in the stream of bytes: how far the producer has written, and how far the consumer has read by now.
  std::size_t written() const noexcept { return written_; }
  std::size_t consumed() noexcept {
    return seen_head_ = head_.load(std::memory_order_acquire);  // as in window()
  }

  // What was advanced over becomes visible to the consumer.
  void publish() noexcept {
    // release: the records' bytes and wrap_at_ are written before the index that covers them.
    tail_.store(written_, std::memory_order_release);
  }

  // One record, copied, not yet published; false if there is no room.
  bool push(std::span<const std::byte> record) noexcept {
    const std::size_t position = written_ & mask_;
    // The common case without the general one's arithmetic: it fits before the lap's end and into the known free bytes.
    if (std::max(position, written_ - seen_head_) + record.size() <= capacity()) {
      std::memcpy(data_ + position, record.data(), record.size());
    } else {
      const std::span<std::byte> room = window(record.size());
      if (room.empty()) return false;
      std::memcpy(room.data(), record.data(), record.size());
    }
    advance(record.size());
    return true;
  }

  // --- consumer ---------------------------------------------------------------------------------------------------

  // Published records that lie contiguously; empty if there are none.
  std::span<const std::byte> readable() noexcept {
    if (read_ == seen_end_ && !look()) return {};
    return {data_ + (read_ & mask_), seen_end_ - read_};
  }

  // Whole records of together `bytes`, from readable()'s start, are done with.
  void consume(std::size_t bytes) noexcept {
    assert(bytes % 8 == 0);
    read_ += bytes;
    // Told to the producer when everything seen is done with, or a good piece of it. Told at every record, a full ring
    // would fall into lock-step: one record's room given, seen and filled at a time, a cache miss for both each time.
    if (read_ == seen_end_ || read_ - told_ >= capacity() / 16) tell();
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { ::operator delete (memory, std::align_val_t{kAlignment}); }
  };
  using Memory = std::unique_ptr<std::byte, Free>;

  static constexpr std::size_t kAlignment = 4096;
  static constexpr std::size_t kLine = 128;

  static void check(std::size_t bytes) {
    if (bytes >= kMinCapacityBytes && std::has_single_bit(bytes)) return;
    throw SetupError(ExitCode::bad_usage, "queue of " + std::to_string(bytes) + " bytes",
                     "the size is not a power of two of at least " + std::to_string(kMinCapacityBytes));
  }

  static Memory allocate(std::size_t bytes) {
    check(bytes);
    void* memory = ::operator new (bytes, std::align_val_t{kAlignment}, std::nothrow);
    if (memory == nullptr) {
      throw SetupError(ExitCode::runtime_failure, "queue of " + std::to_string(bytes) + " bytes", "out of memory");
    }
    std::memset(memory, 0, bytes);
    return Memory(static_cast<std::byte*>(memory));
  }

  // release: our reads of the bytes before are over when the producer may take them.
  void tell() noexcept {
    told_ = read_;
    head_.store(read_, std::memory_order_release);
  }

  // Finds the end of the records that lie contiguously from read_ on; false if there are none.
  bool look() noexcept {
    // acquire: pairs with publish(); the records up to here, and wrap_at_ if it lies before, are visible.
    const std::size_t tail = tail_.load(std::memory_order_acquire);
    if (read_ == tail) return false;
    // relaxed: ordered by the load above. A mark of an earlier lap is smaller than read_; a newer one than that load
    // covers belongs to an unpublished wrap of this lap and lies at or behind `tail`, where it cuts nothing off.
    const std::size_t wrap_at = wrap_at_.load(std::memory_order_relaxed);
    if (read_ == wrap_at) {
      read_ += capacity() - (read_ & mask_);
      tell();  // or a producer that waits for the skipped bytes would wait forever
    }
    const std::size_t lap_end = read_ - (read_ & mask_) + capacity();
    seen_end_ = std::min(tail, lap_end);
    if (wrap_at > read_) seen_end_ = std::min(seen_end_, wrap_at);
    return read_ != seen_end_;
  }

  // Constant after construction, read by both.
  Memory owned_;
  std::byte* const data_;
  const std::size_t mask_;

  // The producer's own.
  alignas(kLine) std::size_t written_ = 0;
  std::size_t seen_head_ = 0;

  // Written by the producer, read by the consumer.
  alignas(kLine) std::atomic<std::size_t> tail_{0};
  std::atomic<std::size_t> wrap_at_{SIZE_MAX};

  // The consumer's own.
  alignas(kLine) std::size_t read_ = 0;
  std::size_t seen_end_ = 0;
  std::size_t told_ = 0;

  // Written by the consumer, read by the producer.
  alignas(kLine) std::atomic<std::size_t> head_{0};
};

}  // namespace engine
