// What is kept of the kernel's lists, with a clock and a kernel of the test's own.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/base/error.h"
#include "tests/engine/enforce_kernel.h"

namespace {

using namespace enforce_test;
using Outcome = BlockedSources::Outcome;

constexpr std::uint64_t kForGood = UINT64_MAX;

std::vector<std::string> expire(BlockedSources& blocks, std::uint64_t now_ns, std::size_t limit = 100) {
  std::vector<std::string> gone;
  blocks.expire(now_ns, limit, [&](const Source& one, std::uint8_t) { gone.push_back(one.text()); });
  return gone;
}

TEST(BlockSource, IsTheSameAsAKeyOfTheProgramsMapsAndAsText) {
  for (const char* text :
       {"10.1.2.3", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::1", "2001:db8::/33", "::/0", "10.1.2.2/31"}) {
    const Source one = source(text);
    EXPECT_EQ(one.text(), text);
    EXPECT_EQ(one.is_address() ? Source::of(one.address()) : Source::of(one.network()), one) << text;
  }
}

TEST(BlockSource, OverlapsWhatItHoldsAndWhatHoldsIt) {
  const struct {
    const char *a, *b;
    bool overlap;
  } cases[] = {{"10.1.2.3", "10.1.2.3", true},
               {"10.1.2.3", "10.1.2.4", false},
               {"10.0.0.0/8", "10.1.2.3", true},
               {"10.1.2.3", "0.0.0.0/0", true},
               {"10.0.0.0/9", "10.128.0.0/9", false},
               {"10.0.0.0/8", "10.64.0.0/10", true},
               {"::/0", "10.1.2.3", false},
               {"::/0", "2001:db8::1", true},
               {"2001:db8::/33", "2001:db8:8000::1", false},
               {"0.0.0.0/0", "2001:db8::1", false}};
  for (const auto& [a, b, expected] : cases) {
    EXPECT_EQ(overlap(source(a), source(b)), expected) << a << " " << b;
    EXPECT_EQ(overlap(source(b), source(a)), expected) << b << " " << a;
  }
}

struct Blocks {
  explicit Blocks(std::vector<Source> permanent = {}, std::vector<Source> never = {})
      : list(kernel.blocks(), {.addresses = 100, .networks = 10}, permanent, std::move(never)) {}
  Outcome block(const char* text, double seconds, double now_s) {
    return list.block(source(text), 0, static_cast<std::uint64_t>((now_s + seconds) * 1e9));
  }
  FakeKernel kernel;
  BlockedSources list;
};

TEST(BlockedSources, EndWhenTheirTimeIsOver) {
  Blocks blocks;
  EXPECT_EQ(blocks.block("10.0.0.1", 1.5, 7), Outcome::blocked);
  EXPECT_EQ(blocks.block("172.16.0.0/12", 1, 7), Outcome::blocked);
  EXPECT_EQ(blocks.kernel.in, (std::set<std::string>{"10.0.0.1", "172.16.0.0/12"}));
  EXPECT_TRUE(expire(blocks.list, 8 * kSecond_ns - 1).empty());
  EXPECT_EQ(expire(blocks.list, 8 * kSecond_ns), std::vector<std::string>{"172.16.0.0/12"});
  EXPECT_TRUE(expire(blocks.list, 8 * kSecond_ns + kSecond_ns / 2 - 1).empty());
  EXPECT_EQ(expire(blocks.list, 9 * kSecond_ns), std::vector<std::string>{"10.0.0.1"});
  EXPECT_TRUE(blocks.kernel.in.empty());
  EXPECT_EQ(blocks.list.addresses() + blocks.list.networks(), 0u);
}

TEST(BlockedSources, AreExtendedAndNeverShortened) {
  Blocks blocks;
  EXPECT_EQ(blocks.block("10.0.0.1", 5, 0), Outcome::blocked);
  EXPECT_EQ(blocks.block("10.0.0.1", 1, 1), Outcome::extended);
  EXPECT_TRUE(expire(blocks.list, 4 * kSecond_ns).empty());
  EXPECT_EQ(blocks.block("10.0.0.1", 5, 4), Outcome::extended);
  EXPECT_TRUE(expire(blocks.list, 8 * kSecond_ns).empty());
  EXPECT_EQ(expire(blocks.list, 9 * kSecond_ns).size(), 1u);
}

TEST(BlockedSources, TheOperatorsStayForGood) {
  Blocks blocks({source("10.0.0.1"), source("10.0.0.1")});
  blocks.kernel.in = {"10.0.0.1"};
  EXPECT_EQ(blocks.list.addresses(), 1u);
  EXPECT_EQ(blocks.block("10.0.0.1", 1, 0), Outcome::permanent);
  EXPECT_EQ(blocks.block("10.0.0.2", 1, 0), Outcome::blocked);
  EXPECT_EQ(blocks.list.block(source("10.0.0.2"), 0, kForGood), Outcome::extended);
  EXPECT_TRUE(expire(blocks.list, 100 * kSecond_ns).empty());
  EXPECT_EQ(blocks.kernel.in.size(), 2u);
}

TEST(BlockedSources, AreTakenOutByHandAndComeAnew) {
  Blocks blocks({source("10.0.0.1")});
  blocks.kernel.in = {"10.0.0.1"};
  EXPECT_EQ(blocks.list.unblock(source("10.0.0.1")), 0);
  EXPECT_EQ(blocks.list.unblock(source("10.0.0.1")), ENOENT);
  EXPECT_EQ(blocks.block("10.0.0.1", 1, 0), Outcome::blocked);
  EXPECT_EQ(blocks.list.unblock(source("10.0.0.1")), 0);
  EXPECT_EQ(blocks.block("10.0.0.1", 5, 0), Outcome::blocked);
  EXPECT_TRUE(expire(blocks.list, 4 * kSecond_ns).empty()) << "the end of the one before is not its end";
  blocks.kernel.error = EPERM;
  EXPECT_EQ(blocks.list.unblock(source("10.0.0.1")), EPERM);
  blocks.kernel.error = 0;
  EXPECT_EQ(expire(blocks.list, 5 * kSecond_ns).size(), 1u);
}

TEST(BlockedSources, ComingAndGoingByHandLeavesNothingBehind) {
  Blocks blocks;
  for (int round = 0; round < 100'000; ++round) {
    ASSERT_EQ(blocks.block("10.0.0.1", 1000, round), Outcome::blocked);
    ASSERT_EQ(blocks.list.unblock(source("10.0.0.1")), 0);
  }
  EXPECT_LE(blocks.list.list().ends(), 2048u);
}

TEST(BlockedSources, NeverHoldWhatOverlapsWhatTheMachineNeeds) {
  Blocks blocks({}, {source("192.0.2.1"), source("198.51.100.0/24")});
  for (const char* text : {"192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "198.51.100.7", "198.51.100.128/25"})
    EXPECT_EQ(blocks.block(text, 1, 0), Outcome::never) << text;
  EXPECT_EQ(blocks.block("192.0.2.2", 1, 0), Outcome::blocked);
  EXPECT_EQ(blocks.block("::/0", 1, 0), Outcome::blocked) << "holds no IPv4";
  EXPECT_EQ(blocks.list.block(source("192.0.2.1"), 0, kForGood, true), Outcome::blocked) << "it is meant";
  EXPECT_EQ(blocks.kernel.in.size(), 3u);
}

TEST(BlockedSources, AreBoundedAndGiveUpNothingForANewOne) {
  Blocks blocks({source("192.0.2.9")});
  for (std::uint32_t i = 0; i < 100; ++i)
    ASSERT_EQ(blocks.list.block(numbered(i), 0, 10 * kSecond_ns + i), Outcome::blocked);
  for (std::uint32_t i = 0; i < 10; ++i)
    ASSERT_EQ(blocks.list.block(numbered(i, true), 0, 11 * kSecond_ns), Outcome::blocked);
  EXPECT_EQ(blocks.block("192.0.2.1", 10, 5), Outcome::full);
  EXPECT_EQ(blocks.block("192.0.2.0/24", 10, 5), Outcome::full);
  EXPECT_EQ(blocks.list.block(numbered(3), 0, 20 * kSecond_ns), Outcome::extended) << "is in it";
  EXPECT_EQ(expire(blocks.list, 11 * kSecond_ns, 1), std::vector<std::string>{"10.0.0.0"}) << "as many as asked for";
  EXPECT_EQ(blocks.block("192.0.2.1", 10, 5), Outcome::blocked);
}

TEST(BlockedSources, TryAgainWhatTheKernelDoesNotRemove) {
  Blocks blocks;
  EXPECT_EQ(blocks.block("10.0.0.1", 1, 0), Outcome::blocked);
  blocks.kernel.error = EPERM;
  EXPECT_EQ(blocks.block("10.0.0.2", 1, 0), Outcome::failed);
  EXPECT_EQ(blocks.list.error(), EPERM);
  EXPECT_TRUE(expire(blocks.list, kSecond_ns).empty());
  blocks.kernel.error = 0;
  EXPECT_TRUE(expire(blocks.list, kSecond_ns + 1).empty());
  EXPECT_EQ(expire(blocks.list, 2 * kSecond_ns).size(), 1u);
  EXPECT_EQ(blocks.block("10.0.0.3", 1, 0), Outcome::blocked);
  blocks.kernel.in.clear();
  EXPECT_EQ(expire(blocks.list, 2 * kSecond_ns).size(), 1u) << "somebody else removed it";
}

TEST(BlockedSources, AMillionComeInPagesThatMissNone) {
  std::vector<Source> million;
  for (std::uint32_t i = 0; i < 1'000'000; ++i) million.push_back(numbered(i));
  const Blocks blocks(million);
  std::vector<bool> seen(million.size());
  std::size_t cursor = 0, pages = 0;
  do {
    std::size_t page = 0;
    cursor = blocks.list.list().page(cursor, 1000, [&](const Source& one, const auto& entry) {
      seen[std::size_t{one.bytes[13]} << 16 | std::size_t{one.bytes[14]} << 8 | one.bytes[15]] = true;
      if (entry.until_ns != kForGood) ADD_FAILURE() << one.text();
      ++page;
    });
    EXPECT_LT(page, 1100u);
    ++pages;
  } while (cursor != 0);
  EXPECT_EQ(std::ranges::count(seen, true), 1'000'000);
  EXPECT_LE(pages, 1001u);
}

TEST(FlowText, IsReadAndWritten) {
  const std::pair<const char*, const char*> cases[] = {
      {"tcp 10.0.0.1:80 10.0.0.2:4000", "tcp 10.0.0.1:80 10.0.0.2:4000"},
      {"tcp 10.0.0.2:4000\t10.0.0.1:80", "tcp 10.0.0.1:80 10.0.0.2:4000"},
      {"udp [2001:db8::1]:53 [2001:db8::2]:0", "udp [2001:db8::1]:53 [2001:db8::2]:0"},
      {"icmp 10.0.0.2 10.0.0.1", "icmp 10.0.0.1 10.0.0.2"},
      {"icmp6 2001:db8::1 fe80::1", "icmp6 2001:db8::1 fe80::1"},
      {"17 10.0.0.1:1 10.0.0.1:2", "udp 10.0.0.1:1 10.0.0.1:2"},
      {"89 10.0.0.1 10.0.0.2", "89 10.0.0.1 10.0.0.2"}};
  for (const auto& [text, written] : cases) EXPECT_EQ(flow(text).text(), written);
  for (const char* bad :
       {"", "tcp", "tcp 10.0.0.1:80", "tcp 10.0.0.1 10.0.0.2", "icmp 10.0.0.1:1 10.0.0.2:1",
        "tcp 10.0.0.1:80 10.0.0.2:", "tcp 10.0.0.1:65536 10.0.0.2:1", "tcp 2001:db8::1:80 2001:db8::2:80",
        "tcp [10.0.0.1]:80 10.0.0.2:1", "tpc 10.0.0.1:80 10.0.0.2:1", "256 10.0.0.1 10.0.0.2", "icmp 10.0.0.1 ::1",
        "tcp 10.0.0.1:80 10.0.0.2:1 60"})
    EXPECT_THROW(flow(bad), engine::SetupError) << bad;
}

TEST(FlowText, NamesOneFlowForBothDirectionsAsThePacketsDo) {
  engine_bypass request{};
  const Source a = source("10.0.0.9"), b = source("10.0.0.1");
  std::memcpy(static_cast<void*>(&request.src), a.bytes.data(), 16);
  std::memcpy(static_cast<void*>(&request.dst), b.bytes.data(), 16);
  request.src_port = 4000;
  request.dst_port = 80;
  request.proto = 6;
  EXPECT_EQ(Flow::of(request), flow("tcp 10.0.0.1:80 10.0.0.9:4000"));
  const root_flow there = flow("tcp 10.0.0.1:80 10.0.0.9:4000").key(), back = Flow::of(request).key();
  EXPECT_EQ(std::memcmp(&there, &back, sizeof there), 0);
}

TEST(BypassedFlows, TellWhatPassedWhenTheirTimeIsOver) {
  FakeKernel kernel;
  BypassedFlows flows(kernel.flows(), 2);
  const Flow one = flow("tcp 10.0.0.1:80 10.0.0.2:4000"), two = flow("udp 10.0.0.1:80 10.0.0.2:4000");
  EXPECT_EQ(flows.bypass(one, 3, kSecond_ns), BypassedFlows::Outcome::bypassed);
  EXPECT_EQ(flows.bypass(one, 3, 2 * kSecond_ns), BypassedFlows::Outcome::extended);
  EXPECT_EQ(flows.bypass(two, 3, kForGood), BypassedFlows::Outcome::bypassed);
  EXPECT_EQ(flows.bypass(two, 3, kSecond_ns), BypassedFlows::Outcome::permanent);
  EXPECT_EQ(flows.bypass(flow("icmp 10.0.0.1 10.0.0.2"), 3, kForGood), BypassedFlows::Outcome::full);
  kernel.passed[one.text()] = {5, 500};
  kernel.passed[two.text()] = {7, 700};
  std::vector<std::string> gone;
  const auto remember = [&](const Flow& it, std::uint8_t by, const FlowFigures& last) {
    EXPECT_EQ(by, 3);
    gone.push_back(it.text() + " " + std::to_string(last.packets) + " " + std::to_string(last.bytes));
  };
  flows.expire(kSecond_ns, 10, remember);
  EXPECT_TRUE(gone.empty());
  flows.expire(2 * kSecond_ns, 10, remember);
  EXPECT_EQ(gone, std::vector<std::string>{one.text() + " 5 500"});
  FlowFigures last;
  EXPECT_EQ(flows.unbypass(one, last), ENOENT);
  flows.end(remember);
  EXPECT_EQ(gone.back(), two.text() + " 7 700");
  EXPECT_EQ(flows.unbypass(two, last), 0);
  EXPECT_EQ(last.packets, 7u);
  EXPECT_TRUE(kernel.passed.empty());
}

TEST(RateLimits, TheLowestIsInForceAndNobodyLoosensAnothers) {
  FakeKernel kernel;
  kernel.max_pps = 1000;
  engine::RateLimits limits(kernel.rate(), engine::kByOperator, {1000, 0});
  EXPECT_EQ(limits.want(0, {2000, 0}, 5 * kSecond_ns), 0);
  EXPECT_EQ(kernel.max_pps, 1000u);
  EXPECT_EQ(limits.want(1, {300, 0}, 3 * kSecond_ns), 0);
  EXPECT_EQ(kernel.max_pps, 300u);
  EXPECT_EQ(limits.want(1, {400, 0}, 4 * kSecond_ns), 0);
  EXPECT_EQ(kernel.max_pps, 400u) << "its own it may loosen";
  std::vector<int> gone;
  const auto remember = [&](std::uint8_t by) { gone.push_back(by); };
  limits.expire(4 * kSecond_ns, remember);
  EXPECT_EQ(gone, std::vector<int>{1});
  EXPECT_EQ(kernel.max_pps, 1000u);
  EXPECT_EQ(limits.want(engine::kByOperator, {0, 0}, kForGood), 0);
  EXPECT_EQ(kernel.max_pps, 2000u);
  kernel.error = EPERM;
  EXPECT_EQ(limits.want(2, {10, 0}, kForGood), EPERM);
  limits.expire(5 * kSecond_ns, remember);
  EXPECT_EQ(limits.in_force().max_pps, 2000u) << "as the kernel has it";
  kernel.error = 0;
  limits.expire(7 * kSecond_ns, remember);
  EXPECT_EQ(kernel.max_pps, 0u);
  EXPECT_EQ(gone, (std::vector<int>{1, 0}));
}

}  // namespace
