// The flow table without Lua: what is one flow, what it counts, when it ends and why, and that it stays bounded.
#include <algorithm>
#include <random>
#include <set>

#include "tests/plugins/flow_lab.h"

using lab::Flows;
using lab::limits;
using lab::Line;
using lab::packet_of;
using lab::Say;
using plugins::FlowOptions;

namespace {

Say back(Say say) {
  std::swap(say.from, say.to);
  std::swap(say.from_port, say.to_port);
  return say;
}

Say later(Say say, double at_s) {
  say.at_s = at_s;
  return say;
}

std::string reason_of(const std::vector<Line>& lines) { return lines.empty() ? "none" : lines[0].at("reason"); }

TEST(FlowTable, BothDirectionsAreOneFlowSeenFromTheOneWhoBegan) {
  for (const Say& first : {Say{.from = "10.0.0.1", .to = "10.0.0.2", .payload = 10},
                           Say{.from = "10.0.0.2", .to = "10.0.0.1", .payload = 10}}) {
    Flows flows;
    flows.say(first);
    flows.say(later(back(first), 0.5));
    flows.say(later(back(first), 1.5));
    const std::vector<Line> lines = flows.finish(2);
    ASSERT_EQ(lines.size(), 1u);
    const Line& flow = lines[0];
    EXPECT_EQ(flow.at("src"), first.from);
    EXPECT_EQ(flow.at("dst"), first.to);
    EXPECT_EQ(flow.at("src_port"), "1000");
    EXPECT_EQ(flow.at("dst_port"), "80");
    EXPECT_EQ(flow.at("proto"), "17");
    EXPECT_EQ(flow.at("first"), "0");
    EXPECT_EQ(flow.at("last"), "1500000000");
    EXPECT_EQ(flow.at("duration_s"), "1.5");
    EXPECT_EQ(flow.at("forward.packets"), "1");
    EXPECT_EQ(flow.at("forward.bytes"), "64");
    EXPECT_EQ(flow.at("forward.payload_bytes"), "10");
    EXPECT_EQ(flow.at("reverse.packets"), "2");
    EXPECT_EQ(flow.at("reverse.bytes"), "128");
    EXPECT_EQ(flow.at("state"), "established");
    EXPECT_EQ(flow.at("reason"), "end");
    EXPECT_FALSE(flow.contains("forward.flags")) << "UDP has none";
    EXPECT_FALSE(flow.contains("vlan"));
    EXPECT_FALSE(flow.contains("split"));
  }
}

TEST(FlowTable, WhatDiffersInAddressPortProtocolOrVlanIsAnotherFlow) {
  const Say base;
  const Say others[] = {{.from = "10.0.0.3"}, {.to = "10.0.0.3"},
                        {.from_port = 1001},  {.to_port = 81},
                        {.proto = 6},         {.vlan = 7},
                        {.inner_vlan = 7},    {.fragment = true},
                        {.proto = 132},       {.from = "2001:db8::1", .to = "2001:db8::2"}};
  for (const Say& other : others) {
    Flows flows;
    flows.say(base);
    flows.say(other);
    EXPECT_EQ(flows.table.size(), 2u);
    flows.say(back(base));
    flows.say(back(other));
    EXPECT_EQ(flows.table.size(), 2u);
  }
}

TEST(FlowTable, OneEndpointTalkingToItselfIsOneFlow) {
  Flows flows;
  const Say self{.from = "127.0.0.1", .from_port = 5, .to = "127.0.0.1", .to_port = 6};
  flows.say(self);
  flows.say(back(self));
  EXPECT_EQ(flows.table.size(), 1u);
  EXPECT_EQ(flows.finish(1)[0].at("reverse.packets"), "1");
}

TEST(FlowTable, VlanTagsArePublished) {
  Flows flows;
  flows.say({.vlan = 100, .inner_vlan = 4095});
  const Line flow = flows.finish(1)[0];
  EXPECT_EQ(flow.at("vlan"), "100");
  EXPECT_EQ(flow.at("inner_vlan"), "4095");
}

TEST(FlowTable, AnEchoAndItsReplyAreOneFlowUnreachablesAreOneWay) {
  Flows flows;
  flows.say({.proto = 1, .type = 8});
  flows.say(back({.proto = 1, .type = 0}));
  EXPECT_EQ(flows.table.size(), 1u);
  flows.say({.proto = 1, .type = 3, .code = 1});
  flows.say(back({.proto = 1, .type = 3, .code = 1}));
  EXPECT_EQ(flows.table.size(), 3u);
  const std::vector<Line> lines = flows.finish(1);
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(), [](const Line& l) { return l.at("src_port") == "8"; }), 1);
}

TEST(FlowTable, AllFragmentsBetweenTwoAddressesAreOneFlowWithoutPorts) {
  Flows flows;
  flows.say({.from_port = 1000, .fragment = true});
  flows.say({.from_port = 0, .to_port = 0, .fragment = true});
  const std::vector<Line> lines = flows.finish(1);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("src_port"), "0");
  EXPECT_EQ(lines[0].at("forward.packets"), "2");
}

TEST(FlowTable, APacketThatIsNotIpHasNoFlow) {
  Flows flows;
  engine_packet arp = packet_of({});
  LAB_SET(arp, ip_version, 0);
  EXPECT_EQ(flows.table.add(arp), nullptr);
  EXPECT_EQ(flows.table.size(), 0u);
}

TEST(FlowTable, WhatTheCaptureCutOffCountsAsPayload) {
  Flows flows;
  engine_packet packet = packet_of({.payload = 10});
  LAB_SET(packet, len, 1514);
  LAB_SET(packet, caplen, 64);
  flows.table.add(packet);
  EXPECT_EQ(flows.finish(1)[0].at("forward.payload_bytes"), "1460");
}

// --- when a flow ends
// -------------------------------------------------------------------------------------------------

TEST(FlowTable, TheIdleLimitIsExact) {
  Flows flows(limits(10, 300));
  flows.say({.at_s = 5});
  flows.advance(14.999999999);
  EXPECT_EQ(flows.table.size(), 1u);
  flows.advance(15);
  EXPECT_EQ(flows.table.size(), 0u);
  const std::vector<Line> lines = flows.publish();
  EXPECT_EQ(reason_of(lines), "idle");
  EXPECT_EQ(lines[0].at("last"), "5000000000");
}

TEST(FlowTable, APacketBehindTheIdleLimitOpensAnotherFlowWhateverTimeWasTold) {
  for (const bool told : {false, true}) {
    Flows flows(limits(10, 300));
    flows.say({.at_s = 5});
    if (told) flows.advance(14.9);
    flows.say({.at_s = 14.9});
    flows.say({.at_s = 24.9});
    const std::vector<Line> lines = flows.finish(25);
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0].at("forward.packets"), "2");
    EXPECT_EQ(lines[0].at("reason"), "idle");
    EXPECT_EQ(lines[1].at("reason"), "end");
  }
}

TEST(FlowTable, TheActiveLimitCutsTheRecordAndTheFlowGoesOnUnderItsName) {
  Flows flows(limits(10, 30));
  for (int s = 0; s <= 65; s += 5) flows.say({.at_s = static_cast<double>(s), .payload = 1});
  const std::vector<Line> lines = flows.finish(66);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].at("forward.packets"), "6");  // 0 to 25 s
  EXPECT_EQ(lines[0].at("reason"), "active");
  EXPECT_EQ(lines[1].at("first"), "30000000000");
  EXPECT_EQ(lines[1].at("forward.packets"), "6");
  EXPECT_EQ(lines[2].at("forward.packets"), "2");
  EXPECT_EQ(lines[2].at("reason"), "end");
  EXPECT_EQ(lines[0].at("flow_id"), lines[2].at("flow_id"));
  EXPECT_EQ(flows.counts.at("began"), "1");
  EXPECT_EQ(flows.counts.at("ended"), "1");
}

TEST(FlowTable, ACutRecordWithoutFurtherPacketsIsNotPublishedTwice) {
  Flows flows(limits(10, 30));
  for (int s = 0; s <= 25; s += 5) flows.say({.at_s = static_cast<double>(s)});
  flows.advance(30);
  EXPECT_EQ(reason_of(flows.publish()), "active");
  flows.advance(35);
  EXPECT_TRUE(flows.publish().empty());
  EXPECT_EQ(flows.table.size(), 0u);
}

// However often time is told, and however far the calls are apart: the same flows, at the first call that may know.
TEST(FlowTable, LimitsHoldOverGapsAndTinyStepsAlike) {
  for (const double step_s : {0.01, 0.5, 3.0, 1000.0}) {
    Flows flows(limits(60, 300), 4096);
    std::mt19937 random(7);
    std::map<std::string, double> due;
    for (int i = 0; i < 500; ++i) {
      const double at = i * 0.2;
      const std::string host = "10.1." + std::to_string(random() % 2) + "." + std::to_string(i % 250);
      flows.say({.at_s = at, .from = host});
      due[host] = at + 60;
    }
    std::size_t ended = 0;
    for (double now = step_s; now < 1200; now += step_s) {
      flows.advance(now);
      ended += flows.publish().size();
      std::size_t expected = 0;
      for (const auto& [host, at] : due) expected += at <= now;
      const std::size_t left = now > 100 ? due.size() - expected : flows.table.size();
      ASSERT_EQ(flows.table.size(), left) << now;
    }
    EXPECT_GE(ended, due.size());
  }
}

TEST(FlowTable, TimeThatGoesBackEndsNothingTwice) {
  Flows flows(limits(10, 300));
  flows.say({.at_s = 100});
  flows.advance(105);
  flows.say({.at_s = 50});
  flows.say({.at_s = 1, .from_port = 7});
  flows.advance(20);
  EXPECT_EQ(flows.table.size(), 2u);
  flows.advance(110);
  EXPECT_EQ(flows.table.size(), 0u);
  EXPECT_EQ(flows.publish().size(), 2u);
}

// --- bounds ---------------------------------------------------------------------------------------------------------

TEST(FlowTable, EvictionIsCountedAndPublishedAndTheTableStaysBounded) {
  Flows flows(limits(60, 300, 100), 2000);
  for (int i = 0; i < 1100; ++i) {
    flows.say({.at_s = i * 0.001, .from_port = static_cast<std::uint16_t>(i)});
    ASSERT_LE(flows.table.size(), 100u);
  }
  flows.advance(1.1);
  const std::vector<Line> lines = flows.publish();
  EXPECT_EQ(lines.size(), 1000u);
  for (const Line& line : lines) EXPECT_EQ(line.at("reason"), "evicted");
  EXPECT_EQ(flows.counts.at("evicted"), "1000");
  EXPECT_EQ(flows.counts.at("active"), "100");
  EXPECT_EQ(flows.counts.at("began"), "1100");
}

TEST(FlowTable, EvictionPrefersWhatHasBeenIdle) {
  Flows flows(limits(60, 300, 64), 100'000);
  double now = 0;
  for (int round = 0; round < 1000; ++round) {
    for (int host = 0; host < 8; ++host)  // always busy
      flows.say({.at_s = now += 1e-5, .from_port = static_cast<std::uint16_t>(host)});
    for (int i = 0; i < 8; ++i)  // one packet each
      flows.say({.at_s = now += 1e-5, .from_port = static_cast<std::uint16_t>(1000 + round * 8 + i)});
  }
  std::size_t busy_evicted = 0;
  for (const Line& line : flows.publish()) busy_evicted += std::stoi(line.at("src_port")) < 8;
  EXPECT_LE(busy_evicted, 8u) << "of 7,944 evictions";
}

TEST(FlowIndex, LooksForWhatIsNotThereOnceAroundThoughEveryBucketWasPassedBy) {
  constexpr std::uint64_t kBuckets = 64 / 6 + 2;
  plugins::FlowIndex index(64);
  const auto hash_in = [](std::uint64_t bucket, std::uint64_t tag) {
    return ((bucket << 32) / kBuckets + 1) << 32 | tag;
  };
  std::uint32_t passer = 1000;
  for (std::uint64_t bucket = 0; bucket < kBuckets; ++bucket) {
    for (std::uint32_t row = 0; row < 8; ++row) index.insert(hash_in(bucket, 100 + row), row);
    index.insert(hash_in(bucket, 7), passer++);  // finds its bucket full, and stays in the next
    for (std::uint32_t row = 0; row < 8; ++row) index.erase(hash_in(bucket, 100 + row), row);
  }
  const auto is = [](std::uint32_t wanted) { return [wanted](std::uint32_t row) { return row == wanted; }; };
  for (std::uint64_t bucket = 0; bucket < kBuckets; ++bucket) {
    EXPECT_EQ(index.find(hash_in(bucket, 9), is(5)), plugins::kNoRow);
    EXPECT_EQ(index.find(hash_in(bucket, 7), is(1000 + static_cast<std::uint32_t>(bucket))), 1000 + bucket);
  }
}

TEST(FlowTable, WhatHadEndedAnywayIsNoEviction) {
  Flows flows(limits(10, 300, 4));
  for (std::uint16_t i = 0; i < 4; ++i) flows.say({.at_s = 0, .from_port = i});
  flows.say({.at_s = 20, .from_port = 9});
  EXPECT_EQ(reason_of(flows.publish()), "idle");
  EXPECT_EQ(flows.counts.at("evicted"), "0");
}

TEST(FlowTable, RecordsWithoutRoomAreCounted) {
  Flows flows(limits(10, 300), 3);
  for (std::uint16_t i = 0; i < 10; ++i) flows.say({.at_s = 0, .from_port = i});
  flows.advance(10);
  EXPECT_EQ(flows.publish().size(), 3u);
  EXPECT_EQ(flows.counts.at("records_dropped"), "7");
  EXPECT_EQ(flows.counts.at("ended"), "10");
}

TEST(FlowTable, ATableForOneFlowWorks) {
  Flows flows(limits(10, 300, 1));
  for (std::uint16_t i = 0; i < 100; ++i) flows.say({.at_s = i * 0.1, .from_port = i});
  EXPECT_EQ(flows.table.size(), 1u);
  EXPECT_EQ(flows.publish().size(), 99u);
}

// Against a plain map: the same flows and counts after many lookups, inserts, ends and evictions.
TEST(FlowTable, RandomTrafficGivesTheSameAsAPlainMap) {
  Flows flows(limits(1, 1e6, 5000), 1'000'000);
  std::mt19937 random(3);
  std::map<std::uint16_t, std::pair<double, std::uint64_t>> model;  // last, packets of the open flow
  std::multiset<std::uint64_t> expected, seen;
  for (int i = 0; i < 200'000; ++i) {
    const double now = i * 1e-4;
    const auto port = static_cast<std::uint16_t>(random() % 3000 * (random() % 4 == 0 ? 1 : 0) + random() % 100);
    flows.say({.at_s = now, .from_port = port});
    auto& [last, packets] = model[port];
    if (packets != 0 && now * 1e9 - last * 1e9 >= 1e9) {
      expected.insert(packets);
      packets = 0;
    }
    last = now;
    ++packets;
    if (i % 1000 == 0) flows.advance(now);
  }
  for (const auto& [port, flow] : model) expected.insert(flow.second);
  for (const Line& line : flows.finish(20)) seen.insert(std::stoull(line.at("forward.packets")));
  EXPECT_EQ(flows.counts.at("evicted"), "0");
  EXPECT_EQ(seen, expected);
}

TEST(FlowTable, CallbacksReadWhatEndedAndWhatWasNotReadIsCounted) {
  FlowOptions options = limits(10, 300);
  options.callback = true;
  std::uint32_t pending = 0;
  Flows flows(options, 3);
  flows.table.set_pending(&pending);
  for (std::uint16_t i = 0; i < 3; ++i) flows.say({.at_s = 0, .from_port = i});
  flows.advance(10);
  EXPECT_EQ(pending, 3u);
  EXPECT_NE(flows.table.next_ended(), nullptr);
  auto spare = std::make_shared<FlowOptions>(options);
  plugins::FlowPart next(spare, 3);
  flows.table.attach(next);  // the interval's end: two were not read
  EXPECT_EQ(lab::lines_of(next).back().at("callbacks_lost"), "2");
  EXPECT_EQ(flows.table.next_ended(), nullptr);
}

}  // namespace
