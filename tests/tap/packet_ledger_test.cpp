// What an AF_PACKET socket received is what was sent, by the counts of all parties: the sender, the filter's program,
// the socket, the ring's blocks and the reader. Needs root.
#include <atomic>
#include <thread>

#include "tests/tap/rig.h"

namespace engine::tap_test {
namespace {

using PacketLedgerTest = xsk::test::Lab;

TEST_F(PacketLedgerTest, ReceivesEverythingWithoutAProgram) {
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
TEST_F(PacketLedgerTest, GetsAProgramWhileFramesArriveWithoutLosingOne) {
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

TEST_F(PacketLedgerTest, ClosesItsLedgerWhereTheRingOverflows) {
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
TEST_F(PacketLedgerTest, ClosesItsLedgerWhenItStopsAmidTraffic) {
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

TEST_F(PacketLedgerTest, CountsWhatTheFilterRejects) {
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

}  // namespace
}  // namespace engine::tap_test
