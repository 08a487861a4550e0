// RxQueue and RxBatch against the fake kernel: frames are conserved whatever the schedule. No root.
#include "xsk/rx_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "engine/base/error.h"
#include "tests/xsk/fake_kernel.h"

namespace xsk::test {
namespace {

constexpr std::uint32_t chunk_bytes = FakeReceiver::chunk_bytes;

RxQueue make_queue(FakeReceiver& kernel) {
  return {kernel.rx().memory(), kernel.fill().memory(), kernel.umem(), chunk_bytes};
}

// Every frame of the UMEM lies in the fill ring, once.
void expect_all_frames_in_fill_ring(FakeReceiver& kernel, std::uint32_t frames) {
  ASSERT_EQ(kernel.frames_held(), 0U);
  ASSERT_EQ(kernel.frames_in_fill_ring(), frames);
  EXPECT_EQ(kernel.take(frames), frames);  // reports frames that are there twice
}

TEST(RxQueue, StartsWithEveryFrameInTheFillRing) {
  FakeReceiver kernel(16, 8);
  [[maybe_unused]] const RxQueue queue = make_queue(kernel);
  expect_all_frames_in_fill_ring(kernel, 16);
}

TEST(RxQueue, RefusesAFillRingWithLessThanTwoEntriesPerFrame) {
  HeapRing<xdp_desc> rx(8);
  HeapRing<std::uint64_t> fill(16);
  std::vector<std::byte> umem(std::size_t{9} * chunk_bytes);
  EXPECT_THROW(RxQueue(rx.memory(), fill.memory(), umem, chunk_bytes), engine::SetupError);
  const auto eight = std::span(umem).first(std::size_t{8} * chunk_bytes);
  EXPECT_NO_THROW(RxQueue(rx.memory(), fill.memory(), eight, chunk_bytes));
}

TEST(RxQueue, RefusesMemoryThatIsNoWholeNumberOfFrames) {
  HeapRing<xdp_desc> rx(8);
  HeapRing<std::uint64_t> fill(16);
  std::vector<std::byte> umem(5000);
  EXPECT_THROW(RxQueue(rx.memory(), fill.memory(), umem, chunk_bytes), engine::SetupError);
  EXPECT_THROW(RxQueue(rx.memory(), fill.memory(), std::span<std::byte>(), chunk_bytes), engine::SetupError);
  EXPECT_THROW(RxQueue(rx.memory(), fill.memory(), std::span(umem).first(4500), 1500), engine::SetupError);
}

TEST(RxQueue, ReceivesNothingFromAnEmptyRing) {
  FakeReceiver kernel(16, 8);
  RxQueue queue = make_queue(kernel);
  EXPECT_TRUE(queue.receive(64).empty());
  kernel.take(1);
  kernel.deliver(1);
  EXPECT_TRUE(queue.receive(0).empty());
}

TEST(RxBatch, HoldsItsFramesUntilItIsDestroyed) {
  FakeReceiver kernel(16, 8);
  RxQueue queue = make_queue(kernel);
  kernel.take(16);
  kernel.deliver(3);
  {
    const RxBatch batch = queue.receive(64);
    ASSERT_EQ(batch.size(), 3U);
    for (std::uint32_t i = 0; i < 3; ++i) {
      EXPECT_EQ(number_in(queue.umem(), batch[i]), i);
      EXPECT_EQ(batch[i].len, 60 + i);
      EXPECT_FALSE(batch[i].several_frames);
    }
    EXPECT_EQ(kernel.frames_in_fill_ring(), 0U);
    EXPECT_EQ(kernel.rx().load_consumer(), 0U) << "descriptors are read in place: they are not the kernel's yet";
  }
  EXPECT_EQ(kernel.frames_in_fill_ring(), 3U);
  EXPECT_EQ(kernel.rx().load_consumer(), 3U);
}

TEST(RxBatch, MovesItsFramesAlongAndReturnsThemOnce) {
  FakeReceiver kernel(16, 8);
  RxQueue queue = make_queue(kernel);
  kernel.take(16);
  kernel.deliver(2);
  {
    RxBatch first = queue.receive(64);
    {
      const RxBatch second(std::move(first));
      EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): what it holds is the question
      EXPECT_EQ(second.size(), 2U);
      EXPECT_EQ(kernel.frames_in_fill_ring(), 0U);
    }
    EXPECT_EQ(kernel.frames_in_fill_ring(), 2U);
  }
  EXPECT_EQ(kernel.frames_in_fill_ring(), 2U);
}

TEST(RxBatchDeathTest, ASecondBatchBesideALivingOneEndsTheProcess) {
  FakeReceiver kernel(16, 8);
  RxQueue queue = make_queue(kernel);
  kernel.take(16);
  kernel.deliver(2);
  const RxBatch batch = queue.receive(1);
  EXPECT_DEATH((void)queue.receive(1), "lent_");
}

TEST(RxQueue, HasRoomForEveryFrameThoughTheKernelPublishesItsIndexLate) {
  constexpr std::uint32_t frames = 64;
  FakeReceiver kernel(frames, frames);
  RxQueue queue = make_queue(kernel);
  for (int round = 0; round < 100; ++round) {
    ASSERT_EQ(kernel.take(frames), frames);
    ASSERT_EQ(kernel.deliver(frames), frames);
    // The packets are out, the fill ring still looks full.
    ASSERT_EQ(queue.receive(frames).size(), frames);
    kernel.publish_taken();
  }
  expect_all_frames_in_fill_ring(kernel, frames);
}

TEST(RxQueue, CountsBadPacketsAndHandsOutTheGoodOnesAroundThem) {
  FakeReceiver kernel(16, 16);
  RxQueue queue = make_queue(kernel);
  kernel.take(16);
  kernel.deliver(2);
  const std::uint64_t umem_bytes = kernel.umem().size();
  for (const xdp_desc& bad : {xdp_desc{umem_bytes, 60, 0}, xdp_desc{~0ULL, 60, 0}, xdp_desc{256, chunk_bytes - 255, 0},
                              xdp_desc{umem_bytes - 10, 11, 0}, xdp_desc{0, 0xffff'ffffU, 0}})
    kernel.deliver_raw(bad);
  kernel.deliver(1);
  std::vector<std::uint64_t> numbers;
  for (int i = 0; i < 4; ++i) {
    const RxBatch batch = queue.receive(64);
    for (std::uint32_t k = 0; k < batch.size(); ++k) numbers.push_back(number_in(queue.umem(), batch[k]));
  }
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_EQ(queue.bad_packets(), 5U);
  EXPECT_EQ(queue.rx_packets(), 8U) << "the kernel's index counts them too";
}

TEST(RxQueue, TakesADescriptorThatFillsItsFrameExactly) {
  FakeReceiver kernel(4, 4);
  RxQueue queue = make_queue(kernel);
  kernel.take(4);
  kernel.deliver_raw({3 * chunk_bytes + 256, chunk_bytes - 256, 0});
  EXPECT_EQ(queue.receive(4).size(), 1U);
  EXPECT_EQ(queue.bad_packets(), 0U);
}

TEST(RxQueue, CountsPacketsThatWereNotYetRead) {
  FakeReceiver kernel(16, 8);
  RxQueue queue = make_queue(kernel);
  kernel.take(8);
  kernel.deliver(8);
  EXPECT_EQ(queue.rx_packets(), 8U);
  EXPECT_EQ(queue.receive(3).size(), 3U);
  EXPECT_EQ(queue.rx_packets(), 8U);
}

// A kernel and a user that take turns at random.
class Schedule {
 public:
  explicit Schedule(std::uint32_t seed)
      : random_(seed),
        frames_(1 + random_() % 100),
        rx_entries_(1U << (random_() % 8)),
        multi_buffer_(random_() % 2 == 0),
        kernel_(frames_, rx_entries_, 0xffff'ff00U + random_() % 512),
        queue_(kernel_.rx().memory(), kernel_.fill().memory(), kernel_.umem(), chunk_bytes) {}

  void run() {
    for (int step = 0; step < 1000; ++step) {
      switch (random_() % 4) {
        case 0:
          kernel_.take(random_() % 64);
          break;
        case 1:
          deliver(random_() % 64);
          break;
        case 2:
          kernel_.publish_taken();
          break;
        default:
          read(random_() % 64, true);
          break;
      }
    }
    // Each round delivers what is held as far as the RX ring has room, and reads it.
    for (std::uint32_t round = 0; round < 2 * frames_ + 2; ++round) {
      kernel_.deliver(frames_);
      read(256, false);
    }
    ASSERT_EQ(seen_, kernel_.delivered());
    EXPECT_EQ(queue_.rx_packets(), kernel_.delivered());
    EXPECT_EQ(queue_.bad_packets(), 0U);
    expect_all_frames_in_fill_ring(kernel_, frames_);
  }

 private:
  void read(std::uint32_t max, bool kernel_goes_on) {
    const RxBatch batch = queue_.receive(max);
    ASSERT_LE(batch.size(), max);
    if (kernel_goes_on) {
      kernel_.take(random_() % 16);
      deliver(random_() % 16);
    }
    for (std::uint32_t i = 0; i < batch.size(); ++i) {
      ASSERT_EQ(number_in(queue_.umem(), batch[i]), seen_);
      ASSERT_EQ(batch[i].len % (60 + seen_ % 1000), 0U);
      ASSERT_EQ(batch[i].several_frames, batch[i].len > 60 + seen_ % 1000);
      ++seen_;
    }
  }
  void deliver(std::uint32_t packets) { kernel_.deliver(packets, multi_buffer_ ? 1 + random_() % 6 : 1); }

  std::mt19937 random_;
  std::uint32_t frames_;
  std::uint32_t rx_entries_;
  bool multi_buffer_;
  FakeReceiver kernel_;
  RxQueue queue_;
  std::uint64_t seen_ = 0;
};

TEST(RxQueue, ConservesFramesUnderRandomSchedules) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Schedule(seed).run();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace xsk::test
