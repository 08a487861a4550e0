// Facts about interfaces, against the loopback and (as root) a veth pair.
#include "xsk/link.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "engine/base/error.h"
#include "tests/xsk/lab.h"
#include "xsk/ethtool.h"

namespace xsk::test {
namespace {

using engine::ExitCode;
using engine::SetupError;
using std::chrono::milliseconds;

std::string refusal(const Link& link, std::uint32_t queues, ExitCode code = ExitCode::machine_cannot) {
  try {
    require_queues(link, queues);
  } catch (const SetupError& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "";
}

Link link_with(const char* driver, std::uint32_t has, std::optional<std::uint32_t> max, bool combined) {
  Link link;
  link.name = "eth0";
  link.driver = driver;
  link.rx_queues = has;
  link.max_rx_queues = max;
  link.combined_channels = combined;
  return link;
}

TEST(RequireQueues, AcceptsWhatIsThere) {
  EXPECT_EQ(refusal(link_with("ice", 4, 8, true), 4), "");
  EXPECT_EQ(refusal(link_with("ice", 4, 8, true), 1), "");
}

TEST(RequireQueues, SaysTheEthtoolLineThatFitsTheDriver) {
  EXPECT_EQ(refusal(link_with("veth", 2, 8, false), 4),
            "use 4 queues of eth0: it has 2 receive queues; ethtool -L eth0 rx 4 tx 4");
  EXPECT_EQ(refusal(link_with("ice", 1, 8, true), 4),
            "use 4 queues of eth0: it has 1 receive queue; ethtool -L eth0 combined 4");
  EXPECT_EQ(refusal(link_with("qede", 2, 8, false), 4),
            "use 4 queues of eth0: it has 2 receive queues; ethtool -L eth0 rx 4");
}

TEST(RequireQueues, SaysTheMaximumWhereMoreIsAskedFor) {
  EXPECT_EQ(refusal(link_with("ice", 2, 8, true), 9),
            "use 9 queues of eth0: it has 2 receive queues and can have 8; use --queues 2");
  EXPECT_EQ(refusal(link_with("lo", 1, std::nullopt, false), 2),
            "use 2 queues of eth0: it has 1 receive queue; use --queues 1");
}

TEST(RequireQueues, RefusesNone) { EXPECT_NE(refusal(link_with("ice", 2, 8, true), 0, ExitCode::bad_usage), ""); }

TEST(ReadLink, KnowsTheLoopback) {
  const Link link = read_link("lo");
  EXPECT_EQ(link.name, "lo");
  EXPECT_EQ(link.ifindex, 1U);
  EXPECT_GE(link.mtu_bytes, 1280U);
  EXPECT_EQ(link.rx_queues, 1U);
  EXPECT_FALSE(link.max_rx_queues);
}

TEST(ReadLink, RefusesWhatIsNotThere) {
  for (const char* name : {"", "nothere0", "a-name-that-is-longer-than-any-interface-has"}) {
    try {
      (void)read_link(name);
      ADD_FAILURE() << name;
    } catch (const SetupError& error) {
      EXPECT_EQ(error.code(), ExitCode::machine_cannot);
      EXPECT_NE(std::string(error.what()).find("no such interface"), std::string::npos) << error.what();
    }
  }
}

using LinkInLab = Lab;

TEST_F(LinkInLab, VethHasTheQueuesThatWereSet) {
  const Link link = read_link(near());
  EXPECT_EQ(link.driver, "veth");
  EXPECT_EQ(link.rx_queues, 4U);
  EXPECT_EQ(link.max_rx_queues, 8U);
  EXPECT_FALSE(link.combined_channels);
  EXPECT_EQ(link.mtu_bytes, 1500U);
  EXPECT_TRUE(link.is_up);
  ASSERT_NE(refusal(link, 6), "");
  // The remedy is the command that works.
  const std::string line = refusal(link, 6);
  ASSERT_TRUE(run("ethtool -L " + far() + " rx 6 tx 6"));
  ASSERT_TRUE(run(line.substr(line.find("; ") + 2)));
  EXPECT_EQ(read_link(near()).rx_queues, 6U);
}

TEST_F(LinkInLab, IsFoundByShortAndLongAlternativeNames) {
  ASSERT_TRUE(run("ip link property add dev " + near() + " altname uplink0"));
  ASSERT_TRUE(run("ip link property add dev " + near() + " altname a-name-that-is-longer-than-sixteen"));
  EXPECT_EQ(read_link("uplink0").name, near());
  EXPECT_EQ(read_link("a-name-that-is-longer-than-sixteen").name, near());
}

TEST_F(LinkInLab, CarrierIsAwaitedAndItsLackReported) {
  const Link link = read_link(near());
  EXPECT_TRUE(wait_for_carrier(link.ifindex, milliseconds(30000)));
  ASSERT_TRUE(run("ip link set " + far() + " down"));
  EXPECT_FALSE(wait_for_carrier(link.ifindex, milliseconds(50)));
  EXPECT_FALSE(read_link(near()).has_carrier);
  // A thread has its creator's namespace.
  bool came = false;
  std::thread waiting([&] { came = wait_for_carrier(link.ifindex, milliseconds(60000)); });
  EXPECT_TRUE(run("ip link set " + far() + " up"));
  waiting.join();
  EXPECT_TRUE(came);
}

TEST_F(LinkInLab, AnInterfaceThatGoesAwayIsNotWaitedForAsIfItWereThere) {
  const Link link = read_link(near());
  ASSERT_TRUE(run("ip link set " + far() + " down"));
  bool came = true;
  std::thread waiting([&] { came = wait_for_carrier(link.ifindex, milliseconds(3'600'000)); });  // the test ends first
  EXPECT_TRUE(run("ip link del " + near()));
  waiting.join();
  EXPECT_FALSE(came);
  EXPECT_FALSE(read_device_counters(link.ifindex));
}

TEST_F(LinkInLab, TellsWhetherVlanTagsAreTakenOut) {
  EXPECT_TRUE(ethtool::takes_vlan_tags_out(near()));
  ASSERT_TRUE(run("ethtool -K " + near() + " rxvlan off"));
  EXPECT_FALSE(ethtool::takes_vlan_tags_out(near()));
  EXPECT_FALSE(ethtool::takes_vlan_tags_out("nothere0"));
}

TEST_F(LinkInLab, CountersAndStatisticsCountPackets) {
  const unsigned ifindex = read_link(near()).ifindex;
  const auto before = read_device_counters(ifindex);
  send_frames(far(), 3);
  const auto after = read_device_counters(ifindex);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->nic_seen() - before->nic_seen(), 3U);
  const auto statistics = ethtool::statistics(near());
  const auto is = [](const char* name) { return [name](const auto& one) { return one.name == name; }; };
  EXPECT_TRUE(std::ranges::any_of(statistics, is("rx_queue_0_xdp_packets")));
  EXPECT_TRUE(std::ranges::any_of(statistics, is("tx_queue_3_xdp_xmit_errors")));
  EXPECT_TRUE(ethtool::statistics("nothere0").empty());
}

}  // namespace
}  // namespace xsk::test
