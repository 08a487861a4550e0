// Sockets of several queues over one UMEM, and packets of several frames, on the real queues of a veth pair. As root.
#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "tests/xsk/lab.h"
#include "tests/xsk/redirect.h"
#include "tests/xsk/sockets.h"
#include "xsk/socket.h"

namespace xsk::test {
namespace {

constexpr std::array<QueueId, 4> four_queues{QueueId(0), QueueId(1), QueueId(2), QueueId(3)};

TEST_F(SocketInLab, QueuesThatShareAUmemGetTheirOwnFramesBack) {
  constexpr std::uint64_t n = 2000;
  const Memory umem(std::size_t{4} * frames * chunk_bytes);
  const std::array<Memory, 4> far_memory;
  const Redirect redirect(near_link_.ifindex);
  ASSERT_TRUE(redirect.attached()) << "needs root: CAP_BPF and CAP_NET_ADMIN";
  std::vector<Socket> receivers = Socket::open_sharing(receiving(near_link_, 0, umem), four_queues);
  ASSERT_EQ(receivers.size(), 4U);
  for (const Socket& receiver : receivers) ASSERT_TRUE(redirect.add(receiver));
  for (std::uint32_t queue = 0; queue < 4; ++queue) {
    EXPECT_EQ(receivers[queue].queue(), QueueId(queue));
    EXPECT_EQ(receivers[queue].mode(), ObtainedMode::copy);
    EXPECT_EQ(receivers[queue].fallback_reason(), "the driver has no zero-copy AF_XDP");
    EXPECT_EQ(receivers[queue].rx_queue().layout().frames(), frames);
    EXPECT_EQ(receivers[queue].rx_queue().umem().data(), umem.bytes().data());
  }
  for (std::uint32_t queue = 0; queue < 4; ++queue) {
    Socket sender = Socket::open(sending(far_link_, queue, far_memory[queue]));
    Received received;
    send_numbered(sender, n, [&] { drain(receivers[queue], received); });
    pollfd readable{receivers[queue].fd(), POLLIN, 0};
    while (received.count < n && ::poll(&readable, 1, 2000) == 1) drain(receivers[queue], received);
    EXPECT_EQ(received.count, n) << "queue " << queue;
    EXPECT_EQ(received.sum, n * (n - 1) / 2) << "queue " << queue;
  }
  for (Socket& receiver : receivers) {
    EXPECT_EQ(receiver.rx_queue().rx_packets(), n);
    EXPECT_EQ(receiver.rx_queue().bad_packets(), 0U) << "no neighbour's frame came";
    EXPECT_EQ(receiver.statistics().rx_dropped + receiver.statistics().rx_ring_full, 0U);
  }
}

TEST_F(SocketInLab, QueuesThatShareAUmemGoOnWithoutTheOneThatRegisteredIt) {
  constexpr std::uint64_t n = 500;
  const Memory umem(std::size_t{4} * frames * chunk_bytes);
  const Memory far_memory;
  const Redirect redirect(near_link_.ifindex);
  ASSERT_TRUE(redirect.attached());
  std::vector<Socket> receivers = Socket::open_sharing(receiving(near_link_, 0, umem), four_queues);
  Socket last = std::move(receivers.back());
  receivers.clear();
  ASSERT_TRUE(redirect.add(last));
  Socket sender = Socket::open(sending(far_link_, 3, far_memory));
  Received received;
  send_numbered(sender, n, [&] { drain(last, received); });
  pollfd readable{last.fd(), POLLIN, 0};
  while (received.count < n && ::poll(&readable, 1, 2000) == 1) drain(last, received);
  EXPECT_EQ(received.count, n);
}

TEST_F(SocketInLab, ABusyQueueAmongThoseThatShareIsNamed) {
  const Memory umem(std::size_t{4} * frames * chunk_bytes);
  const Memory other;
  const Socket holder = Socket::open(receiving(near_link_, 2, other));
  try {
    (void)Socket::open_sharing(receiving(near_link_, 0, umem), four_queues);
    FAIL() << "queue 2 was opened twice";
  } catch (const engine::SetupError& error) {
    EXPECT_EQ(error.code(), engine::ExitCode::machine_cannot);
    EXPECT_NE(std::string(error.what()).find("queue 2 of " + near()), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("busy"), std::string::npos) << error.what();
  }
  // Nothing is left behind: the others can be opened.
  (void)Socket::open_sharing(receiving(near_link_, 0, umem), std::span(four_queues).first(2));
}

// A veth pair whose MTU is 9,000, a program that takes such packets, and a receiver of 4 KiB frames.
class JumboOnFourQueues : public SocketInLab {
 protected:
  static constexpr std::uint32_t packet_bytes = 9014;
  static constexpr std::uint32_t large_chunk_bytes = 4096;

  void SetUp() override {
    SocketInLab::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    choose_queues();
    redirect_.emplace(near_link_.ifindex, true);
    ASSERT_TRUE(redirect_->attached()) << "needs BPF_F_XDP_HAS_FRAGS";
    for (const std::string& name : {near(), far()}) ASSERT_TRUE(run("ip link set " + name + " mtu 9000"));
  }

  virtual void choose_queues() {}

  SocketConfig config(std::uint32_t chunk) const {
    SocketConfig config = receiving(near_link_, 0, memory_);
    config.chunk_bytes = chunk;
    config.multi_buffer = true;
    config.single_frame_mtu = 3818;
    return config;
  }

  // A packet of any size, all of it determined by its number.
  static std::vector<std::byte> packet(std::uint32_t number, std::uint32_t bytes) {
    std::vector<std::byte> packet(bytes);
    for (std::uint32_t i = 14; i < bytes; ++i) packet[i] = static_cast<std::byte>(number * 31 + i * 7 + (i >> 8));
    packet[0] = packet[6] = std::byte{2};
    packet[12] = std::byte{0x88};
    packet[13] = std::byte{0xb5};
    return packet;
  }
  void send(const std::vector<std::byte>& packet) {
    const engine::UniqueFd raw(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(far_link_.ifindex);
    ASSERT_EQ(::sendto(raw.get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
              static_cast<ssize_t>(packet.size()));
  }

  const Memory memory_{std::size_t{512} * large_chunk_bytes};
  std::optional<Redirect> redirect_;
};

// On one queue, which takes them in the order they were sent.
class Jumbo : public JumboOnFourQueues {
 protected:
  void choose_queues() override {
    for (const std::string& name : {near(), far()}) ASSERT_TRUE(run("ethtool -L " + name + " rx 1 tx 1"));
  }
};

TEST_F(Jumbo, PacketsOfNineThousandBytesArriveWholeAmongSmallOnes) {
  for (const std::uint32_t chunk : {large_chunk_bytes, 2048U}) {
    SCOPED_TRACE(chunk);
    Socket receiver = Socket::open(config(chunk));
    ASSERT_TRUE(redirect_->add(receiver));
    constexpr std::uint32_t n = 60;
    std::uint32_t next = 0;
    pollfd readable{receiver.fd(), POLLIN, 0};
    for (std::uint32_t number = 0; number < n; ++number) {
      send(packet(number, number % 3 == 0 ? 60 : packet_bytes - number));
      if (number % 20 != 19) continue;  // 20 of them fit into the RX ring
      while (next <= number && ::poll(&readable, 1, 5000) == 1) {
        const RxBatch batch = receiver.rx_queue().receive(64);
        for (std::uint32_t i = 0; i < batch.size(); ++i, ++next) {
          const std::vector<std::byte> sent = packet(next, next % 3 == 0 ? 60 : packet_bytes - next);
          std::vector<std::byte> whole(batch[i].len);
          ASSERT_EQ(batch.gather(i, whole), sent.size());
          ASSERT_EQ(whole, sent) << "packet " << next;
          ASSERT_EQ(batch[i].several_frames, next % 3 != 0);
        }
      }
    }
    EXPECT_EQ(next, n);
    EXPECT_EQ(receiver.rx_queue().rx_packets(), n);
    EXPECT_EQ(receiver.rx_queue().bad_packets(), 0U);
    EXPECT_EQ(receiver.statistics().rx_dropped + receiver.statistics().rx_ring_full, 0U);
  }
}

TEST_F(Jumbo, WithoutMultiBufferTheyAreDroppedAndCounted) {
  SocketConfig single = config(large_chunk_bytes);
  single.multi_buffer = false;
  Socket receiver = Socket::open(single);
  ASSERT_TRUE(redirect_->add(receiver));
  send(packet(0, packet_bytes));
  send(packet(1, 3000));
  pollfd readable{receiver.fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&readable, 1, 5000), 1);
  EXPECT_EQ(receiver.rx_queue().rx_packets(), 1U);
  EXPECT_EQ(receiver.statistics().rx_dropped, 1U);
}

TEST_F(Jumbo, ForcedZeroCopyNamesTheLargestMtu) {
  SocketConfig forced = config(large_chunk_bytes);
  forced.mode = RequestedMode::zerocopy;
  const engine::SetupError refused = refusal(forced);
  EXPECT_EQ(refused.code(), engine::ExitCode::machine_cannot);
  for (const char* word : {"zero-copy was refused", "MTU 3818", "mtu 3818"})
    EXPECT_NE(std::string(refused.what()).find(word), std::string::npos) << refused.what();
}

// UDP over IPv4, so that the far side's stack deals flows to queues.
std::vector<std::byte> datagram(std::uint16_t port, std::uint32_t bytes) {
  std::vector<std::byte> packet(bytes);
  const auto put16 = [&](std::size_t at, std::uint32_t value) {
    packet[at] = static_cast<std::byte>(value >> 8);
    packet[at + 1] = static_cast<std::byte>(value);
  };
  packet[0] = packet[6] = std::byte{2};
  put16(12, 0x0800);
  packet[14] = std::byte{0x45};
  put16(16, bytes - 14);
  packet[22] = std::byte{64};
  packet[23] = std::byte{17};
  packet[26] = packet[30] = std::byte{10};
  packet[33] = std::byte{1};
  put16(34, port);
  put16(36, 9);
  put16(38, bytes - 34);
  return packet;
}

TEST_F(JumboOnFourQueues, SocketsThatJoinedAUmemTakePacketsOfSeveralFramesToo) {
  constexpr std::uint32_t flows = 64;
  std::vector<Socket> receivers = Socket::open_sharing(config(large_chunk_bytes), four_queues);
  for (const Socket& receiver : receivers) ASSERT_TRUE(redirect_->add(receiver));
  std::array<std::uint32_t, 4> received{};
  std::uint32_t all = 0;
  for (std::uint16_t port = 1; port <= flows; ++port) {
    const std::vector<std::byte> sent = datagram(port, packet_bytes);
    send(sent);
    std::array<pollfd, 4> readable{};
    for (std::size_t i = 0; i < 4; ++i) readable[i] = {receivers[i].fd(), POLLIN, 0};
    ASSERT_GT(::poll(readable.data(), readable.size(), 5000), 0);
    for (std::size_t i = 0; i < 4; ++i) {
      const RxBatch batch = receivers[i].rx_queue().receive(64);
      for (std::uint32_t k = 0; k < batch.size(); ++k) {
        std::vector<std::byte> whole(batch[k].len);
        batch.gather(k, whole);
        EXPECT_EQ(whole, sent);
      }
      received[i] += batch.size();
      all += batch.size();
    }
  }
  EXPECT_EQ(all, flows);
  EXPECT_GT(received[1] + received[2] + received[3], 0U) << "all flows on the queue that registered the UMEM";
}

}  // namespace
}  // namespace xsk::test
