// ForwardQueue against a kernel over heap memory: frames go round without a copy, and none is lost, doubled or mixed
// up.
#include "xsk/forward_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>
#include <vector>

#include "tests/xsk/fake_kernel.h"

namespace xsk::test {
namespace {

constexpr std::uint32_t chunk_bytes = 2048;
constexpr std::uint32_t headroom_bytes = 256;

// One socket's rings, and what the kernel holds of it.
struct Side {
  explicit Side(std::uint32_t frames, std::uint32_t tx_entries)
      : rx(std::bit_ceil(frames)), fill(std::bit_ceil(2 * frames)), tx(tx_entries), completion(std::bit_ceil(frames)) {}

  HeapRing<xdp_desc> rx;
  HeapRing<std::uint64_t> fill;
  HeapRing<xdp_desc> tx;
  HeapRing<std::uint64_t> completion;
  std::deque<std::uint64_t> sending;

  // Takes a frame from the fill ring and delivers a packet in it; false if there is none.
  bool deliver(std::uint32_t length_bytes = 60) {
    const std::uint32_t at = fill.load_consumer();
    if (at == fill.load_producer() || rx.load_producer() - rx.load_consumer() == rx.size()) return false;
    const std::uint64_t address = fill.at(at);
    EXPECT_EQ(address % chunk_bytes, 0U);
    fill.store_consumer(at + 1);
    rx.at(rx.load_producer()) = {address + headroom_bytes, length_bytes, 0};
    rx.store_producer(rx.load_producer() + 1);
    return true;
  }
  std::uint32_t take(std::uint32_t max) {
    std::uint32_t count = 0;
    for (std::uint32_t at = tx.load_consumer(); count < max && at != tx.load_producer(); ++count) {
      sending.push_back(tx.at(at++).addr);
      tx.store_consumer(at);
    }
    return count;
  }
  std::uint32_t complete(std::uint32_t max) {
    std::uint32_t count = 0;
    for (; count < max && !sending.empty(); ++count) {
      complete_address(sending.front());
      sending.pop_front();
    }
    return count;
  }
  void complete_address(std::uint64_t address) {
    completion.at(completion.load_producer()) = address;
    completion.store_producer(completion.load_producer() + 1);
  }
};

struct Pair {
  explicit Pair(std::uint32_t frames, std::uint32_t tx_entries = 8)
      : umem(std::size_t{2} * frames * chunk_bytes),
        left(frames, tx_entries),
        right(frames, tx_entries),
        a(left.rx.memory(), left.fill.memory(), left.tx.memory(), left.completion.memory(), umem, chunk_bytes,
          {0, frames}),
        b(right.rx.memory(), right.fill.memory(), right.tx.memory(), right.completion.memory(), umem, chunk_bytes,
          {frames, frames}) {}

  std::vector<std::byte> umem;
  Side left, right;
  ForwardQueue a, b;
};

constexpr auto untouched = [](std::span<std::byte>) {};

TEST(ForwardQueue, AFrameGoesFromRingToRingAndComesBack) {
  Pair pair(4);
  ASSERT_TRUE(pair.left.deliver(77));
  const std::uint64_t address = pair.left.rx.at(0).addr;
  pair.umem[address] = std::byte{1};
  const auto moved = pair.a.move_to(pair.b, 64, [](std::span<std::byte> packet) {
    EXPECT_EQ(packet.size(), 77U);
    packet[0] = std::byte{2};
  });
  EXPECT_EQ(moved.packets, 1U);
  EXPECT_EQ(moved.forwarded, 1U);
  EXPECT_EQ(pair.right.tx.at(0).addr, address) << "the frame itself, not a copy";
  EXPECT_EQ(pair.right.tx.at(0).len, 77U);
  EXPECT_EQ(pair.umem[address], std::byte{2});
  EXPECT_EQ(pair.a.reclaim_from(pair.b), 0U) << "it is not sent yet";
  ASSERT_EQ(pair.right.take(8), 1U);
  ASSERT_EQ(pair.right.complete(8), 1U);
  EXPECT_EQ(pair.a.in_flight(), 1U);
  EXPECT_EQ(pair.a.reclaim_from(pair.b), 1U);
  EXPECT_EQ(pair.a.in_flight(), 0U);
  EXPECT_EQ(pair.left.fill.at(4), address - headroom_bytes) << "behind the four of the beginning, by its base";
  EXPECT_EQ(pair.left.fill.load_producer(), 5U);
}

TEST(ForwardQueue, WhatTheOtherHasNoRoomForIsDroppedAndItsFramesStay) {
  Pair pair(8, 2);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(pair.left.deliver());
  const auto moved = pair.a.move_to(pair.b, 64, untouched);
  EXPECT_EQ(moved.packets, 5U);
  EXPECT_EQ(moved.forwarded, 2U);
  EXPECT_EQ(pair.a.dropped(), 3U);
  EXPECT_EQ(pair.left.fill.load_producer(), 8U + 3U);
  EXPECT_EQ(pair.a.rx_packets(), pair.a.forwarded() + pair.a.dropped());
}

TEST(ForwardQueue, TakesNoMoreThanItIsAskedFor) {
  Pair pair(8);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(pair.left.deliver());
  EXPECT_EQ(pair.a.move_to(pair.b, 2, untouched).packets, 2U);
  EXPECT_EQ(pair.a.move_to(pair.b, 64, untouched).packets, 3U);
  EXPECT_EQ(pair.a.move_to(pair.b, 64, untouched).packets, 0U);
}

TEST(ForwardQueue, WrongDescriptorsAreCountedAndNotForwarded) {
  Pair pair(4);
  for (const xdp_desc& wrong : {xdp_desc{4 * chunk_bytes, 60, 0},                // the neighbour's frame
                                xdp_desc{chunk_bytes - 10, 60, 0},               // across two
                                xdp_desc{headroom_bytes, 60, XDP_PKT_CONTD}}) {  // not all of a packet
    pair.left.rx.at(pair.left.rx.load_producer()) = wrong;
    pair.left.rx.store_producer(pair.left.rx.load_producer() + 1);
  }
  const auto moved = pair.a.move_to(pair.b, 64, [](std::span<std::byte>) { FAIL() << "nothing to edit"; });
  EXPECT_EQ(moved.packets, 3U);
  EXPECT_EQ(moved.forwarded, 0U);
  EXPECT_EQ(pair.a.bad_packets(), 3U);
  EXPECT_EQ(pair.left.fill.load_producer(), 4U) << "what came so is not given back";
}

TEST(ForwardQueue, WrongCompletionsAreCountedAndNotBelieved) {
  Pair pair(4);
  ASSERT_TRUE(pair.left.deliver());
  const std::uint64_t address = pair.left.rx.at(0).addr;
  pair.a.move_to(pair.b, 64, untouched);
  for (const std::uint64_t wrong : {std::uint64_t{5 * chunk_bytes}, std::uint64_t{3 * chunk_bytes}, ~std::uint64_t{0}})
    pair.right.complete_address(wrong);
  EXPECT_EQ(pair.a.reclaim_from(pair.b), 0U);
  EXPECT_EQ(pair.a.bad_completions(), 3U);
  for (int i = 0; i < 2; ++i) pair.right.complete_address(address);  // twice
  EXPECT_EQ(pair.a.reclaim_from(pair.b), 1U);
  EXPECT_EQ(pair.a.bad_completions(), 4U);
}

TEST(ForwardQueue, MayBeItsOwnOther) {
  Pair pair(4);
  ASSERT_TRUE(pair.left.deliver());
  EXPECT_EQ(pair.a.move_to(pair.a, 64, untouched).forwarded, 1U);
  ASSERT_EQ(pair.left.take(8), 1U);
  ASSERT_EQ(pair.left.complete(8), 1U);
  EXPECT_EQ(pair.a.reclaim_from(pair.a), 1U);
}

TEST(ForwardQueue, InsistsOnRoomInTheFillRing) {
  Side side(4, 8);
  HeapRing<std::uint64_t> small(4);
  std::vector<std::byte> umem(4 * chunk_bytes);
  EXPECT_THROW(
      ForwardQueue(side.rx.memory(), small.memory(), side.tx.memory(), side.completion.memory(), umem, chunk_bytes),
      engine::SetupError);
}

// Both directions at once, at random: no frame is ever in two places, and each comes back to its own side.
TEST(ForwardQueue, FramesAreConservedInBothDirections) {
  constexpr std::uint32_t frames = 16;
  Pair pair(frames);
  std::mt19937 random(1);
  std::uint64_t delivered = 0;
  for (int step = 0; step < 100'000; ++step) {
    Side& side = random() % 2 == 0 ? pair.left : pair.right;
    ForwardQueue& from = &side == &pair.left ? pair.a : pair.b;
    ForwardQueue& to = &side == &pair.left ? pair.b : pair.a;
    switch (random() % 5) {
      case 0:
        delivered += side.deliver();
        break;
      case 1:
        from.move_to(to, 1 + random() % 8, untouched);
        break;
      case 2:
        side.take(random() % 8);
        break;
      case 3:
        side.complete(random() % 8);
        break;
      default:
        from.reclaim_from(to);
    }
    ASSERT_LE(side.fill.load_producer() - side.fill.load_consumer(), frames);
  }
  EXPECT_GT(delivered, 10'000U);
  for (int i = 0; i < 100; ++i) {
    pair.a.move_to(pair.b, 64, untouched);
    pair.b.move_to(pair.a, 64, untouched);
    for (Side* side : {&pair.left, &pair.right}) {
      side->take(64);
      side->complete(64);
    }
    pair.a.reclaim_from(pair.b);
    pair.b.reclaim_from(pair.a);
  }
  std::uint64_t accounted = 0;
  for (ForwardQueue* queue : {&pair.a, &pair.b}) {
    EXPECT_EQ(queue->in_flight(), 0U);
    EXPECT_EQ(queue->bad_packets() + queue->bad_completions(), 0U);
    EXPECT_EQ(queue->rx_packets(), queue->forwarded() + queue->dropped());
    accounted += queue->forwarded() + queue->dropped();
  }
  EXPECT_EQ(accounted, delivered);
  for (Side* side : {&pair.left, &pair.right}) {
    std::set<std::uint64_t> home;
    for (std::uint32_t at = side->fill.load_consumer(); at != side->fill.load_producer(); ++at)
      home.insert(side->fill.at(at));
    EXPECT_EQ(home.size(), frames) << "each frame once";
    EXPECT_EQ(*home.begin(), side == &pair.left ? 0U : frames * chunk_bytes);
  }
}

}  // namespace
}  // namespace xsk::test
