// The kernel's own messages, over a veth pair in a network namespace of the test's own. Needs root.
#include "engine/source/link_monitor.h"

#include <poll.h>
#include <sys/socket.h>

#include "tests/xsk/lab.h"

namespace engine {
namespace {

class LinkMonitorTest : public xsk::test::Lab {
 protected:
  void SetUp() override {
    Lab::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    monitor_.emplace(std::vector<xsk::Link>{xsk::read_link(near())});
    changes();  // what the set-up has left to tell
  }
  void TearDown() override {
    monitor_.reset();
    Lab::TearDown();
  }

  // All that the kernel has told by now: what `ip` does is announced before it ends.
  std::vector<LinkChange> changes(LinkMonitor::Ask ask = LinkMonitor::Ask::if_needed) {
    events_ = monitor_->take(ask);
    std::vector<LinkChange> changes;
    for (const LinkEvent& event : events_) changes.push_back(event.change);
    return changes;
  }
  using Changes = std::vector<LinkChange>;

  std::optional<LinkMonitor> monitor_;
  std::vector<LinkEvent> events_;
};

TEST_F(LinkMonitorTest, HearsOfTheAdministratorEachTime) {
  for (int round = 0; round < 10; ++round) {
    ASSERT_TRUE(run("ip link set " + near() + " down && ip link set " + near() + " up"));
    pollfd readable{monitor_->fd(), POLLIN, 0};
    EXPECT_EQ(poll(&readable, 1, 10000), 1);
    EXPECT_EQ(changes(), (Changes{LinkChange::down, LinkChange::up}));
    EXPECT_FALSE(events_.front().now.up);
  }
}

TEST_F(LinkMonitorTest, HearsOfRemovalAndReturn) {
  ASSERT_TRUE(run("ip link del " + near()));
  EXPECT_EQ(changes(), (Changes{LinkChange::down, LinkChange::removed}));
  ASSERT_TRUE(run("ip link add " + near() + " type veth peer name " + far()));
  EXPECT_EQ(changes(), Changes{LinkChange::returned});
  EXPECT_NE(events_.front().now.ifindex, 0u);
  ASSERT_TRUE(run("ip link set " + far() + " up && ip link set " + near() + " up"));
  EXPECT_EQ(changes(), Changes{LinkChange::up});
}

TEST_F(LinkMonitorTest, HearsThatItWentToAnotherNamespace) {
  const std::string other = "other" + std::to_string(::getpid());
  ASSERT_TRUE(run("ip netns add " + other));
  const bool moved = run("ip link set " + near() + " netns " + other);
  const Changes there = changes();
  const bool back = run("ip -n " + other + " link set " + near() + " netns " + std::to_string(::getpid()));
  run("ip netns del " + other);
  ASSERT_TRUE(moved && back);
  EXPECT_EQ(there, (Changes{LinkChange::down, LinkChange::moved}));
  EXPECT_EQ(changes(), Changes{LinkChange::returned});
}

TEST_F(LinkMonitorTest, HearsOfMtuNameAndQueues) {
  ASSERT_TRUE(run("ip link set " + near() + " mtu 1400"));
  EXPECT_EQ(changes(), Changes{LinkChange::mtu});
  ASSERT_TRUE(run("ip link property add dev " + near() + " altname an-alternative-name"));
  EXPECT_EQ(changes(), Changes{});
  // Channels set by ioctl are told by nobody; ours are looked at.
  ASSERT_TRUE(run("ethtool -L " + near() + " rx 6 tx " + std::to_string(queues)));
  const Changes told = changes(LinkMonitor::Ask::now);
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back(), LinkChange::queues);
  EXPECT_EQ(events_.back().now.rx_queues, 6u);
  ASSERT_TRUE(run("ip link set " + near() + " name renamed"));
  EXPECT_EQ(changes(), Changes{LinkChange::renamed});
}

TEST_F(LinkMonitorTest, AsksWhereTheKernelHasDroppedMessages) {
  const int smallest = 1;
  ASSERT_EQ(setsockopt(monitor_->fd(), SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest), 0);
  for (int round = 0; round < 20; ++round)
    ASSERT_TRUE(run("ip link set " + far() + " mtu " + std::to_string(1000 + round)));
  ASSERT_TRUE(run("ip link del " + near()));
  const Changes told = changes();
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back(), LinkChange::removed) << "its message did not fit";
  EXPECT_EQ(monitor_->state(0).ifindex, 0u);
}

}  // namespace
}  // namespace engine
