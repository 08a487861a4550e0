// TxQueue, TxBatch and FramePool against the fake kernel: a frame is free, being written or in flight. No root.
#include "xsk/tx_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "engine/base/error.h"
#include "tests/xsk/fake_kernel.h"

namespace xsk::test {
namespace {

constexpr std::uint32_t chunk_bytes = FakeSender::chunk_bytes;

TxQueue make_queue(FakeSender& kernel, std::uint32_t frames) {
  return {kernel.tx().memory(), kernel.completion().memory(), kernel.umem(), chunk_bytes, {0, frames}};
}

std::uint32_t send(TxQueue& queue, std::uint32_t n, std::uint32_t length_bytes = 60) {
  TxBatch batch = queue.reserve(n);
  while (batch.push(length_bytes)) {
  }
  return queue.submit(std::move(batch));
}

TEST(TxQueue, SubmitsExactlyWhatWasPushed) {
  FakeSender kernel(8, 8);
  TxQueue queue = make_queue(kernel, 8);
  TxBatch batch = queue.reserve(5);
  EXPECT_EQ(batch.room(), 5U);
  for (std::uint32_t i = 0; i < 3; ++i) {
    const std::span<std::byte> buffer = batch.buffer();
    ASSERT_EQ(buffer.size(), chunk_bytes);
    buffer[0] = static_cast<std::byte>('a' + i);
    ASSERT_TRUE(batch.push(60 + i));
  }
  EXPECT_EQ(kernel.take(8), 0U) << "nothing is visible before submit";
  EXPECT_EQ(queue.submit(std::move(batch)), 3U);
  ASSERT_EQ(kernel.take(8), 3U);
  for (std::uint32_t i = 0; i < 3; ++i) {
    const xdp_desc sent = kernel.in_flight()[i];
    EXPECT_EQ(sent.len, 60 + i);
    EXPECT_EQ(sent.options, 0U);
    EXPECT_EQ(kernel.umem()[sent.addr], static_cast<std::byte>('a' + i));
  }
  EXPECT_EQ(queue.pool().free(), 5U);
  EXPECT_EQ(queue.in_flight(), 3U);
}

TEST(TxQueue, RefusesALengthBeyondTheFrame) {
  FakeSender kernel(2, 2);
  TxQueue queue = make_queue(kernel, 2);
  TxBatch batch = queue.reserve(1);
  EXPECT_FALSE(batch.push(chunk_bytes + 1));
  EXPECT_TRUE(batch.push(chunk_bytes));
  EXPECT_FALSE(batch.push(60)) << "one was reserved";
  EXPECT_TRUE(batch.buffer().empty());
}

TEST(TxQueue, ADroppedBatchFreesItsFrames) {
  FakeSender kernel(8, 8);
  TxQueue queue = make_queue(kernel, 8);
  {
    TxBatch batch = queue.reserve(8);
    batch.push(60);
    batch.push(60);
    EXPECT_EQ(queue.pool().free(), 6U);
  }
  EXPECT_EQ(queue.pool().free(), 8U);
  EXPECT_EQ(kernel.take(8), 0U);
  EXPECT_EQ(send(queue, 8), 8U);
}

TEST(TxQueue, AMovedFromBatchSendsNothing) {
  FakeSender kernel(4, 4);
  TxQueue queue = make_queue(kernel, 4);
  TxBatch first = queue.reserve(2);
  TxBatch second = std::move(first);
  EXPECT_FALSE(first.push(60));  // NOLINT(bugprone-use-after-move): what it does is the question
  EXPECT_TRUE(first.buffer().empty());
  EXPECT_TRUE(second.push(60));
  EXPECT_EQ(queue.submit(std::move(second)), 1U);
  EXPECT_FALSE(second.push(60));  // NOLINT(bugprone-use-after-move)
}

TEST(TxQueue, ReservesNoMoreThanFreeFramesAndRingHaveRoomFor) {
  FakeSender kernel(8, 4);
  TxQueue queue = make_queue(kernel, 8);
  EXPECT_EQ(send(queue, 100), 4U) << "the TX ring's size";
  kernel.take(4);
  EXPECT_EQ(send(queue, 100), 0U) << "taken, but not yet said so";
  kernel.publish_taken();
  EXPECT_EQ(send(queue, 100), 4U);
  kernel.take(4);
  kernel.publish_taken();
  EXPECT_EQ(send(queue, 100), 0U) << "all frames are in flight";
}

TEST(TxQueue, FreesWhatIsCompletedInWhateverOrder) {
  FakeSender kernel(4, 4);
  TxQueue queue = make_queue(kernel, 4);
  send(queue, 4);
  kernel.take(4);
  kernel.complete(2);
  kernel.complete(0);
  EXPECT_EQ(queue.drain_completions(), 2U);
  EXPECT_EQ(queue.completed(), 2U);
  EXPECT_EQ(queue.in_flight(), 2U);
  EXPECT_EQ(queue.pool().free(), 2U);
}

TEST(TxQueue, CountsCompletionsThatNameAWrongFrame) {
  FakeSender kernel(4, 4);
  TxQueue queue = make_queue(kernel, 4);
  send(queue, 1);
  kernel.take(1);
  const std::uint64_t address = kernel.in_flight()[0].addr;
  kernel.complete(0);
  kernel.complete_raw(address);               // the same one again
  kernel.complete_raw(kernel.umem().size());  // beyond the UMEM
  EXPECT_EQ(queue.drain_completions(), 1U);
  EXPECT_EQ(queue.bad_completions(), 2U);
  EXPECT_EQ(queue.pool().free(), 4U);
}

TEST(TxQueue, CountsACompletionOfAFrameThatIsStillBeingWritten) {
  FakeSender kernel(4, 4);
  TxQueue queue = make_queue(kernel, 4);
  TxBatch batch = queue.reserve(1);
  const auto address = static_cast<std::uint64_t>(batch.buffer().data() - kernel.umem().data());
  batch.push(60);
  kernel.complete_raw(address);
  EXPECT_EQ(queue.drain_completions(), 0U);
  EXPECT_EQ(queue.bad_completions(), 1U);
  EXPECT_EQ(queue.pool().free(), 3U);
}

TEST(TxQueue, SendsOnlyFromItsShareOfTheUmem) {
  FakeSender kernel(8, 8);
  TxQueue queue(kernel.tx().memory(), kernel.completion().memory(), kernel.umem(), chunk_bytes, {5, 3});
  EXPECT_EQ(send(queue, 8), 3U);
  kernel.take(8);
  for (const xdp_desc& sent : kernel.in_flight()) EXPECT_GE(sent.addr, 5 * chunk_bytes);
  kernel.complete_raw(0);  // a receiving frame
  EXPECT_EQ(queue.drain_completions(), 0U);
  EXPECT_EQ(queue.bad_completions(), 1U);
}

TEST(TxQueue, RefusesMoreFramesThanTheCompletionRingOrTheUmemHas) {
  FakeSender kernel(8, 8);
  EXPECT_THROW(TxQueue(kernel.tx().memory(), kernel.completion().memory(), kernel.umem(), chunk_bytes, {1, 8}),
               engine::SetupError);
  HeapRing<std::uint64_t> small(4);
  EXPECT_THROW(TxQueue(kernel.tx().memory(), small.memory(), kernel.umem(), chunk_bytes), engine::SetupError);
}

TEST(TxQueue, ConservesFramesUnderRandomSchedules) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const std::uint32_t frames = 1 + random() % 100;
    FakeSender kernel(frames, 1U << (random() % 7), 0xffff'ffe0U + random() % 64);
    TxQueue queue = make_queue(kernel, frames);
    std::uint64_t sent = 0;
    for (int step = 0; step < 1000; ++step) {
      switch (random() % 5) {
        case 0:
          sent += send(queue, random() % 40);
          break;
        case 1: {
          TxBatch dropped = queue.reserve(random() % 40);
          for (std::uint32_t i = random() % 40; i > 0; --i) dropped.push(60);
          break;
        }
        case 2:
          kernel.take(random() % 40);
          break;
        case 3:
          kernel.publish_taken();
          break;
        default:
          for (std::uint32_t i = random() % 40; i > 0 && !kernel.in_flight().empty(); --i)
            kernel.complete(random() % kernel.in_flight().size());
          queue.drain_completions();
      }
      std::set<std::uint64_t> addresses;
      for (const xdp_desc& one : kernel.in_flight()) ASSERT_TRUE(addresses.insert(one.addr).second) << "sent twice";
      ASSERT_EQ(queue.pool().free() + queue.in_flight(), frames);
    }
    kernel.take(frames);
    while (!kernel.in_flight().empty()) kernel.complete(0);
    queue.drain_completions();
    EXPECT_EQ(queue.pool().free(), frames);
    EXPECT_EQ(queue.completed(), sent);
    EXPECT_EQ(queue.bad_completions(), 0U);
    EXPECT_GT(sent, 10U);
  }
}

}  // namespace
}  // namespace xsk::test
