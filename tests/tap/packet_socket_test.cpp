// AF_PACKET sockets on a veth pair in a namespace of the test's own: what arrives is what was sent, byte by byte, and
// the three parties' counts agree with the sender's. Needs root.
#include "engine/tap/packet_socket.h"

#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "bpf/tap_filter.h"
#include "engine/base/error.h"
#include "engine/cli/privileges.h"
#include "engine/clock.h"
#include "engine/gen/frame.h"
#include "tests/xsk/lab.h"

namespace engine {
namespace {

using Bytes = std::vector<std::byte>;

Bytes udp(std::uint32_t flow = 0, gen::VlanTags vlans = {}, std::uint16_t size = 100) {
  const gen::FrameTemplate frame = gen::build_frame({}, gen::Kind::udp4, vlans, size);
  Bytes bytes = frame.bytes;
  gen::patch(frame.layout, {.flow = flow}, bytes.data());
  return bytes;
}

// The same packet on its way back.
Bytes answer(Bytes bytes) {
  std::swap_ranges(bytes.begin() + 26, bytes.begin() + 30, bytes.begin() + 30);
  std::swap_ranges(bytes.begin() + 34, bytes.begin() + 36, bytes.begin() + 36);
  return bytes;
}

// Sends what it is given, as it is.
class Sender {
 public:
  explicit Sender(const std::string& interface) : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    to_.sll_family = AF_PACKET;
    to_.sll_ifindex = static_cast<int>(xsk::read_link(interface).ifindex);
  }
  void send(const Bytes& bytes) {
    if (::sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) ==
        static_cast<ssize_t>(bytes.size()))
      ++sent_;
  }
  std::uint64_t sent() const noexcept { return sent_; }

 private:
  UniqueFd fd_;
  sockaddr_ll to_{};
  std::uint64_t sent_ = 0;
};

struct Seen {
  Bytes bytes;
  TappedFrame frame;
};

PacketSocketConfig config_for(const std::string& interface) {
  PacketSocketConfig config;
  config.interface_name = interface;
  config.ifindex = xsk::read_link(interface).ifindex;
  config.ring = ring_shape(kMinRing_bytes);
  return config;
}

// A socket with its filter, as the capture has them.
class Tap {
 public:
  explicit Tap(const PacketSocketConfig& config)
      : socket(PacketSocket::open(config)), counted(config.ignore_outgoing) {}

  void start(const char* filter = "") { socket.accept_by(counted.load(filter).get()); }
  void start_unfiltered() { socket.accept_all(); }
  void stop() {
    socket.reject_all();
    fence_.wait();
    EXPECT_TRUE(wait_for_last_block(socket.queue()));
  }
  std::vector<Seen> take() {
    std::vector<Seen> all;
    for (;;) {
      const PacketBatch batch = socket.queue().receive(64);
      if (batch.empty()) return all;
      for (std::uint32_t i = 0; i < batch.size(); ++i) {
        const std::byte* at = socket.frames() + batch[i].offset;
        all.push_back({{at, at + batch[i].caplen}, batch[i]});
      }
    }
  }
  // What the four parties say, closed: the program, the socket, the ring's blocks, the reader.
  void expect_closed(std::uint64_t taken) {
    const bpf::TapCounters program = counted.counters();
    EXPECT_EQ(program.seen, program.accepted + program.rejected);
    EXPECT_EQ(program.accepted, socket.statistics().accepted);
    expect_ring_closed(taken);
  }
  void expect_ring_closed(std::uint64_t taken) {
    const PacketStatistics statistics = socket.statistics();
    EXPECT_EQ(statistics.accepted, statistics.rx_packets + statistics.rx_dropped);
    EXPECT_EQ(statistics.rx_packets, taken);
  }

  PacketSocket socket;
  bpf::TapFilter counted;

 private:
  ReceiverFence fence_;
};

using PacketSocketTest = xsk::test::Lab;

TEST_F(PacketSocketTest, ReceivesWhatWasSentAsItWas) {
  Tap tap(config_for(near()));
  Sender sender(far());
  sender.send(udp(0));  // before the start: nobody's
  tap.start();
  const std::vector<Bytes> sent = {udp(1), udp(2, {42, 0}), udp(3, {100, 7}), udp(4, {}, 1514),
                                   udp(5, {4094, 0}, 1514)};
  for (const Bytes& bytes : sent) sender.send(bytes);
  tap.stop();
  sender.send(udp(9));
  const auto seen = tap.take();
  ASSERT_EQ(seen.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(seen[i].bytes, sent[i]) << i;
    EXPECT_EQ(seen[i].frame.len, sent[i].size());
    EXPECT_FALSE(seen[i].frame.outgoing);
    EXPECT_GE(seen[i].frame.time_ns, 1'500'000'000'000'000'000u);
  }
  EXPECT_EQ(tap.counted.counters().seen, sent.size());
  tap.expect_closed(sent.size());
}

TEST_F(PacketSocketTest, ReceivesEverythingWithoutAProgram) {
  Tap tap(config_for(near()));
  Sender sender(far());
  sender.send(udp(0));  // before the start: nobody's
  tap.start_unfiltered();
  for (std::uint16_t i = 0; i < 10; ++i) sender.send(udp(i, {i, 0}));
  tap.stop();
  sender.send(udp(0));
  EXPECT_EQ(tap.take().size(), 10u);
  EXPECT_EQ(tap.socket.statistics().accepted, 10u);
  EXPECT_EQ(tap.counted.counters().seen, 0u);
  tap.expect_ring_closed(10);
}

// The socket then has two counts of what it saw, one of which begins in between.
TEST_F(PacketSocketTest, GetsAProgramWhileFramesArriveWithoutLosingOne) {
  Tap tap(config_for(near()));
  Sender sender(far());
  tap.start_unfiltered();
  std::atomic<bool> done{false};
  std::thread traffic([&] {
    while (!done) {
      sender.send(udp(0));
      if (sender.sent() % 256 == 0) std::this_thread::yield();
    }
  });
  std::size_t taken = 0;
  while (tap.socket.statistics().accepted < 500) taken += tap.take().size();
  tap.start("tcp");
  while (tap.counted.counters().rejected < 500) taken += tap.take().size();
  done = true;
  traffic.join();
  tap.stop();
  taken += tap.take().size();
  EXPECT_EQ(tap.socket.statistics().accepted + tap.counted.counters().rejected, sender.sent());
  tap.expect_ring_closed(taken);
}

TEST_F(PacketSocketTest, ClosesItsLedgerWhereTheRingOverflows) {
  Tap tap(config_for(near()));
  Sender sender(far());
  tap.start();
  while (sender.sent() < 2000) sender.send(udp(0, {}, 1514));
  tap.stop();
  const std::size_t taken = tap.take().size();
  EXPECT_EQ(tap.counted.counters().seen, sender.sent());
  EXPECT_GT(tap.socket.statistics().rx_dropped, 0u);
  tap.expect_closed(taken);
}

// The fence, and the wait for the block that is open: also what is on its way when the filter is taken away is counted
// and read.
TEST_F(PacketSocketTest, ClosesItsLedgerWhenItStopsAmidTraffic) {
  for (int round = 0; round < 10; ++round) {
    Tap tap(config_for(near()));
    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> sent{0};
    std::thread traffic([&, name = far()] {
      Sender sender(name);
      while (!done) {
        sender.send(udp(static_cast<std::uint32_t>(sender.sent() % 100)));
        sent = sender.sent();
      }
    });
    tap.start();
    while (tap.counted.counters().seen < 500) std::this_thread::yield();
    tap.stop();
    const std::size_t taken = tap.take().size();
    tap.expect_closed(taken);
    const std::uint64_t later = sent + 10;
    while (sent < later) std::this_thread::yield();
    tap.expect_closed(taken);
    done = true;
    traffic.join();
    EXPECT_TRUE(tap.take().empty());
  }
}

TEST_F(PacketSocketTest, CountsWhatTheFilterRejects) {
  Tap tap(config_for(near()));
  Sender sender(far());
  tap.start("vlan 42");
  for (int i = 0; i < 10; ++i) {
    sender.send(udp(0));
    sender.send(udp(0, {42, 0}));
    sender.send(udp(0, {43, 0}));
  }
  tap.stop();
  const std::size_t taken = tap.take().size();
  EXPECT_EQ(taken, 10u);
  EXPECT_EQ(tap.counted.counters().rejected, 20u);
  tap.expect_closed(taken);
}

TEST_F(PacketSocketTest, SeesBothDirectionsOrIgnoresWhatIsSent) {
  for (const bool fanout : {false, true}) {
    for (const bool ignore : {false, true}) {
      PacketSocketConfig config = config_for(near());
      config.ignore_outgoing = ignore;
      config.fanout = fanout;
      Tap tap(config);
      Sender there(far()), here(near());
      tap.start();
      for (int i = 0; i < 10; ++i) {
        there.send(udp());
        here.send(udp(7, {5, 0}));
      }
      tap.stop();
      const auto seen = tap.take();
      EXPECT_EQ(seen.size(), ignore ? 10u : 20u) << "fanout " << fanout;
      for (const Seen& one : seen) EXPECT_EQ(one.frame.outgoing, one.bytes == udp(7, {5, 0}));
      tap.expect_closed(seen.size());
    }
  }
}

TEST_F(PacketSocketTest, SpreadsFlowsOverAGroupAndKeepsTheirDirectionsTogether) {
  PacketSocketConfig config = config_for(near());
  config.fanout = true;
  std::vector<Tap> taps;
  taps.reserve(queues);
  for (int i = 0; i < queues; ++i) {
    taps.emplace_back(config);
    config.fanout_group = taps.back().socket.fanout_group();
    ASSERT_TRUE(config.fanout_group);
  }
  for (Tap& tap : taps) tap.start();
  Sender there(far()), here(near());
  for (std::uint32_t flow = 0; flow < 200; ++flow) {
    there.send(udp(flow));
    here.send(answer(udp(flow)));
  }
  for (Tap& tap : taps) tap.stop();
  std::size_t total = 0;
  for (Tap& tap : taps) {
    const auto seen = tap.take();
    EXPECT_GT(seen.size(), 0u);
    tap.expect_closed(seen.size());
    total += seen.size();
    for (const Seen& one : seen) {
      const auto other = std::ranges::count_if(seen, [&](const Seen& s) { return s.bytes == answer(one.bytes); });
      EXPECT_EQ(other, 1);
    }
  }
  EXPECT_EQ(total, 400u);
}

TEST_F(PacketSocketTest, GroupsOfTwoInterfacesAreTwo) {
  PacketSocketConfig config = config_for(near());
  config.fanout = true;
  Tap one(config);
  config = config_for(far());
  config.fanout = true;
  Tap two(config);
  EXPECT_NE(one.socket.fanout_group(), two.socket.fanout_group());
}

TEST_F(PacketSocketTest, ReceivesJumboFramesWhole) {
  ASSERT_TRUE(run("ip link set " + near() + " mtu 9000") && run("ip link set " + far() + " mtu 9000"));
  Tap tap(config_for(near()));
  Sender sender(far());
  tap.start("greater 8000");
  Bytes jumbo = udp(0, {9, 0}, 9014);
  for (std::size_t i = 64; i < jumbo.size(); ++i) jumbo[i] = static_cast<std::byte>(i * 7);
  sender.send(jumbo);
  tap.stop();
  const auto seen = tap.take();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].bytes, jumbo);
}

// What receive and send offloads make: more than an MTU could be.
TEST_F(PacketSocketTest, ReceivesFramesOf64KibWhole) {
  ASSERT_TRUE(run("ip link set lo up"));
  PacketSocketConfig config = config_for("lo");
  config.ignore_outgoing = true;
  Tap tap(config);
  Sender sender("lo");
  tap.start();
  Bytes large = udp(0, {}, 1514);
  large.resize(65'550);
  for (std::size_t i = 64; i < large.size(); ++i) large[i] = static_cast<std::byte>(i * 7);
  for (int i = 0; i < 10; ++i) sender.send(large);
  ASSERT_EQ(sender.sent(), 10u);
  tap.stop();
  const auto seen = tap.take();
  ASSERT_EQ(seen.size(), 10u);
  for (const Seen& one : seen) EXPECT_TRUE(one.bytes == large);
  tap.expect_closed(seen.size());
}

TEST_F(PacketSocketTest, LiesInTheRangeThatTheCallerReserved) {
  PacketSocketConfig config = config_for(near());
  const std::size_t bytes = config.ring.bytes();
  constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* const range = ::mmap(nullptr, bytes, PROT_NONE, flags, -1, 0);
  ASSERT_NE(range, MAP_FAILED);
  config.ring_at = static_cast<std::byte*>(range);
  for (int round = 0; round < 2; ++round) {
    {
      Tap tap(config);
      EXPECT_EQ(tap.socket.frames(), range);
      Sender sender(far());
      tap.start();
      sender.send(udp());
      tap.stop();
      EXPECT_EQ(tap.take().size(), 1u);
    }
    // Still reserved: nothing else was mapped there meanwhile.
    void* const other = ::mmap(range, bytes, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
    EXPECT_EQ(other, MAP_FAILED);
    if (other != MAP_FAILED) ::munmap(other, bytes);
  }
  ::munmap(range, bytes);
}

TEST_F(PacketSocketTest, GoesOnAfterTheInterfaceWasDown) {
  Tap tap(config_for(near()));
  Sender sender(far());
  tap.start();
  sender.send(udp(1));
  EXPECT_EQ(take_packet_socket_error(tap.socket.fd()), 0);
  ASSERT_TRUE(run("ip link set " + near() + " down"));
  pollfd wait{tap.socket.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 5000), 1);
  EXPECT_TRUE(wait.revents & POLLERR);
  EXPECT_EQ(take_packet_socket_error(tap.socket.fd()), ENETDOWN);
  EXPECT_EQ(take_packet_socket_error(tap.socket.fd()), 0);
  ASSERT_TRUE(run("ip link set " + near() + " up"));
  // The peer drops frames until the kernel has noticed the carrier, some time after (net/core/link_watch.c).
  const std::uint64_t give_up_ns = monotonic_ns() + 10'000'000'000;
  while (tap.counted.counters().seen < 2 && monotonic_ns() < give_up_ns) sender.send(udp(2));
  tap.stop();
  const auto seen = tap.take();
  ASSERT_GE(seen.size(), 2u);
  EXPECT_EQ(seen.front().bytes, udp(1));
  EXPECT_EQ(seen.back().bytes, udp(2));
  tap.expect_closed(seen.size());
}

TEST_F(PacketSocketTest, TellsThatTheInterfaceHasGoneAndKeepsWhatArrived) {
  Tap tap(config_for(near()));
  Sender sender(far());
  tap.start();
  for (int i = 0; i < 10; ++i) sender.send(udp());
  ASSERT_TRUE(run("ip link del " + near()));
  EXPECT_EQ(take_packet_socket_error(tap.socket.fd()), ENXIO);
  EXPECT_EQ(take_packet_socket_error(tap.socket.fd()), ENXIO);
  tap.stop();
  EXPECT_EQ(tap.take().size(), 10u);
  tap.expect_closed(10);
}

TEST_F(PacketSocketTest, RefusesWhatIsNotEthernet) {
  if (!run("ip tuntap add tap_test mode tun && ip link set tap_test up")) GTEST_SKIP() << "needs /dev/net/tun";
  try {
    PacketSocket::open(config_for("tap_test"));
    ADD_FAILURE();
  } catch (const SetupError& error) {
    EXPECT_EQ(error.code(), ExitCode::machine_cannot);
    EXPECT_EQ(std::string(error.what()),
              "tap_test: its packets are not Ethernet frames (hardware type 65534); capture on the interface below it");
  }
}

TEST_F(PacketSocketTest, NamesTheCapabilityThatIsMissing) {
  std::string line;
  std::thread([&] {  // capabilities are a thread's own
    cli::drop_privileges();
    try {
      PacketSocket::open({.interface_name = "eth0", .ifindex = 1, .ring = ring_shape(kMinRing_bytes)});
    } catch (const SetupError& error) {
      EXPECT_EQ(error.code(), ExitCode::not_permitted);
      line = error.what();
    }
  })
      .join();
  EXPECT_EQ(line, "open a packet socket on eth0: Operation not permitted; run as root or with CAP_NET_RAW");
}

TEST_F(PacketSocketTest, NamesAnInterfaceThatIsNotThere) {
  PacketSocketConfig config = config_for(near());
  config.ifindex = 999'999;
  try {
    PacketSocket::open(config);
    ADD_FAILURE();
  } catch (const SetupError& error) {
    EXPECT_EQ(error.code(), ExitCode::machine_cannot);
    EXPECT_EQ(std::string(error.what()),
              "bind the packet socket on " + near() + ": there is no such interface any more");
  }
}

}  // namespace
}  // namespace engine
