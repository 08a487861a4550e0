// Modes, sizes and explanations: pure functions. No root.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "engine/base/error.h"
#include "xsk/explain.h"
#include "xsk/mode.h"
#include "xsk/sizes.h"

namespace xsk::test {
namespace {

using engine::ExitCode;
using engine::SetupError;

void expect_words(const SetupError& error, std::initializer_list<const char*> words) {
  for (const char* word : words) EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
}

TEST(Mode, ReadsAndPrintsEveryName) {
  for (const char* name : {"auto", "zerocopy", "copy", "skb", "afpacket"}) {
    const auto mode = parse_mode(name);
    ASSERT_TRUE(mode) << name;
    EXPECT_EQ(to_string(*mode), name);
  }
  EXPECT_FALSE(parse_mode("native"));
  EXPECT_FALSE(parse_mode(""));
}

TEST(Mode, ObtainedFollowsFromAttachmentAndSocketTogether) {
  EXPECT_EQ(obtained_mode(false, true), ObtainedMode::zerocopy);
  EXPECT_EQ(obtained_mode(false, false), ObtainedMode::copy);
  EXPECT_EQ(obtained_mode(true, false), ObtainedMode::skb);
  EXPECT_EQ(obtained_mode(true, true), ObtainedMode::skb) << "the program sees skbs, whatever the socket could do";
  EXPECT_EQ(to_string(ObtainedMode::skb), "skb");
  EXPECT_EQ(to_string(ObtainedMode::zerocopy), "zerocopy");
  EXPECT_EQ(to_string(ObtainedMode::copy), "copy");
  EXPECT_EQ(to_string(ObtainedMode::afpacket), "afpacket");
}

TEST(Sizes, SmallFramesHoldPacketsUpToMtu1770) {
  EXPECT_EQ(choose_frames(1500, "ixgbe").chunk_bytes, 2048U);
  EXPECT_EQ(choose_frames(1770, "ixgbe").chunk_bytes, 2048U);
  EXPECT_EQ(choose_frames(1771, "ixgbe").chunk_bytes, 4096U);
  EXPECT_EQ(choose_frames(3818, "ixgbe").chunk_bytes, 4096U);
  EXPECT_FALSE(choose_frames(3818, "ixgbe").multi_buffer);
}

TEST(Sizes, IgbNeedsLargeFramesAndUsesWholeKibibytesOfThem) {
  EXPECT_EQ(choose_frames(1500, "igb").chunk_bytes, 4096U);
  EXPECT_FALSE(choose_frames(3050, "igb").multi_buffer);
  EXPECT_TRUE(choose_frames(3051, "igb").multi_buffer);
  EXPECT_EQ(choose_frames(3051, "igb").single_frame_mtu, 3050U);
}

TEST(Sizes, PacketsOfALargerMtuTakeSeveralFrames) {
  const FrameChoice jumbo = choose_frames(9000, "ice");
  EXPECT_TRUE(jumbo.multi_buffer);
  EXPECT_EQ(jumbo.chunk_bytes, 4096U);
  EXPECT_EQ(jumbo.single_frame_mtu, 3818U);
  EXPECT_EQ(jumbo.packet_bytes, 9022U);
  EXPECT_EQ(jumbo.frames_per_packet, 3U);
  EXPECT_EQ(choose_frames(3818, "ice").frames_per_packet, 1U);
  EXPECT_EQ(choose_frames(3819, "ice").frames_per_packet, 2U);
  EXPECT_EQ(choose_frames(2 * 3840 - 22, "ice").frames_per_packet, 2U);
  EXPECT_EQ(choose_frames(2 * 3840 - 21, "ice").frames_per_packet, 3U);
  EXPECT_EQ(choose_frames(65535, "veth").frames_per_packet, 18U);
}

TEST(Sizes, RingsFollowTheNicsRing) {
  EXPECT_EQ(ring_sizes(std::nullopt, 1).rx_entries, 2048U);
  EXPECT_EQ(ring_sizes(std::nullopt, 1).frames, 4096U);
  EXPECT_EQ(ring_sizes(4096, 1).rx_entries, 4096U);
  EXPECT_EQ(ring_sizes(4096, 1).frames, 8192U);
  for (const std::uint32_t nic : {1U, 64U, 511U, 512U, 513U, 1000U, 4078U, 8192U}) {
    for (const std::uint32_t frames_per_packet : {1U, 3U, 18U}) {
      const RingSizes sizes = ring_sizes(nic, frames_per_packet);
      EXPECT_TRUE(std::has_single_bit(sizes.rx_entries)) << nic;
      EXPECT_GE(sizes.rx_entries, std::min(nic * frames_per_packet, 8192U));
      EXPECT_GE(sizes.frames, nic + sizes.rx_entries) << "with the RX ring full the NIC still has its own ring full";
      EXPECT_LE(sizes.frames, 16384U) << "memory stays bounded";
      EXPECT_EQ(sizes.umem_bytes(2048) % (2U << 20), 0U) << "whole huge pages";
    }
  }
  EXPECT_EQ(ring_sizes(1U << 20, 1).frames, 16384U);
  EXPECT_EQ(ring_sizes(std::nullopt, 1).umem_bytes(2048), 8U << 20);
}

const SetupContext context{.interface_name = "eth0",
                           .queue = QueueId(3),
                           .umem_bytes = 16U << 20,
                           .chunk_bytes = 4096,
                           .memlock_limit_bytes = 8U << 20,
                           .single_frame_mtu = 3818};

TEST(Explain, NamesTheCapabilityThatSocketsNeed) {
  const SetupError error = explain(SetupStep::create_socket, EPERM, context);
  EXPECT_EQ(error.code(), ExitCode::not_permitted);
  expect_words(error, {"queue 3 of eth0", "CAP_NET_RAW"});
}

TEST(Explain, NamesTheKernelOptionThatIsMissing) {
  const SetupError error = explain(SetupStep::create_socket, EAFNOSUPPORT, context);
  EXPECT_EQ(error.code(), ExitCode::machine_cannot);
  expect_words(error, {"CONFIG_XDP_SOCKETS"});
}

TEST(Explain, SaysHowMuchMemoryIsNeededAndHowMuchMayBeLocked) {
  const SetupError error = explain(SetupStep::register_umem, ENOBUFS, context);
  EXPECT_EQ(error.code(), ExitCode::not_permitted);
  expect_words(error, {"16.0 MiB", "8.0 MiB", "RLIMIT_MEMLOCK", "CAP_IPC_LOCK"});
}

TEST(Explain, TellsABusyQueueFromARefusedOne) {
  const SetupError busy = explain(SetupStep::bind, EBUSY, context);
  EXPECT_EQ(busy.code(), ExitCode::machine_cannot);
  expect_words(busy, {"bind queue 3 of eth0", "busy"});
  expect_words(explain(SetupStep::bind, EINVAL, context), {"ethtool -l eth0"});
  expect_words(explain(SetupStep::bind, ENETDOWN, context), {"ip link set eth0 up"});
  expect_words(explain(SetupStep::bind, ENODEV, context), {"no such interface"});
}

TEST(Explain, AForcedZeroCopyNamesTheModesThatWork) {
  SetupContext forced = context;
  forced.zero_copy_forced = true;
  for (const int error : {EOPNOTSUPP, EINVAL, ENOMEM, EIO}) {
    const SetupError explained = explain(SetupStep::bind, error, forced);
    EXPECT_EQ(explained.code(), ExitCode::machine_cannot);
    expect_words(explained, {"zero-copy", "--mode auto", std::string(zero_copy_refusal(error, false)).c_str()});
  }
}

TEST(Explain, HasALineForEveryErrno) {
  for (const SetupStep step : {SetupStep::create_socket, SetupStep::register_umem, SetupStep::create_rings,
                               SetupStep::bind, SetupStep::bind_multi_buffer, SetupStep::join})
    for (int error = 1; error < 134; ++error) {
      const SetupError explained = explain(step, error, context);
      EXPECT_NE(explained.code(), ExitCode::done);
      expect_words(explained, {"queue 3 of eth0", ": "});
    }
}

}  // namespace
}  // namespace xsk::test
