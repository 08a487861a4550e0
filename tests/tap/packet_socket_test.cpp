// AF_PACKET sockets on a veth pair in a namespace of the test's own: what arrives is what was sent, byte by byte, and
// sockets are refused by name. Needs root.
#include "engine/tap/packet_socket.h"

#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "engine/base/error.h"
#include "engine/cli/privileges.h"
#include "engine/clock.h"
#include "tests/tap/rig.h"

namespace engine::tap_test {
namespace {

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
}  // namespace engine::tap_test
