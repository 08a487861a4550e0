// Every fall-back and every refusal of Socket, forced by injected errors: old kernels, missing rights, drivers. No
// root.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "tests/xsk/injected_kernel.h"
#include "tests/xsk/sockets.h"
#include "xsk/uapi.h"

namespace xsk::test {
namespace {

using engine::ExitCode;
using engine::SetupError;
using Flags = std::vector<std::uint16_t>;

constexpr std::uint16_t zc = XDP_ZEROCOPY, copy = XDP_COPY, wakeup = XDP_USE_NEED_WAKEUP, several = XDP_USE_SG;
constexpr std::array<QueueId, 3> three_queues{QueueId(4), QueueId(5), QueueId(7)};

class Refusals : public ::testing::Test {
 protected:
  Refusals() {
    Link link;
    link.name = "eth7";
    link.ifindex = 7;
    config_ = receiving(link, 3, memory_);
    config_.single_frame_mtu = 3818;
  }

  // Refuses binds with all of these flags.
  void refuse(std::uint16_t flags, int error) {
    kernel_.bind_error = [=](const InjectedKernel::Bind& bind) { return (bind.flags & flags) == flags ? error : 0; };
  }

  void expect_refused(ExitCode code, std::initializer_list<const char*> words) {
    const SetupError refused = refusal(config_);
    EXPECT_EQ(refused.code(), code) << refused.what();
    expect_words(refused.what(), words);
    EXPECT_EQ(kernel_.open_sockets(), 0U) << "left open";
  }

  // The thing, a reason and a remedy, in one line.
  static void expect_words(const std::string& line, std::initializer_list<const char*> words) {
    EXPECT_NE(line.find("eth7"), std::string::npos) << line;
    EXPECT_NE(line.find(": "), std::string::npos) << line;
    EXPECT_NE(line.find("; "), std::string::npos) << "no remedy: " << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    for (const char* word : words) EXPECT_NE(line.find(word), std::string::npos) << line;
  }

  const Memory memory_{std::size_t{3} * frames * chunk_bytes};
  SocketConfig config_;
  InjectedKernel kernel_;
};

TEST_F(Refusals, ZeroCopyIsTriedFirstAndTakenIfItIsThere) {
  const Socket socket = Socket::open(config_);
  EXPECT_EQ(kernel_.flags(), (Flags{zc | wakeup}));
  EXPECT_EQ(socket.mode(), ObtainedMode::zerocopy);
  EXPECT_EQ(socket.fallback_reason(), "");
}

TEST_F(Refusals, NoneIsBoundBeforeItsFillRingIsFull) {
  (void)Socket::open(config_);
  (void)Socket::open_sharing(config_, three_queues);
  ASSERT_EQ(kernel_.binds().size(), 4U);
  EXPECT_EQ(kernel_.binds()[0].frames_in_fill_ring, 3 * frames);
  for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(kernel_.binds()[i].frames_in_fill_ring, frames);
}

TEST_F(Refusals, AnOldKernelWithoutNeedWakeupIsBoundWithoutIt) {
  refuse(wakeup, EINVAL);
  EXPECT_EQ(Socket::open(config_).mode(), ObtainedMode::zerocopy);
  EXPECT_EQ(kernel_.flags(), (Flags{zc | wakeup, zc}));
}

TEST_F(Refusals, AutomaticFallsBackToCopyAndSaysWhy) {
  const std::vector<std::pair<int, const char*>> cases{{EOPNOTSUPP, "the driver has no zero-copy AF_XDP"},
                                                       {EINVAL, "frame size, MTU or queue"},
                                                       {ENOMEM, "the driver is out of memory"},
                                                       {EBUSY, "the driver is busy"},
                                                       {EIO, "the driver refused it"}};
  for (const auto& [error, reason] : cases) {
    SCOPED_TRACE(reason);
    refuse(zc, error);
    const Socket socket = Socket::open(config_);
    EXPECT_EQ(socket.mode(), ObtainedMode::copy);
    EXPECT_NE(socket.fallback_reason().find(reason), std::string::npos) << socket.fallback_reason();
    EXPECT_EQ(kernel_.flags().back(), copy | wakeup);
  }
}

TEST_F(Refusals, AGenericProgramIsNeverBoundForZeroCopy) {
  config_.attached_generic = true;
  EXPECT_EQ(Socket::open(config_).mode(), ObtainedMode::skb);
  EXPECT_EQ(kernel_.flags(), (Flags{copy | wakeup}));
  config_.mode = RequestedMode::zerocopy;
  expect_refused(ExitCode::machine_cannot, {"zero-copy was refused", "--mode auto"});
  EXPECT_EQ(kernel_.flags().size(), 1U) << "nothing was tried";
}

TEST_F(Refusals, AForcedModeDoesNotFallBack) {
  refuse(zc, EOPNOTSUPP);
  config_.mode = RequestedMode::zerocopy;
  expect_refused(ExitCode::machine_cannot, {"zero-copy was refused", "no zero-copy AF_XDP", "--mode copy"});
  EXPECT_EQ(kernel_.flags(), (Flags{zc | wakeup}));
  config_.mode = RequestedMode::copy;
  EXPECT_EQ(Socket::open(config_).fallback_reason(), "");
  EXPECT_EQ(kernel_.flags().back(), copy | wakeup);
}

TEST_F(Refusals, AModeThatTheKernelDoesNotTellIsNotCalledZeroCopy) {
  kernel_.option_errors[XDP_OPTIONS] = ENOPROTOOPT;  // Linux 5.2
  EXPECT_EQ(Socket::open(config_).mode(), ObtainedMode::copy);
}

TEST_F(Refusals, AQueueThatIsFreedMeanwhileIsWaitedFor) {
  int busy = 5;
  kernel_.bind_error = [&](const InjectedKernel::Bind&) { return busy-- > 0 ? EBUSY : 0; };
  EXPECT_EQ(Socket::open(config_).mode(), ObtainedMode::zerocopy);
  EXPECT_EQ(kernel_.binds().size(), 6U);
}

TEST_F(Refusals, WithoutASocketNothingElseIsTried) {
  const std::vector<std::tuple<int, ExitCode, const char*>> cases{
      {EPERM, ExitCode::not_permitted, "CAP_NET_RAW"},
      {EACCES, ExitCode::not_permitted, "security module"},
      {EAFNOSUPPORT, ExitCode::machine_cannot, "CONFIG_XDP_SOCKETS"},
      {EMFILE, ExitCode::machine_cannot, "ulimit -n"},
      {ENFILE, ExitCode::machine_cannot, "fs.file-max"},
      {ENOMEM, ExitCode::machine_cannot, "fewer queues"},
      {EIO, ExitCode::machine_cannot, "--mode afpacket"}};
  for (const auto& [error, code, word] : cases) {
    SCOPED_TRACE(word);
    kernel_.socket_error = error;
    expect_refused(code, {"open an AF_XDP socket for queue 3", word});
  }
  EXPECT_TRUE(kernel_.binds().empty());
}

TEST_F(Refusals, MemoryThatCannotBeRegistered) {
  const std::vector<std::tuple<int, ExitCode, const char*>> cases{
      {ENOBUFS, ExitCode::not_permitted, "RLIMIT_MEMLOCK"},
      {ENOMEM, ExitCode::machine_cannot, "--frames"},
      {EINVAL, ExitCode::machine_cannot, "no frames of 2048 bytes"},
      {ENOPROTOOPT, ExitCode::machine_cannot, "too old"},
      {EIO, ExitCode::machine_cannot, "--mode afpacket"}};
  for (const auto& [error, code, word] : cases) {
    SCOPED_TRACE(word);
    kernel_.option_errors[XDP_UMEM_REG] = error;
    expect_refused(code, {"register packet memory", word});
  }
}

TEST_F(Refusals, RingsThatCannotBeMade) {
  for (const int ring : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING}) {
    SCOPED_TRACE(ring);
    kernel_.option_errors = {{ring, ENOMEM}};
    expect_refused(ExitCode::machine_cannot, {"create the rings of queue 3", "--rx-ring"});
  }
  kernel_.option_errors = {{XDP_MMAP_OFFSETS, ENOPROTOOPT}};
  expect_refused(ExitCode::machine_cannot, {"too old"});
  kernel_.option_errors.clear();
  for (const int error : {ENOMEM, EAGAIN}) {
    kernel_.mmap_error = error;
    expect_refused(ExitCode::machine_cannot, {"create the rings", "fewer queues"});
  }
  kernel_.mmap_error = EPERM;
  expect_refused(ExitCode::not_permitted, {"create the rings", "CAP_NET_RAW"});
}

TEST_F(Refusals, RingsWithoutFlagsAreNotMistakenForOurs) {
  kernel_.mmap_offsets_bytes = 4 * 3 * sizeof(std::uint64_t);  // Linux 5.3: producer, consumer, desc
  expect_refused(ExitCode::machine_cannot, {"too old", "Linux 5.4"});
}

TEST_F(Refusals, BindsThatFailInEveryMode) {
  const std::vector<std::tuple<int, ExitCode, const char*>> cases{
      {EPERM, ExitCode::not_permitted, "CAP_NET_RAW"},
      {ENODEV, ExitCode::machine_cannot, "no such interface"},
      {ENXIO, ExitCode::machine_cannot, "no such interface"},
      {ENETDOWN, ExitCode::machine_cannot, "ip link set eth7 up"},
      {EINVAL, ExitCode::machine_cannot, "ethtool -l eth7"},
      {ENOMEM, ExitCode::machine_cannot, "--frames"},
      {EBUSY, ExitCode::machine_cannot, "ss --xdp"},
      {EIO, ExitCode::machine_cannot, "--mode afpacket"}};
  for (const auto& [error, code, word] : cases) {
    SCOPED_TRACE(word);
    refuse(0, error);
    expect_refused(code, {"bind queue 3", word});
  }
}

TEST_F(Refusals, ADriverWithZeroCopyButNotForSeveralFramesCopies) {
  config_.multi_buffer = true;
  refuse(zc | several, EOPNOTSUPP);
  const Socket socket = Socket::open(config_);
  EXPECT_EQ(socket.mode(), ObtainedMode::copy);
  EXPECT_NE(socket.fallback_reason().find("several frames"), std::string::npos) << socket.fallback_reason();
  EXPECT_EQ(kernel_.flags(), (Flags{zc | several | wakeup, copy | several | wakeup}));
  config_.mode = RequestedMode::zerocopy;
  const SetupError refused = refusal(config_);
  expect_words(refused.what(), {"several frames", "MTU 3818", "ip link set eth7 mtu 3818"});
}

TEST_F(Refusals, AKernelWithoutMultiBufferNamesTheLargestMtu) {
  config_.multi_buffer = true;
  refuse(several, EINVAL);
  expect_refused(ExitCode::machine_cannot, {"Linux 6.6", "MTU may be up to 3818", "ip link set eth7 mtu 3818"});
  EXPECT_EQ(kernel_.flags(),
            (Flags{zc | several | wakeup, zc | several, copy | several | wakeup, copy | several, copy | wakeup}));
}

TEST_F(Refusals, ThoseThatShareRegisterOneUmemAndJoinWithoutFlags) {
  const std::vector<Socket> sockets = Socket::open_sharing(config_, three_queues);
  EXPECT_EQ(kernel_.umems(), 1U);
  EXPECT_EQ(kernel_.flags(), (Flags{zc | wakeup, XDP_SHARED_UMEM, XDP_SHARED_UMEM}));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(kernel_.binds()[i].queue, three_queues[i].value());
    EXPECT_EQ(kernel_.binds()[i].shared_fd, i == 0 ? -1 : sockets[0].fd());
    EXPECT_EQ(kernel_.binds()[i].has_umem, i == 0);
    EXPECT_EQ(sockets[i].mode(), ObtainedMode::zerocopy) << "read back for each";
  }
}

TEST_F(Refusals, WhereOneOfThemGetsNoZeroCopyNoneHasIt) {
  const auto zero_copy_but_for_7 = [this](const InjectedKernel::Bind& bind) {
    if (bind.queue != 7 || bind.shared_fd < 0) return 0;
    return kernel_.binds().front().flags == (zc | wakeup) && kernel_.binds().size() == 3 ? ENOMEM : 0;
  };
  kernel_.bind_error = zero_copy_but_for_7;
  const std::vector<Socket> sockets = Socket::open_sharing(config_, three_queues);
  EXPECT_EQ(kernel_.flags(),
            (Flags{zc | wakeup, XDP_SHARED_UMEM, XDP_SHARED_UMEM, copy | wakeup, XDP_SHARED_UMEM, XDP_SHARED_UMEM}));
  for (const Socket& socket : sockets) {
    EXPECT_EQ(socket.mode(), ObtainedMode::copy);
    EXPECT_EQ(socket.fallback_reason(), "queue 7: the driver is out of memory");
  }
  EXPECT_EQ(kernel_.open_sockets(), 3U);
}

TEST_F(Refusals, ForcedZeroCopyThatOneOfThemCannotHaveFails) {
  kernel_.bind_error = [](const InjectedKernel::Bind& bind) { return bind.queue == 7 ? EOPNOTSUPP : 0; };
  config_.mode = RequestedMode::zerocopy;
  try {
    (void)Socket::open_sharing(config_, three_queues);
    FAIL() << "opened";
  } catch (const SetupError& refused) {
    EXPECT_EQ(refused.code(), ExitCode::machine_cannot);
    expect_words(refused.what(), {"queue 7 of eth7", "zero-copy was refused"});
  }
  EXPECT_EQ(kernel_.open_sockets(), 0U);
}

TEST_F(Refusals, AKernelThatSharesNoUmemBetweenQueuesIsNamed) {
  config_.mode = RequestedMode::copy;
  refuse(XDP_SHARED_UMEM, EINVAL);
  try {
    (void)Socket::open_sharing(config_, three_queues);
    FAIL() << "opened";
  } catch (const SetupError& refused) {
    expect_words(refused.what(), {"queue 5 of eth7", "Linux 5.10", "one queue a worker"});
  }
}

}  // namespace
}  // namespace xsk::test
