// Packets of several frames, and queues that share a UMEM, against the fake kernel. No root.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "tests/xsk/fake_kernel.h"
#include "xsk/rx_queue.h"

namespace xsk::test {
namespace {

constexpr std::uint32_t chunk_bytes = FakeReceiver::chunk_bytes;

RxQueue make_queue(FakeReceiver& kernel) {
  return {kernel.rx().memory(), kernel.fill().memory(), kernel.umem(), chunk_bytes};
}

TEST(MultiBuffer, APacketOfSeveralFramesIsOnePacket) {
  FakeReceiver kernel(16, 16);
  RxQueue queue = make_queue(kernel);
  kernel.take(16);
  kernel.deliver(1);
  kernel.deliver(1, 3);
  kernel.deliver(1);
  {
    const RxBatch batch = queue.receive(64);
    ASSERT_EQ(batch.size(), 3U);
    EXPECT_FALSE(batch.in_single_frames());
    EXPECT_FALSE(batch[0].several_frames);
    EXPECT_TRUE(batch[1].several_frames);
    EXPECT_EQ(batch.frames(), 5U);
    EXPECT_EQ(batch[1].len, 3 * 61U);
    EXPECT_EQ(batch[2].len, 62U);
    for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(number_in(queue.umem(), batch[i]), i);
    EXPECT_EQ(kernel.frames_in_fill_ring(), 0U);
  }
  EXPECT_EQ(kernel.frames_in_fill_ring(), 5U) << "all frames came back";
  EXPECT_EQ(queue.rx_packets(), 3U);
}

TEST(MultiBuffer, GatherPutsAPacketTogetherAndKeepsToTheRoomThereIs) {
  FakeReceiver kernel(16, 16);
  RxQueue queue = make_queue(kernel);
  kernel.take(16);
  std::vector<std::byte> sent;
  for (std::uint32_t frame = 0; frame < 3; ++frame) {
    const std::uint32_t length = frame < 2 ? chunk_bytes - 256 : 100;
    const std::uint64_t address = std::uint64_t{frame} * chunk_bytes + 256;
    for (std::uint32_t i = 0; i < length; ++i) {
      sent.push_back(static_cast<std::byte>(frame * 7 + i));
      kernel.umem()[address + i] = sent.back();
    }
    kernel.deliver_raw({address, length, frame < 2 ? XDP_PKT_CONTD : 0U});
  }
  const RxBatch batch = queue.receive(64);
  ASSERT_EQ(batch.size(), 1U);
  EXPECT_EQ(batch[0].len, sent.size());
  std::vector<std::byte> whole(sent.size() + 10, std::byte{0xff});
  EXPECT_EQ(batch.gather(0, whole), sent.size());
  EXPECT_TRUE(std::equal(sent.begin(), sent.end(), whole.begin()));
  EXPECT_EQ(whole[sent.size()], std::byte{0xff});
  for (const std::size_t room :
       {std::size_t{0}, std::size_t{1}, std::size_t{1792}, std::size_t{1793}, sent.size() - 1}) {
    std::vector<std::byte> part(room);
    EXPECT_EQ(batch.gather(0, part), room);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), sent.begin())) << room;
  }
}

TEST(MultiBuffer, GatherWorksOnAPacketOfOneFrameToo) {
  FakeReceiver kernel(4, 4);
  RxQueue queue = make_queue(kernel);
  kernel.take(4);
  kernel.deliver(2);
  const RxBatch batch = queue.receive(64);
  EXPECT_TRUE(batch.in_single_frames());
  std::array<std::byte, 100> whole{};
  EXPECT_EQ(batch.gather(1, whole), 61U);
  std::uint64_t number = 0;
  std::memcpy(&number, whole.data(), sizeof number);
  EXPECT_EQ(number, 1U);
}

TEST(MultiBuffer, NoBatchEndsInsideAPacket) {
  FakeReceiver kernel(16, 16);
  RxQueue queue = make_queue(kernel);
  kernel.take(16);
  kernel.deliver(4, 3);
  for (std::uint64_t number = 0; number < 4; ++number) {
    const RxBatch batch = queue.receive(1);
    ASSERT_EQ(batch.size(), 1U);
    EXPECT_TRUE(batch[0].several_frames);
    EXPECT_EQ(batch.frames(), 3U);
    EXPECT_EQ(number_in(queue.umem(), batch[0]), number);
  }
  EXPECT_TRUE(queue.receive(1).empty());
  EXPECT_EQ(queue.rx_packets(), 4U);
}

TEST(MultiBuffer, APacketThatIsNotWholeWaitsForItsEnd) {
  FakeReceiver kernel(16, 16);
  RxQueue queue = make_queue(kernel);
  kernel.take(16);
  kernel.deliver(2);
  kernel.deliver_beginning(2);
  EXPECT_EQ(queue.receive(64).size(), 2U);
  EXPECT_TRUE(queue.receive(64).empty());
  EXPECT_EQ(kernel.rx().load_consumer(), 2U) << "it stays in the ring";
  kernel.deliver(1);  // the end, and that of nothing else
  const RxBatch batch = queue.receive(64);
  ASSERT_EQ(batch.size(), 1U);
  EXPECT_TRUE(batch[0].several_frames);
  EXPECT_EQ(batch.frames(), 3U);
  EXPECT_EQ(queue.bad_packets(), 0U);
}

TEST(MultiBuffer, ARingFullOfOnePacketIsGivenUp) {
  FakeReceiver kernel(16, 8);
  RxQueue queue = make_queue(kernel);
  kernel.take(16);
  kernel.deliver_beginning(8);
  EXPECT_TRUE(queue.receive(64).empty());
  EXPECT_EQ(queue.bad_packets(), 1U);
  kernel.deliver(1);
  EXPECT_EQ(queue.receive(64).size(), 1U) << "reception goes on";
  EXPECT_EQ(queue.rx_packets(), 2U);
}

TEST(MultiBuffer, ABadDescriptorInAPacketRetiresThatPacketAndNoOther) {
  for (std::uint32_t bad_at = 0; bad_at < 3; ++bad_at) {
    SCOPED_TRACE(bad_at);
    FakeReceiver kernel(16, 16);
    RxQueue queue = make_queue(kernel);
    kernel.take(16);
    kernel.deliver(2, 2);
    for (std::uint32_t i = 0; i < 3; ++i)
      kernel.deliver_raw({i == bad_at ? kernel.umem().size() : 8 * chunk_bytes + 256, 60, i < 2 ? XDP_PKT_CONTD : 0U});
    kernel.deliver(1, 2);
    std::vector<std::uint64_t> numbers;
    for (int round = 0; round < 3; ++round) {
      const RxBatch batch = queue.receive(64);
      for (std::uint32_t i = 0; i < batch.size(); ++i) numbers.push_back(number_in(queue.umem(), batch[i]));
    }
    EXPECT_EQ(numbers, (std::vector<std::uint64_t>{0, 1, 2}));
    EXPECT_EQ(queue.bad_packets(), 1U);
    EXPECT_EQ(queue.rx_packets(), 4U);
    EXPECT_EQ(kernel.frames_in_fill_ring(), 6U);
  }
}

TEST(MultiBuffer, MoreThanOneBatchHoldsAreHandedOutInTurns) {
  constexpr std::uint32_t frames = 1024;
  FakeReceiver kernel(frames, frames);
  RxQueue queue = make_queue(kernel);
  kernel.take(frames);
  ASSERT_EQ(kernel.deliver(512, 2), 512U);
  std::uint64_t seen = 0;
  for (;;) {
    const RxBatch batch = queue.receive(1000);
    if (batch.empty()) break;
    for (std::uint32_t i = 0; i < batch.size(); ++i) ASSERT_EQ(number_in(queue.umem(), batch[i]), seen++);
  }
  EXPECT_EQ(seen, 512U);
}

TEST(SharedUmem, AQueueFillsAndTakesOnlyFramesOfItsOwn) {
  FakeReceiver kernel(16, 16);
  RxQueue queue(kernel.rx().memory(), kernel.fill().memory(), kernel.umem(), chunk_bytes, {8, 4});
  EXPECT_EQ(kernel.frames_in_fill_ring(), 4U);
  kernel.take(16);
  kernel.deliver(4);
  {
    const RxBatch batch = queue.receive(64);
    ASSERT_EQ(batch.size(), 4U);
    for (std::uint32_t i = 0; i < 4; ++i) {
      EXPECT_EQ(batch[i].offset, (8 + i) * chunk_bytes + 256) << "counted from the start of the whole UMEM";
      EXPECT_EQ(number_in(queue.umem(), batch[i]), i);
    }
  }
  EXPECT_EQ(kernel.frames_in_fill_ring(), 4U);
  for (const std::uint64_t foreign : {0U, 8 * chunk_bytes - 1, 12 * chunk_bytes}) kernel.deliver_raw({foreign, 1, 0});
  EXPECT_TRUE(queue.receive(64).empty());
  EXPECT_EQ(queue.bad_packets(), 3U) << "a neighbour's frame is not ours to give back";
}

TEST(SharedUmem, RangesBeyondTheUmemAreRefused) {
  HeapRing<xdp_desc> rx(8);
  HeapRing<std::uint64_t> fill(64);
  std::vector<std::byte> umem(std::size_t{16} * chunk_bytes);
  const auto open = [&](FrameRange range) { RxQueue(rx.memory(), fill.memory(), umem, chunk_bytes, range); };
  EXPECT_NO_THROW(open({12, 4}));
  EXPECT_NO_THROW(open({15, 0}));
  EXPECT_THROW(open({12, 5}), engine::SetupError);
  EXPECT_THROW(open({16, 0}), engine::SetupError);
  EXPECT_THROW(open({1, 0xffff'ffffU}), engine::SetupError);
}

}  // namespace
}  // namespace xsk::test
