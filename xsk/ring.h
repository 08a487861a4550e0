// The two ends of an AF_XDP ring, as user space sees them: ConsumerRing (RX, completion) and ProducerRing (fill, TX).
//
// Owns nothing: the ring's memory belongs to Socket (mapped from the kernel) or to a test (heap). Each ring end is used
// by one thread; the other end is the kernel, or a test's thread in its place.
//
// Memory orders, as in the kernel's net/xdp/xsk_queue.h ("producer / consumer", barriers A to D):
//   - An index is published with a release store: entries written (B) or read (D) before it stay before it.
//   - The other side's index is loaded with acquire before entries are touched (C; and A, where the kernel relies on a
//     control dependency that C++ does not have).
//   - The own index is written by nobody else; it is kept as a plain member and only ever stored to the ring.
// Both ends cache the other's index and look again only when the cached one leaves nothing to do, so that the shared
// cache line moves once per burst and not once per entry.
#pragma once

#include <linux/if_xdp.h>

#include <atomic>
#include <bit>
#include <cassert>
#include <cstdint>
#include <utility>

namespace xsk {

// Where one ring lies. `size` is its number of entries, a power of two.
struct RingMemory {
  std::uint32_t* producer = nullptr;
  std::uint32_t* consumer = nullptr;
  std::uint32_t* flags = nullptr;
  void* entries = nullptr;
  std::uint32_t size = 0;
};

namespace detail {

inline std::uint32_t load_acquire(std::uint32_t* index) noexcept {
  return std::atomic_ref<std::uint32_t>(*index).load(std::memory_order_acquire);
}
inline std::uint32_t load_relaxed(std::uint32_t* index) noexcept {
  return std::atomic_ref<std::uint32_t>(*index).load(std::memory_order_relaxed);
}
inline void store_release(std::uint32_t* index, std::uint32_t value) noexcept {
  std::atomic_ref<std::uint32_t>(*index).store(value, std::memory_order_release);
}

}  // namespace detail

// Entries that were produced and not yet released, in order. A plain view: it may wrap around the ring's end, and it is
// valid until release().
template <typename T>
class Entries {
 public:
  Entries() noexcept = default;
  // A plain array in the place of a ring.
  Entries(const T* array, std::uint32_t count) noexcept : entries_(array), mask_(~0U), count_(count) {}
  std::uint32_t size() const noexcept { return count_; }
  const T& operator[](std::uint32_t i) const noexcept { return entries_[(first_ + i) & mask_]; }

 private:
  template <typename>
  friend class ConsumerRing;
  Entries(const T* entries, std::uint32_t mask, std::uint32_t first, std::uint32_t count) noexcept
      : entries_(entries), mask_(mask), first_(first), count_(count) {}

  const T* entries_ = nullptr;
  std::uint32_t mask_ = 0;
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
};

template <typename T>
class ConsumerRing {
 public:
  explicit ConsumerRing(const RingMemory& memory) noexcept
      : memory_(memory),
        mask_(memory.size - 1),
        consumer_(detail::load_relaxed(memory.consumer)),
        cached_producer_(consumer_) {
    assert(std::has_single_bit(memory.size));
  }
  ConsumerRing(const ConsumerRing&) = delete;
  ConsumerRing& operator=(const ConsumerRing&) = delete;

  // Up to `max` entries. The producer's index is looked at only if nothing is left of what was seen before.
  Entries<T> peek(std::uint32_t max) noexcept {
    std::uint32_t available = cached_producer_ - consumer_;
    if (available == 0) available = refresh() - consumer_;
    const std::uint32_t count = available < max ? available : max;
    return {static_cast<const T*>(memory_.entries), mask_, consumer_, count};
  }

  // Gives the first n peeked entries back to the producer.
  void release(std::uint32_t n) noexcept {
    assert(n <= cached_producer_ - consumer_);
    consumer_ += n;
    detail::store_release(memory_.consumer, consumer_);
  }

  // How many entries the other side has produced since this object was made: the advance of its 32-bit index, widened.
  // Exact as long as this or peek() looks at the index at least once per 2^32 entries.
  std::uint64_t produced_total() noexcept {
    refresh();
    return produced_total_;
  }

  std::uint32_t size() const noexcept { return memory_.size; }

 private:
  std::uint32_t refresh() noexcept {
    const std::uint32_t producer = detail::load_acquire(memory_.producer);
    produced_total_ += static_cast<std::uint32_t>(producer - cached_producer_);
    cached_producer_ = producer;
    return producer;
  }

  RingMemory memory_;
  std::uint32_t mask_;
  std::uint32_t consumer_;
  std::uint32_t cached_producer_;
  std::uint64_t produced_total_ = 0;
};

template <typename T>
class ProducerRing;

// Free entries of a ProducerRing, lent for writing. What is pushed is published by submit(); what is not pushed cannot
// be. Dropping a Slots publishes nothing and gives its entries back to be reserved again.
template <typename T>
class [[nodiscard]] Slots {
 public:
  Slots(Slots&& other) noexcept
      : ring_(std::exchange(other.ring_, nullptr)),
        room_(std::exchange(other.room_, 0)),
        written_(std::exchange(other.written_, 0)) {}
  Slots& operator=(Slots&&) = delete;
  ~Slots() {
    if (ring_ != nullptr) ring_->lent_ = false;
  }

  std::uint32_t room() const noexcept { return room_ - written_; }
  std::uint32_t written() const noexcept { return written_; }

  // True if there was room for it.
  bool push(const T& value) noexcept {
    if (written_ == room_) return false;
    ring_->entry(written_) = value;
    ++written_;
    return true;
  }

  // Pushes value_of(0), value_of(1), ... value_of(n - 1) as far as there is room; returns how many. One check for all
  // of them: the compiler keeps indexes in registers, which a push() in a loop prevents.
  template <typename ValueOf>
  std::uint32_t push_n(std::uint32_t n, ValueOf value_of) noexcept {
    const std::uint32_t count = n < room() ? n : room();
    if (count == 0) return 0;
    T* const entries = static_cast<T*>(ring_->memory_.entries);
    const std::uint32_t first = ring_->producer_ + written_;
    const std::uint32_t mask = ring_->mask_;
    for (std::uint32_t i = 0; i < count; ++i) entries[(first + i) & mask] = value_of(i);
    written_ += count;
    return count;
  }

  // What was pushed as number i, before it is submitted.
  const T& operator[](std::uint32_t i) const noexcept {
    assert(i < written_);
    return ring_->entry(i);
  }

 private:
  friend class ProducerRing<T>;
  Slots(ProducerRing<T>* ring, std::uint32_t room) noexcept : ring_(ring), room_(room) {}

  ProducerRing<T>* ring_;
  std::uint32_t room_;
  std::uint32_t written_ = 0;
};

template <typename T>
class ProducerRing {
 public:
  explicit ProducerRing(const RingMemory& memory) noexcept
      : memory_(memory),
        mask_(memory.size - 1),
        producer_(detail::load_relaxed(memory.producer)),
        cached_consumer_(detail::load_acquire(memory.consumer)) {
    assert(std::has_single_bit(memory.size));
  }
  ProducerRing(const ProducerRing&) = delete;
  ProducerRing& operator=(const ProducerRing&) = delete;

  // Up to n free entries. One Slots at a time: two would name the same entries.
  Slots<T> reserve(std::uint32_t n) noexcept {
    assert(!lent_);
    lent_ = true;
    std::uint32_t room = memory_.size - (producer_ - cached_consumer_);
    if (room < n) {
      cached_consumer_ = detail::load_acquire(memory_.consumer);
      room = memory_.size - (producer_ - cached_consumer_);
    }
    return {this, room < n ? room : n};
  }

  // Publishes exactly what was pushed; returns how many that were.
  std::uint32_t submit(Slots<T>&& slots) noexcept {
    assert(slots.ring_ == this);
    const Slots<T> taken(std::move(slots));
    if (taken.written_ == 0) return 0;
    producer_ += taken.written_;
    detail::store_release(memory_.producer, producer_);
    return taken.written_;
  }

  // The kernel asks for a system call before it goes on (XDP_USE_NEED_WAKEUP). Relaxed: a hint that is asked for again.
  bool needs_wakeup() const noexcept { return (detail::load_relaxed(memory_.flags) & XDP_RING_NEED_WAKEUP) != 0; }

  std::uint32_t size() const noexcept { return memory_.size; }

 private:
  friend class Slots<T>;
  T& entry(std::uint32_t i) noexcept { return static_cast<T*>(memory_.entries)[(producer_ + i) & mask_]; }

  RingMemory memory_;
  std::uint32_t mask_;
  std::uint32_t producer_;
  std::uint32_t cached_consumer_;
  bool lent_ = false;
};

}  // namespace xsk
