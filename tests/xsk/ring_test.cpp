// ConsumerRing and ProducerRing against a fake other side on the heap. No root.
#include "xsk/ring.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "tests/xsk/fake_kernel.h"

namespace xsk::test {
namespace {

// Close to the wrap of the 32-bit indexes, which no test reaches from 0.
constexpr std::uint32_t before_wrap = 0xffff'fff0U;

TEST(ProducerRing, PublishesExactlyWhatWasPushed) {
  HeapRing<std::uint64_t> heap(8);
  ProducerRing<std::uint64_t> ring(heap.memory());
  auto slots = ring.reserve(5);
  ASSERT_EQ(slots.room(), 5U);
  slots.push(11);
  slots.push(12);
  EXPECT_EQ(heap.load_producer(), 0U) << "nothing is visible before submit";
  EXPECT_EQ(ring.submit(std::move(slots)), 2U);
  EXPECT_EQ(heap.load_producer(), 2U);
  EXPECT_EQ(heap.at(0), 11U);
  EXPECT_EQ(heap.at(1), 12U);
}

TEST(ProducerRing, DroppedSlotsPublishNothingAndAreFreeAgain) {
  HeapRing<std::uint64_t> heap(4);
  ProducerRing<std::uint64_t> ring(heap.memory());
  {
    auto slots = ring.reserve(4);
    slots.push(1);
  }
  EXPECT_EQ(heap.load_producer(), 0U);
  EXPECT_EQ(ring.reserve(4).room(), 4U);
}

TEST(ProducerRing, LendsNoMoreThanIsFreeAndRefusesFurtherPushes) {
  HeapRing<std::uint64_t> heap(4);
  ProducerRing<std::uint64_t> ring(heap.memory());
  auto slots = ring.reserve(100);
  EXPECT_EQ(slots.room(), 4U);
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_TRUE(slots.push(i));
  EXPECT_FALSE(slots.push(4));
  ring.submit(std::move(slots));
  EXPECT_EQ(ring.reserve(1).room(), 0U);
  heap.store_consumer(3);
  EXPECT_EQ(ring.reserve(4).room(), 3U);
}

TEST(ProducerRing, PushesManyAtOnceAsFarAsThereIsRoomAndAcrossTheEndOfTheRing) {
  HeapRing<std::uint64_t> heap(8);
  heap.start_at(before_wrap + 13);
  ProducerRing<std::uint64_t> ring(heap.memory());
  const auto value = [](std::uint32_t i) { return std::uint64_t{100} + i; };
  auto slots = ring.reserve(6);
  slots.push(99);
  EXPECT_EQ(slots.push_n(3, value), 3U);
  EXPECT_EQ(slots.push_n(9, value), 2U);
  EXPECT_EQ(slots.push_n(1, value), 0U);
  EXPECT_EQ(ring.submit(std::move(slots)), 6U);
  const std::array<std::uint64_t, 6> expected{99, 100, 101, 102, 100, 101};
  for (std::uint32_t i = 0; i < 6; ++i) EXPECT_EQ(heap.at(before_wrap + 13 + i), expected[i]);
  auto moved_to = ring.reserve(1);
  auto last = std::move(moved_to);
  EXPECT_EQ(moved_to.push_n(1, value), 0U);  // NOLINT(bugprone-use-after-move)
}

TEST(ProducerRing, AMovedFromSlotsHasNoRoom) {
  HeapRing<std::uint64_t> heap(4);
  ProducerRing<std::uint64_t> ring(heap.memory());
  auto first = ring.reserve(2);
  auto second = std::move(first);
  EXPECT_FALSE(first.push(1));  // NOLINT(bugprone-use-after-move): what it does is the question
  EXPECT_TRUE(second.push(1));
  EXPECT_EQ(ring.submit(std::move(second)), 1U);
}

TEST(ProducerRing, ReadsTheWakeUpFlag) {
  HeapRing<std::uint64_t> heap(4);
  const ProducerRing<std::uint64_t> ring(heap.memory());
  EXPECT_FALSE(ring.needs_wakeup());
  heap.set_flags(XDP_RING_NEED_WAKEUP);
  EXPECT_TRUE(ring.needs_wakeup());
}

TEST(ProducerRingDeathTest, TwoSlotsAtATimeEndTheProcess) {
  HeapRing<std::uint64_t> heap(4);
  ProducerRing<std::uint64_t> ring(heap.memory());
  auto first = ring.reserve(1);
  EXPECT_DEATH((void)ring.reserve(1), "lent_");
}

TEST(ConsumerRing, ShowsWhatWasProducedAcrossTheEndOfTheRing) {
  HeapRing<std::uint64_t> heap(4);
  heap.start_at(before_wrap + 14);
  ConsumerRing<std::uint64_t> ring(heap.memory());
  for (std::uint32_t i = 0; i < 4; ++i) heap.at(before_wrap + 14 + i) = 100 + i;
  heap.store_producer(before_wrap + 18);  // has wrapped
  const auto entries = ring.peek(10);
  ASSERT_EQ(entries.size(), 4U);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(entries[i], 100 + i);
  ring.release(4);
  EXPECT_EQ(heap.load_consumer(), before_wrap + 18);
  EXPECT_EQ(ring.produced_total(), 4U);
}

TEST(ConsumerRing, CountsProductionBeyond32Bits) {
  HeapRing<std::uint64_t> heap(4);
  ConsumerRing<std::uint64_t> ring(heap.memory());
  std::uint64_t total = 0;
  for (int i = 0; i < 5; ++i) {
    total += 0x8000'0000U;
    heap.store_producer(static_cast<std::uint32_t>(total));
    EXPECT_EQ(ring.produced_total(), total);
  }
  EXPECT_GT(total, std::uint64_t{1} << 32);
}

TEST(Rings, CarryEveryEntryOnceAndInOrderUnderRandomSchedules) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    HeapRing<std::uint64_t> heap(1U << (random() % 8));
    heap.start_at(before_wrap + random() % 32);
    ProducerRing<std::uint64_t> producer(heap.memory());
    ConsumerRing<std::uint64_t> consumer(heap.memory());
    std::uint64_t sent = 0;
    std::uint64_t seen = 0;
    for (int step = 0; step < 500; ++step) {
      auto slots = producer.reserve(random() % 40);
      const std::uint32_t pushes = random() % 40;
      std::uint64_t next = sent;
      for (std::uint32_t i = 0; i < pushes; ++i) next += slots.push(next);
      if (random() % 8 != 0) sent += producer.submit(std::move(slots));
      const auto entries = consumer.peek(random() % 40);
      const std::uint32_t take = entries.size() == 0 ? 0 : random() % (entries.size() + 1);
      for (std::uint32_t i = 0; i < take; ++i) ASSERT_EQ(entries[i], seen++);
      consumer.release(take);
      ASSERT_LE(sent - seen, heap.size());
      ASSERT_EQ(consumer.produced_total(), sent);
    }
    EXPECT_GT(seen, 100U);
  }
}

}  // namespace
}  // namespace xsk::test
