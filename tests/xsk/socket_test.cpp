// Socket on the real queues of a veth pair. As root.
#include "xsk/socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "engine/base/error.h"
#include "tests/xsk/lab.h"
#include "tests/xsk/redirect.h"
#include "tests/xsk/sockets.h"
#include "xsk/release.h"
#include "xsk/uapi.h"

namespace xsk::test {
namespace {

using engine::ExitCode;
using engine::SetupError;
using std::chrono::steady_clock;

TEST_F(SocketInLab, FourQueuesAreServedAtOnceInCopyMode) {
  const std::array<Memory, 4> memory;
  std::vector<Socket> sockets;
  for (std::uint32_t queue = 0; queue < 4; ++queue)
    sockets.push_back(Socket::open(receiving(near_link_, queue, memory[queue])));
  for (Socket& socket : sockets) {
    EXPECT_FALSE(socket.obtained_zero_copy());
    EXPECT_EQ(socket.mode(), ObtainedMode::copy);
    EXPECT_EQ(socket.fallback_reason(), "the driver has no zero-copy AF_XDP");
    EXPECT_EQ(socket.wake_rx(), 0);
    EXPECT_TRUE(socket.rx_queue().receive(64).empty());
    EXPECT_EQ(socket.statistics().rx_dropped, 0U);
  }
}

TEST_F(SocketInLab, ForcedModesAreObtainedOrRefused) {
  const Memory memory;
  SocketConfig config = receiving(near_link_, 0, memory);
  config.mode = RequestedMode::zerocopy;
  const SetupError refused = refusal(config);
  EXPECT_EQ(refused.code(), ExitCode::machine_cannot);
  EXPECT_NE(std::string(refused.what()).find("zero-copy was refused"), std::string::npos) << refused.what();
  config.mode = RequestedMode::copy;
  {
    const Socket copy = Socket::open(config);
    EXPECT_EQ(copy.mode(), ObtainedMode::copy);
    EXPECT_EQ(copy.fallback_reason(), "") << "nothing better was asked for";
  }
  config.mode = RequestedMode::skb;
  config.attached_generic = true;
  EXPECT_EQ(Socket::open(config).mode(), ObtainedMode::skb);
}

std::ptrdiff_t entries_of(const char* directory) {
  const std::filesystem::directory_iterator all(directory);
  return std::distance(begin(all), end(all));
}

std::ptrdiff_t lines_of(const char* path) {
  std::ifstream file(path);
  return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
}

TEST_F(SocketInLab, AQueueIsBoundAgainRightAfterItsSocketWasClosedAndNothingStaysOpenOrMapped) {
  const Memory memory;
  SocketConfig impossible = receiving(near_link_, 64, memory);
  const auto once = [&] {
    (void)Socket::open(receiving(near_link_, 1, memory));
    refusal(impossible);
  };
  once();  // what libraries allocate the first time is no leak
  const std::ptrdiff_t open_before = entries_of("/proc/self/fd");
  const std::ptrdiff_t mapped_before = lines_of("/proc/self/maps");
  for (int round = 0; round < 10; ++round) once();
  EXPECT_EQ(entries_of("/proc/self/fd"), open_before);
  EXPECT_EQ(lines_of("/proc/self/maps"), mapped_before);
}

TEST_F(SocketInLab, AQueueThatIsTakenIsReportedAfterASecond) {
  const Memory memory;
  const Memory other;
  const Socket holder = Socket::open(receiving(near_link_, 2, memory));
  const auto start = steady_clock::now();
  const SetupError busy = refusal(receiving(near_link_, 2, other));
  const auto waited = steady_clock::now() - start;
  EXPECT_EQ(busy.code(), ExitCode::machine_cannot);
  EXPECT_NE(std::string(busy.what()).find("busy"), std::string::npos) << busy.what();
  EXPECT_GE(waited, std::chrono::milliseconds(900));
}

TEST_F(SocketInLab, TheReleaseOfAQueueIsAwaited) {
  const auto probe = [] { return engine::UniqueFd(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)); };
  const Memory memory;
  const std::chrono::milliseconds enough(5000);
  {
    const Socket holder = Socket::open(receiving(near_link_, 1, memory));
    EXPECT_FALSE(await_release(probe(), near_link_.ifindex, QueueId(1), std::chrono::milliseconds(20)));
    EXPECT_TRUE(await_release(probe(), near_link_.ifindex, QueueId(0), enough)) << "nobody has it";
  }
  EXPECT_TRUE(await_release(probe(), near_link_.ifindex, QueueId(1), enough));
  EXPECT_FALSE(await_release({}, near_link_.ifindex, QueueId(1), enough)) << "without a socket to ask with";
}

TEST_F(SocketInLab, AQueueThatIsNotThereIsRefused) {
  const Memory memory;
  const SetupError refused = refusal(receiving(near_link_, 64, memory));
  EXPECT_EQ(refused.code(), ExitCode::machine_cannot);
  EXPECT_NE(std::string(refused.what()).find("bind queue 64 of " + near()), std::string::npos) << refused.what();
}

TEST_F(SocketInLab, FramesSentOnAQueueArriveOnThatQueueOnceAndAreCountedByTheKernel) {
  constexpr std::uint64_t n = 2000;
  const std::array<Memory, 4> near_memory;
  const std::array<Memory, 4> far_memory;
  const Redirect redirect(near_link_.ifindex);
  ASSERT_TRUE(redirect.attached()) << "needs root: CAP_BPF and CAP_NET_ADMIN";
  std::vector<Socket> receivers;
  for (std::uint32_t queue = 0; queue < 4; ++queue) {
    receivers.push_back(Socket::open(receiving(near_link_, queue, near_memory[queue])));
    ASSERT_TRUE(redirect.add(receivers.back()));
  }
  for (std::uint32_t queue = 0; queue < 4; ++queue) {
    Socket sender = Socket::open(sending(far_link_, queue, far_memory[queue]));
    Socket& receiver = receivers[queue];
    Received received;
    send_numbered(sender, n, [&] { drain(receiver, received); });
    pollfd readable{receiver.fd(), POLLIN, 0};
    while (received.count < n && ::poll(&readable, 1, 2000) == 1) drain(receiver, received);
    EXPECT_EQ(received.count, n) << "queue " << queue;
    EXPECT_EQ(received.sum, n * (n - 1) / 2) << "queue " << queue;
    EXPECT_EQ(receiver.rx_queue().rx_packets(), n);
    EXPECT_EQ(receiver.rx_queue().bad_packets(), 0U);
    EXPECT_EQ(receiver.statistics().rx_dropped + receiver.statistics().rx_ring_full, 0U);
    EXPECT_EQ(sender.tx_queue().bad_completions(), 0U);
  }
  for (std::uint32_t queue = 0; queue < 4; ++queue) EXPECT_EQ(receivers[queue].rx_queue().rx_packets(), n);
}

TEST_F(SocketInLab, WhatAFullRingLosesIsInTheKernelsStatistics) {
  constexpr std::uint64_t n = 500;
  const Memory near_memory;
  const Memory far_memory;
  const Redirect redirect(near_link_.ifindex);
  ASSERT_TRUE(redirect.attached());
  Socket receiver = Socket::open(receiving(near_link_, 0, near_memory));
  ASSERT_TRUE(redirect.add(receiver));
  Socket sender = Socket::open(sending(far_link_, 0, far_memory));
  send_numbered(sender, n, [] {});
  // 128 fit into the RX ring; the device's own queue is empty when as many as were sent are accounted for.
  const auto accounted = [&] {
    const SocketStatistics lost = receiver.statistics();
    return receiver.rx_queue().rx_packets() + lost.rx_dropped + lost.rx_ring_full;
  };
  const auto give_up = steady_clock::now() + std::chrono::seconds(60);
  while (accounted() < n && steady_clock::now() < give_up) std::this_thread::yield();
  EXPECT_EQ(accounted(), n);
  EXPECT_EQ(receiver.rx_queue().rx_packets(), 128U);
  Received received;
  drain(receiver, received);
  EXPECT_EQ(received.count, 128U);
}

TEST_F(SocketInLab, ASocketThatDoesBothKeepsItsFramesApart) {
  constexpr std::uint64_t n = 1000;
  const Memory near_memory;
  const Memory far_memory;
  const Redirect near_redirect(near_link_.ifindex);
  ASSERT_TRUE(near_redirect.attached());
  SocketConfig config = receiving(near_link_, 0, near_memory);
  config.tx_entries = 64;
  config.tx_frames = 64;
  Socket both = Socket::open(config);
  ASSERT_TRUE(near_redirect.add(both));
  Socket sender = Socket::open(sending(far_link_, 0, far_memory));
  EXPECT_EQ(both.rx_queue().layout().frames(), frames - 64);
  EXPECT_EQ(both.tx_queue().pool().size(), 64U);
  Received received;
  send_numbered(sender, n, [&] { drain(both, received); });
  send_numbered(both, n, [&] { drain(both, received); });
  pollfd readable{both.fd(), POLLIN, 0};
  while (received.count < n && ::poll(&readable, 1, 2000) == 1) drain(both, received);
  EXPECT_EQ(received.count, n);
  EXPECT_EQ(both.tx_queue().pool().free(), 64U);
}

TEST_F(SocketInLab, WakingTellsThatTheInterfaceIsDownOrGone) {
  const Memory memory;
  Socket socket = Socket::open(receiving(near_link_, 0, memory));
  ASSERT_TRUE(run("ip link set " + near() + " down"));
  EXPECT_EQ(socket.wake_rx(), ENETDOWN);
  ASSERT_TRUE(run("ip link set " + near() + " up"));
  EXPECT_EQ(socket.wake_rx(), 0);
  ASSERT_TRUE(run("ip link del " + near()));
  int error = socket.wake_rx();
  if (error == ENETDOWN) error = socket.wake_rx();  // said once, as the socket's pending error
  EXPECT_EQ(error, ENXIO);
}

TEST(SocketConfig, WhatCannotWorkIsRefusedBeforeTheKernelIsAsked) {
  const Memory memory;
  Link link;
  link.name = "eth0";
  SocketConfig neither = receiving(link, 0, memory);
  neither.rx_entries = 0;
  SocketConfig odd = receiving(link, 0, memory);
  odd.rx_entries = 100;
  SocketConfig without_tx_frames = receiving(link, 0, memory);
  without_tx_frames.tx_entries = 64;
  SocketConfig forwarding_nowhere = receiving(link, 0, memory);
  forwarding_nowhere.forwards = true;
  SocketConfig tap = receiving(link, 0, memory);
  tap.mode = RequestedMode::afpacket;
  for (const SocketConfig& config : {neither, odd, without_tx_frames, forwarding_nowhere, tap})
    EXPECT_EQ(refusal(config).code(), ExitCode::runtime_failure);
}

}  // namespace
}  // namespace xsk::test
