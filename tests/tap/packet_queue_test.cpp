// The reader of a TPACKET_V3 ring against a fake kernel over heap memory: no root.
#include "engine/tap/packet_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <thread>

#include "engine/base/error.h"
#include "engine/tap/packet_ring.h"
#include "tests/tap/fake_blocks.h"

namespace engine {
namespace {

using test::FakeBlocks;
using test::FakeFrame;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t kBlocks = 4;

// Addresses 00..0b, then `rest`.
Bytes frame_of(const Bytes& rest) {
  Bytes frame(12 + rest.size());
  std::iota(frame.begin(), frame.begin() + 12, std::uint8_t{0});
  std::copy(rest.begin(), rest.end(), frame.begin() + 12);
  return frame;
}

class PacketQueueTest : public ::testing::Test {
 protected:
  Bytes bytes_of(const TappedFrame& frame) {
    const auto* at = reinterpret_cast<const std::uint8_t*>(kernel_.memory().data()) + frame.offset;
    return {at, at + frame.caplen};
  }
  // The bytes of the only frame that is there.
  Bytes received(const FakeFrame& frame) {
    EXPECT_TRUE(kernel_.put(frame));
    kernel_.hand_over(0);
    const PacketBatch batch = queue_.receive(64);
    EXPECT_EQ(batch.size(), 1u);
    if (batch.empty()) return {};
    last_ = batch[0];
    return bytes_of(batch[0]);
  }

  FakeBlocks kernel_{kBlocks};
  PacketQueue queue_{kernel_.memory(), FakeBlocks::block_bytes};
  TappedFrame last_;
};

TEST_F(PacketQueueTest, GivesNothingBeforeABlockIsHandedOver) {
  EXPECT_TRUE(kernel_.put({.bytes = frame_of({8, 0})}));
  EXPECT_TRUE(queue_.receive(64).empty());
  EXPECT_TRUE(queue_.has_open_block());
  kernel_.hand_over(TP_STATUS_BLK_TMO);
  EXPECT_FALSE(queue_.has_open_block());
  EXPECT_EQ(queue_.receive(64).size(), 1u);
}

TEST_F(PacketQueueTest, TellsLengthTimeAndDirection) {
  const Bytes bytes = frame_of({8, 0, 1, 2, 3});
  EXPECT_EQ(received({.bytes = bytes, .seconds = 4'000'000'000, .nanoseconds = 999'999'999}), bytes);
  EXPECT_EQ(last_.caplen, 17u);
  EXPECT_EQ(last_.len, 17u);
  EXPECT_EQ(last_.time_ns, 4'000'000'000'999'999'999u);
  EXPECT_FALSE(last_.outgoing);
  received({.bytes = bytes, .direction = PACKET_OUTGOING});
  EXPECT_TRUE(last_.outgoing);
  received({.bytes = bytes, .direction = PACKET_OTHERHOST});
  EXPECT_FALSE(last_.outgoing);
}

TEST_F(PacketQueueTest, TellsHowLongAFrameWasThatABlockCouldNotHold) {
  received({.bytes = frame_of({8, 0}), .len = 70'000});
  EXPECT_EQ(last_.caplen, 14u);
  EXPECT_EQ(last_.len, 70'000u);
}

TEST_F(PacketQueueTest, PutsTheTagThatTheKernelRemovedBack) {
  EXPECT_EQ(received({.bytes = frame_of({8, 0, 0x45}),
                      .status = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID,
                      .tci = 0xe02a,
                      .type = 0x8100}),
            frame_of({0x81, 0, 0xe0, 0x2a, 8, 0, 0x45}));
  EXPECT_EQ(last_.caplen, 19u);
  EXPECT_EQ(last_.len, 19u);
}

TEST_F(PacketQueueTest, PutsTheOuterOfTwoTagsBack) {
  EXPECT_EQ(received({.bytes = frame_of({0x81, 0, 0, 5, 8, 0}),
                      .status = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID,
                      .tci = 7,
                      .type = 0x88a8}),
            frame_of({0x88, 0xa8, 0, 7, 0x81, 0, 0, 5, 8, 0}));
}

TEST_F(PacketQueueTest, TakesATagWithoutATypeFor8021Q) {
  EXPECT_EQ(received({.bytes = frame_of({8, 0}), .status = TP_STATUS_VLAN_VALID, .tci = 1}),
            frame_of({0x81, 0, 0, 1, 8, 0}));
}

TEST_F(PacketQueueTest, LeavesTheDirectionOfATaggedFrameInPlace) {
  received({.bytes = frame_of({8, 0}), .status = TP_STATUS_VLAN_VALID, .tci = 1, .direction = PACKET_OUTGOING});
  EXPECT_TRUE(last_.outgoing);
}

TEST_F(PacketQueueTest, KeepsABlockUntilTheLastBatchOfItIsGone) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(kernel_.put({.bytes = frame_of({8, 0})}));
  kernel_.hand_over(0);
  EXPECT_EQ(queue_.receive(2).size(), 2u);
  EXPECT_EQ(kernel_.blocks_given_back(), kBlocks - 1);
  {
    const PacketBatch last = queue_.receive(2);
    EXPECT_EQ(last.size(), 1u);
    EXPECT_EQ(kernel_.blocks_given_back(), kBlocks - 1);
  }
  EXPECT_EQ(kernel_.blocks_given_back(), kBlocks);
  EXPECT_TRUE(queue_.receive(2).empty());
}

TEST_F(PacketQueueTest, PassesOverEmptyBlocks) {
  for (std::uint32_t i = 0; i + 1 < kBlocks; ++i) kernel_.hand_over_empty();
  ASSERT_TRUE(kernel_.put({.bytes = frame_of({8, 0})}));
  kernel_.hand_over(0);
  EXPECT_EQ(queue_.receive(64).size(), 1u);
  EXPECT_EQ(kernel_.blocks_given_back(), kBlocks);
}

// Frames numbered by the kernel's thread arrive complete and in order, whatever the two sides' timing; built for
// ThreadSanitizer too.
TEST_F(PacketQueueTest, LosesAndRepeatsNothingOverManyRounds) {
  constexpr std::uint32_t frames = 20'000;
  std::thread kernel([this] {
    std::mt19937 random(1);
    for (std::uint32_t number = 0; number < frames;) {
      Bytes bytes = frame_of({8, 0});
      bytes.resize(14 + random() % 400);
      const bool tagged = random() % 4 == 0;
      if (kernel_.put({.bytes = bytes,
                       .status = tagged ? std::uint32_t{TP_STATUS_VLAN_VALID} : 0,
                       .tci = static_cast<std::uint16_t>(tagged),
                       .nanoseconds = number})) {
        ++number;
      } else {
        std::this_thread::yield();
      }
      if (random() % 8 == 0) kernel_.hand_over(TP_STATUS_BLK_TMO);
    }
    kernel_.hand_over(0);
  });
  std::uint32_t expected = 0;
  std::mt19937 random(2);
  while (expected < frames) {
    const PacketBatch batch = queue_.receive(1 + random() % 64);
    for (std::uint32_t i = 0; i < batch.size(); ++i) {
      ASSERT_EQ(batch[i].time_ns, expected++);
      const Bytes bytes = bytes_of(batch[i]);
      ASSERT_EQ(bytes[11], 11);
      ASSERT_TRUE(bytes[12] == 8 || (bytes[12] == 0x81 && bytes[16] == 8));
    }
    if (batch.empty()) std::this_thread::yield();
  }
  kernel.join();
  EXPECT_TRUE(queue_.receive(64).empty());
  EXPECT_EQ(kernel_.blocks_given_back(), kBlocks);
}

TEST(RingShape, FitsTheBudget) {
  EXPECT_EQ(ring_shape(kDefaultRing_bytes).bytes(), kDefaultRing_bytes);
  EXPECT_EQ(ring_shape((2u << 20) + 1).bytes(), 2u << 20);
  EXPECT_GE(ring_shape(kMinRing_bytes).blocks, 4u);
}

TEST(RingShape, NamesWhatIsOutOfRange) {
  for (const std::size_t bytes : {kMinRing_bytes - 1, kMaxRing_bytes + 1}) {
    try {
      ring_shape(bytes);
      ADD_FAILURE() << bytes;
    } catch (const SetupError& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_usage);
      EXPECT_NE(std::string(error.what()).find("1 MiB to 1024 MiB"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace engine
