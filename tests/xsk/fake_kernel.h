// The kernel's side of the four rings, over heap memory: what net/xdp does, as far as user space can see it.
//
// Like the kernel it takes fill and TX entries by a private index and publishes that index later: for the fill ring at
// the end of a flush, when the packets have been visible for a while already (xsk_flush in net/xdp/xsk.c), so at the
// latest before it takes the next frame after a delivery. It knows where every frame is and reports what a correct user
// could not do.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "xsk/rx_queue.h"
#include "xsk/tx_queue.h"

namespace xsk::test {

template <typename T>
class HeapRing {
 public:
  explicit HeapRing(std::uint32_t size) : entries_(size) {}
  RingMemory memory() noexcept { return {&producer_, &consumer_, &flags_, entries_.data(), size()}; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(entries_.size()); }
  T& at(std::uint32_t position) noexcept { return entries_[position & (size() - 1)]; }

  std::uint32_t load_producer() noexcept { return std::atomic_ref(producer_).load(std::memory_order_acquire); }
  std::uint32_t load_consumer() noexcept { return std::atomic_ref(consumer_).load(std::memory_order_acquire); }
  void store_producer(std::uint32_t v) noexcept { std::atomic_ref(producer_).store(v, std::memory_order_release); }
  void store_consumer(std::uint32_t v) noexcept { std::atomic_ref(consumer_).store(v, std::memory_order_release); }
  void set_flags(std::uint32_t v) noexcept { std::atomic_ref(flags_).store(v, std::memory_order_relaxed); }

  // Before anything is attached to the ring: lets both indexes start close to their 32-bit wrap.
  void start_at(std::uint32_t index) noexcept { producer_ = consumer_ = index; }

 private:
  alignas(64) std::uint32_t producer_ = 0;
  alignas(64) std::uint32_t consumer_ = 0;
  alignas(64) std::uint32_t flags_ = 0;
  std::vector<T> entries_;
};

// Receives packets that carry a 64-bit number, counted from 0.
class FakeReceiver {
 public:
  static constexpr std::uint32_t chunk_bytes = 2048;
  static constexpr std::uint32_t headroom_bytes = 256;

  FakeReceiver(std::uint32_t frames, std::uint32_t rx_entries, std::uint32_t first_index = 0)
      : rx_(rx_entries), fill_(std::bit_ceil(2 * frames)), umem_(std::size_t{frames} * chunk_bytes), held_(frames) {
    rx_.start_at(first_index);
    fill_.start_at(first_index);
    taken_ = rx_produced_ = first_index;
  }

  HeapRing<xdp_desc>& rx() noexcept { return rx_; }
  HeapRing<std::uint64_t>& fill() noexcept { return fill_; }
  std::span<std::byte> umem() noexcept { return umem_; }

  // Takes up to n frames from the fill ring, without publishing that.
  std::uint32_t take(std::uint32_t n) {
    if (flushing_) publish_taken();
    const std::uint32_t there = fill_.load_producer() - taken_;
    EXPECT_LE(there, held_.size()) << "more entries in the fill ring than there are frames";
    const std::uint32_t count = std::min(n, there);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t address = fill_.at(taken_++);
      EXPECT_EQ(address % chunk_bytes, 0U);
      EXPECT_FALSE(held_.at(address / chunk_bytes)) << "a frame was given twice";
      held_.at(address / chunk_bytes) = true;
      ready_.push_back(address);
    }
    return count;
  }
  void publish_taken() noexcept {
    fill_.store_consumer(taken_);
    flushing_ = false;
  }

  // Delivers up to n packets of so many frames each, as far as there are frames and room in the RX ring: whole packets
  // only, as the kernel.
  std::uint32_t deliver(std::uint32_t n, std::uint32_t frames_each = 1) {
    std::uint32_t count = 0;
    while (count < n && ready_.size() >= frames_each && rx_room() >= frames_each) {
      for (std::uint32_t i = 1; i <= frames_each; ++i) put_frame(i < frames_each ? XDP_PKT_CONTD : 0);
      ++next_number_;
      ++count;
    }
    rx_.store_producer(rx_produced_);
    flushing_ = flushing_ || count != 0;
    return count;
  }

  // In the headroom of the frame that is delivered next.
  void write_before_next_frame(std::span<const std::byte> bytes) {
    std::memcpy(umem_.data() + ready_.front() + headroom_bytes - bytes.size(), bytes.data(), bytes.size());
  }

  // The beginning of a packet whose end is not there: what the kernel does not do.
  void deliver_beginning(std::uint32_t frames) {
    for (std::uint32_t i = 0; i < frames; ++i) put_frame(XDP_PKT_CONTD);
    rx_.store_producer(rx_produced_);
  }

  // Puts a descriptor as it stands into the RX ring.
  void deliver_raw(const xdp_desc& descriptor) {
    put(descriptor);
    rx_.store_producer(rx_produced_);
  }

  std::uint64_t delivered() const noexcept { return next_number_; }
  std::size_t frames_held() const noexcept { return ready_.size(); }
  std::uint32_t frames_in_fill_ring() noexcept { return fill_.load_producer() - taken_; }

 private:
  // Each frame of a packet carries its number.
  void put_frame(std::uint32_t options) {
    const std::uint64_t address = ready_.front();
    ready_.pop_front();
    held_.at(address / chunk_bytes) = false;
    std::memcpy(umem_.data() + address + headroom_bytes, &next_number_, sizeof next_number_);
    put({address + headroom_bytes, 60 + static_cast<std::uint32_t>(next_number_ % 1000), options});
  }
  std::uint32_t rx_room() noexcept { return rx_.size() - (rx_produced_ - rx_.load_consumer()); }
  void put(const xdp_desc& descriptor) noexcept { rx_.at(rx_produced_++) = descriptor; }

  HeapRing<xdp_desc> rx_;
  HeapRing<std::uint64_t> fill_;
  std::vector<std::byte> umem_;
  std::vector<bool> held_;
  std::deque<std::uint64_t> ready_;
  std::uint32_t taken_ = 0;
  std::uint32_t rx_produced_ = 0;
  bool flushing_ = false;  // packets are visible, the fill ring's index is not yet published
  std::uint64_t next_number_ = 0;
};

inline std::uint64_t number_in(std::span<const std::byte> umem, const ReceivedPacket& packet) noexcept {
  std::uint64_t number = 0;
  std::memcpy(&number, umem.data() + packet.offset, sizeof number);
  return number;
}

// Sends packets and completes them, in any order the caller likes.
class FakeSender {
 public:
  static constexpr std::uint32_t chunk_bytes = 2048;

  FakeSender(std::uint32_t frames, std::uint32_t tx_entries, std::uint32_t first_index = 0)
      : tx_(tx_entries), completion_(std::bit_ceil(frames)), umem_(std::size_t{frames} * chunk_bytes) {
    tx_.start_at(first_index);
    completion_.start_at(first_index);
    taken_ = completed_ = first_index;
  }

  HeapRing<xdp_desc>& tx() noexcept { return tx_; }
  HeapRing<std::uint64_t>& completion() noexcept { return completion_; }
  std::span<std::byte> umem() noexcept { return umem_; }

  std::uint32_t take(std::uint32_t n) {
    const std::uint32_t count = std::min(n, tx_.load_producer() - taken_);
    for (std::uint32_t i = 0; i < count; ++i) in_flight_.push_back(tx_.at(taken_++));
    return count;
  }
  void publish_taken() noexcept { tx_.store_consumer(taken_); }

  std::deque<xdp_desc>& in_flight() noexcept { return in_flight_; }

  // Completes the packet at place `i` of in_flight().
  void complete(std::size_t i) {
    complete_raw(in_flight_.at(i).addr);
    in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  void complete_raw(std::uint64_t address) {
    EXPECT_LT(completed_ - completion_.load_consumer(), completion_.size());
    completion_.at(completed_++) = address;
    completion_.store_producer(completed_);
  }

 private:
  HeapRing<xdp_desc> tx_;
  HeapRing<std::uint64_t> completion_;
  std::vector<std::byte> umem_;
  std::deque<xdp_desc> in_flight_;
  std::uint32_t taken_ = 0;
  std::uint32_t completed_ = 0;
};

}  // namespace xsk::test
