// What rtnetlink's messages are taken for, over messages made here: the order and the kinds that a test machine does
// not produce at will.
#include "engine/source/link_state.h"

#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

namespace engine {
namespace {

// A message of the kernel, with what a test wants in it.
class Message {
 public:
  explicit Message(std::uint16_t type, int ifindex, unsigned flags = IFF_UP, unsigned char family = AF_UNSPEC) {
    header()->nlmsg_type = type;
    auto* const info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(header(), sizeof(ifinfomsg)));
    info->ifi_family = family;
    info->ifi_index = ifindex;
    info->ifi_flags = flags;
  }
  Message& name(const char* name) {
    mnl_attr_put_strz(header(), IFLA_IFNAME, name);
    return *this;
  }
  Message& carrier(bool carrier) {
    mnl_attr_put_u8(header(), IFLA_CARRIER, carrier ? 1 : 0);
    return *this;
  }
  Message& mtu(std::uint32_t bytes) {
    mnl_attr_put_u32(header(), IFLA_MTU, bytes);
    return *this;
  }
  Message& program(std::uint16_t mode, std::uint32_t id) {
    nlattr* const nest = mnl_attr_nest_start(header(), IFLA_XDP);
    mnl_attr_put_u8(header(), IFLA_XDP_ATTACHED, XDP_ATTACHED_DRV);
    mnl_attr_put_u32(header(), IFLA_XDP_PROG_ID, id);
    mnl_attr_put_u32(header(), mode, id);
    mnl_attr_nest_end(header(), nest);
    return *this;
  }
  Message& to_namespace(std::uint32_t id) {
    mnl_attr_put_u32(header(), IFLA_NEW_NETNSID, id);
    return *this;
  }
  Message& received(std::uint64_t packets) {
    rtnl_link_stats64 counters{};
    counters.rx_packets = packets;
    mnl_attr_put(header(), IFLA_STATS64, sizeof counters, &counters);
    return *this;
  }
  nlmsghdr* header() { return header_; }

 private:
  alignas(nlmsghdr) char bytes_[4096] = {};
  nlmsghdr* header_ = mnl_nlmsg_put_header(bytes_);
};

class LinkTrackerTest : public ::testing::Test {
 protected:
  static xsk::Link link(unsigned ifindex, const char* name) {
    xsk::Link link;
    link.ifindex = ifindex;
    link.name = name;
    link.mtu_bytes = 1500;
    link.is_up = link.has_carrier = true;
    return link;
  }
  static Message there(int ifindex, const char* name = "eth0", bool carrier = true) {
    Message message(RTM_NEWLINK, ifindex);
    message.name(name).carrier(carrier).mtu(1500);
    return message;
  }

  // The changes that the message tells.
  std::vector<LinkChange> changes(Message message) {
    events_.clear();
    if (const auto report = parse_link(message.header())) tracker_.take(*report, events_);
    std::vector<LinkChange> changes;
    for (const LinkEvent& event : events_) changes.push_back(event.change);
    return changes;
  }
  using Changes = std::vector<LinkChange>;

  LinkTracker tracker_{{link(5, "eth0"), link(6, "eth1")}};
  std::vector<LinkEvent> events_;
};

TEST_F(LinkTrackerTest, WhatIsKnownAndWhatIsOfOthersIsNoNews) {
  EXPECT_EQ(changes(there(5)), Changes{});
  EXPECT_EQ(changes(there(7, "eth2", false)), Changes{});
  EXPECT_EQ(changes(Message(RTM_DELLINK, 7).name("eth2")), Changes{});
  EXPECT_EQ(changes(Message(RTM_NEWADDR, 5)), Changes{});
}

TEST_F(LinkTrackerTest, CarrierAndAdministratorTakeALinkDown) {
  EXPECT_EQ(changes(there(6, "eth1", false)), Changes{LinkChange::down});
  EXPECT_EQ(events_.front().link, 1u);
  EXPECT_TRUE(events_.front().now.up);
  EXPECT_EQ(changes(Message(RTM_NEWLINK, 6, 0).name("eth1").mtu(1500).carrier(false)), Changes{}) << "down already";
  EXPECT_EQ(changes(there(6, "eth1")), Changes{LinkChange::up});
}

TEST_F(LinkTrackerTest, APortThatLeavesABridgeIsAlive) {
  EXPECT_EQ(changes(Message(RTM_DELLINK, 5, IFF_UP, AF_BRIDGE).name("eth0")), Changes{});
  EXPECT_EQ(changes(Message(RTM_NEWLINK, 5, 0, AF_INET6).name("eth0")), Changes{});
  EXPECT_EQ(tracker_.state(0).ifindex, 5u);
}

TEST_F(LinkTrackerTest, ARemovedInterfaceComesBackByItsName) {
  EXPECT_EQ(changes(Message(RTM_DELLINK, 5).name("eth0").received(77)), Changes{LinkChange::removed});
  EXPECT_EQ(events_.front().before.ifindex, 5u);
  EXPECT_EQ(events_.front().before.counters.rx_packets, 77u);
  EXPECT_EQ(changes(Message(RTM_DELLINK, 5).name("eth0")), Changes{}) << "told once";
  EXPECT_EQ(changes(there(9, "eth9")), Changes{});
  EXPECT_EQ(changes(there(9, "eth0", false)), Changes{LinkChange::returned}) << "also by being renamed";
  EXPECT_EQ(changes(there(9, "eth0", true)), Changes{LinkChange::up});
  events_.clear();
  tracker_.queues(0, 4, events_);
  EXPECT_TRUE(events_.empty()) << "how many there are is known now";
}

TEST_F(LinkTrackerTest, AMoveToAnotherNamespaceIsToldFromARemoval) {
  EXPECT_EQ(changes(Message(RTM_DELLINK, 5).name("eth0").to_namespace(0)), Changes{LinkChange::moved});
  EXPECT_EQ(changes(there(5)), Changes{LinkChange::returned}) << "with the number that it had";
}

TEST_F(LinkTrackerTest, AReturnWhoseRemovalWasNotHeardOfIsBoth) {
  EXPECT_EQ(changes(there(8)), (Changes{LinkChange::removed, LinkChange::returned}));
  EXPECT_EQ(tracker_.state(0).ifindex, 8u);
  events_.clear();
  tracker_.gone(0, events_);
  tracker_.gone(0, events_);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_.front().before.ifindex, 8u);
}

TEST_F(LinkTrackerTest, ARenamedInterfaceIsNotReplacedByTheNextOfItsName) {
  EXPECT_EQ(changes(there(5, "lan0")), Changes{LinkChange::renamed});
  EXPECT_EQ(changes(there(8)), Changes{});
  EXPECT_EQ(tracker_.state(0).ifindex, 5u);
  EXPECT_EQ(changes(Message(RTM_DELLINK, 5).name("lan0")), Changes{LinkChange::removed});
  EXPECT_EQ(changes(there(8)), Changes{LinkChange::returned});
}

TEST_F(LinkTrackerTest, MtuProgramsAndQueuesAreTold) {
  EXPECT_EQ(changes(there(5).mtu(9000)), Changes{LinkChange::mtu});
  EXPECT_EQ(events_.front().before.mtu_bytes, 1500u);
  EXPECT_EQ(events_.front().now.mtu_bytes, 9000u);
  EXPECT_EQ(changes(there(5).mtu(9000).program(IFLA_XDP_DRV_PROG_ID, 3)), Changes{LinkChange::program});
  EXPECT_EQ(events_.front().now.programs[0], 3u);
  EXPECT_EQ(changes(there(5).mtu(9000).program(IFLA_XDP_SKB_PROG_ID, 3)), Changes{LinkChange::program});
  tracker_.queues(0, 1, events_);
  EXPECT_EQ(events_.size(), 1u) << "as it was";
  tracker_.queues(0, 8, events_);
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_EQ(events_.back().change, LinkChange::queues);
  EXPECT_EQ(events_.back().now.rx_queues, 8u);
  EXPECT_EQ(changes(there(5).mtu(9000).program(IFLA_XDP_SKB_PROG_ID, 3)), Changes{});
  EXPECT_EQ(tracker_.state(0).rx_queues, 8u) << "no message says so";
}

TEST_F(LinkTrackerTest, ACutMessageIsNone) {
  Message message(RTM_NEWLINK, 5);
  message.header()->nlmsg_len = NLMSG_LENGTH(sizeof(ifinfomsg) - 4);
  EXPECT_FALSE(parse_link(message.header()));
}

}  // namespace
}  // namespace engine
