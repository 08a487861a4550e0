// Sources that are blocked for a time, with a clock and a kernel of the test's own; and what is told of them.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "engine/block/blocker.h"
#include "plugins/blocks.h"

namespace {

using engine::Source;
using engine::TimedBlocks;
using Outcome = TimedBlocks::Outcome;

constexpr std::uint64_t kSecond_ns = 1'000'000'000;

Source source(const char* text) {
  bpf::BlockList list;
  bpf::add_block_entry(text, "test", list);
  return engine::sources_of(list).at(0);
}

// The n-th address, or network of 24 bits, of 10.0.0.0/8.
Source numbered(std::uint32_t n, bool network = false) {
  Source one = source("10.0.0.0/8");
  one.bits = network ? 120 : 128;
  if (network) n <<= 8;
  one.bytes[13] = static_cast<std::uint8_t>(n >> 16);
  one.bytes[14] = static_cast<std::uint8_t>(n >> 8);
  one.bytes[15] = static_cast<std::uint8_t>(n);
  return one;
}

struct FakeKernel {
  TimedBlocks::Kernel hooks() {
    return {
        .add = [this](const Source& one) { return error != 0 ? error : (in.insert(one.text()), 0); },
        .remove = [this](const Source& one) { return error != 0                  ? error
                                                     : in.erase(one.text()) == 1 ? 0
                                                                                 : ENOENT; }};
  }
  std::set<std::string> in;
  int error = 0;
};

std::vector<std::string> expire(TimedBlocks& blocks, std::uint64_t now_ns, std::size_t limit = 100) {
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

TEST(TimedBlocks, EndWhenTheirTimeIsOver) {
  FakeKernel kernel;
  TimedBlocks blocks(kernel.hooks(), {}, {});
  EXPECT_EQ(blocks.block(source("10.0.0.1"), 0, 1.5, 7 * kSecond_ns), Outcome::blocked);
  EXPECT_EQ(blocks.block(source("172.16.0.0/12"), 0, 1, 7 * kSecond_ns), Outcome::blocked);
  EXPECT_EQ(kernel.in, (std::set<std::string>{"10.0.0.1", "172.16.0.0/12"}));
  EXPECT_TRUE(expire(blocks, 8 * kSecond_ns - 1).empty());
  EXPECT_EQ(expire(blocks, 8 * kSecond_ns), std::vector<std::string>{"172.16.0.0/12"});
  EXPECT_TRUE(expire(blocks, 8 * kSecond_ns + kSecond_ns / 2 - 1).empty());
  EXPECT_EQ(expire(blocks, 9 * kSecond_ns), std::vector<std::string>{"10.0.0.1"});
  EXPECT_TRUE(kernel.in.empty());
  EXPECT_EQ(blocks.addresses() + blocks.networks(), 0u);
}

TEST(TimedBlocks, AreExtendedAndNeverShortened) {
  FakeKernel kernel;
  TimedBlocks blocks(kernel.hooks(), {}, {});
  EXPECT_EQ(blocks.block(source("10.0.0.1"), 0, 5, 0), Outcome::blocked);
  EXPECT_EQ(blocks.block(source("10.0.0.1"), 0, 1, kSecond_ns), Outcome::extended);
  EXPECT_TRUE(expire(blocks, 4 * kSecond_ns).empty());
  EXPECT_EQ(blocks.block(source("10.0.0.1"), 0, 5, 4 * kSecond_ns), Outcome::extended);
  EXPECT_TRUE(expire(blocks, 8 * kSecond_ns).empty());
  EXPECT_EQ(expire(blocks, 9 * kSecond_ns).size(), 1u);
}

TEST(TimedBlocks, LeaveTheOperatorsEntriesAlone) {
  FakeKernel kernel;
  kernel.in = {"10.0.0.1"};
  TimedBlocks blocks(kernel.hooks(), {source("10.0.0.1")}, {});
  EXPECT_EQ(blocks.block(source("10.0.0.1"), 0, 1, 0), Outcome::permanent);
  EXPECT_TRUE(expire(blocks, 100 * kSecond_ns).empty());
  EXPECT_TRUE(kernel.in.contains("10.0.0.1"));
}

TEST(TimedBlocks, NeverHoldWhatOverlapsWhatTheMachineNeeds) {
  FakeKernel kernel;
  TimedBlocks blocks(kernel.hooks(), {}, {source("192.0.2.1"), source("198.51.100.0/24")});
  for (const char* text : {"192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "198.51.100.7", "198.51.100.128/25"})
    EXPECT_EQ(blocks.block(source(text), 0, 1, 0), Outcome::never) << text;
  EXPECT_EQ(blocks.block(source("192.0.2.2"), 0, 1, 0), Outcome::blocked);
  EXPECT_EQ(blocks.block(source("::/0"), 0, 1, 0), Outcome::blocked) << "holds no IPv4";
  EXPECT_EQ(kernel.in.size(), 2u);
}

TEST(TimedBlocks, AreBoundedAndGiveUpNothingForANewOne) {
  FakeKernel kernel;
  TimedBlocks blocks(kernel.hooks(), {}, {});
  for (std::uint32_t i = 0; i < TimedBlocks::kMaxAddresses; ++i)
    ASSERT_EQ(blocks.block(numbered(i), 0, 10, i), Outcome::blocked);
  for (std::uint32_t i = 0; i < TimedBlocks::kMaxNetworks; ++i)
    ASSERT_EQ(blocks.block(numbered(i, true), 0, 10, kSecond_ns), Outcome::blocked);
  EXPECT_EQ(blocks.block(source("192.0.2.1"), 0, 10, 5), Outcome::full);
  EXPECT_EQ(blocks.block(source("192.0.2.0/24"), 0, 10, 5), Outcome::full);
  EXPECT_EQ(blocks.block(numbered(3), 0, 20, 5), Outcome::extended) << "is in it";
  EXPECT_EQ(expire(blocks, 10 * kSecond_ns, 1), std::vector<std::string>{"10.0.0.0"}) << "as many as asked for";
  EXPECT_EQ(blocks.block(source("192.0.2.1"), 0, 10, 5), Outcome::blocked);
}

TEST(TimedBlocks, TryAgainWhatTheKernelDoesNotRemove) {
  FakeKernel kernel;
  TimedBlocks blocks(kernel.hooks(), {}, {});
  EXPECT_EQ(blocks.block(source("10.0.0.1"), 0, 1, 0), Outcome::blocked);
  kernel.error = EPERM;
  EXPECT_EQ(blocks.block(source("10.0.0.2"), 0, 1, 0), Outcome::failed);
  EXPECT_EQ(blocks.error(), EPERM);
  EXPECT_TRUE(expire(blocks, kSecond_ns).empty());
  kernel.error = 0;
  EXPECT_TRUE(expire(blocks, kSecond_ns + 1).empty());
  EXPECT_EQ(expire(blocks, 2 * kSecond_ns).size(), 1u);
  kernel.in.clear();
  EXPECT_EQ(blocks.block(source("10.0.0.3"), 0, 1, 0), Outcome::blocked);
  kernel.in.clear();
  EXPECT_EQ(expire(blocks, 2 * kSecond_ns).size(), 1u) << "somebody else removed it";
}

struct Told {
  engine::BlockerConfig config() {
    engine::BlockerConfig config;
    config.kernel = kernel.hooks();
    config.never = {source("192.0.2.1")};
    config.plugins = {"first", "syn \"flood\""};
    config.tell = [this](std::string_view event, std::string_view members) {
      lines.push_back(std::string(event) + " " + std::string(members));
    };
    return config;
  }
  static engine_block request(const Source& one, double seconds) {
    engine_block request{};
    std::memcpy(static_cast<void*>(&request.first), one.bytes.data(), one.bytes.size());
    request.bits = one.bits;
    request.seconds = seconds;
    return request;
  }
  FakeKernel kernel;
  std::vector<std::string> lines;
};

TEST(Blocker, TellsWhoseWishWasWhat) {
  Told told;
  engine::Blocker blocker(told.config());
  blocker.take(1, Told::request(source("10.0.0.0/8"), 2.5), 0);
  blocker.take(0, Told::request(source("10.0.0.0/8"), 2.5), 0);
  blocker.take(0, Told::request(source("192.0.2.1"), 2.5), 0);
  told.kernel.error = E2BIG;
  blocker.take(0, Told::request(source("10.0.0.1"), 1), 0);
  told.kernel.error = 0;
  blocker.expire(3 * kSecond_ns);
  EXPECT_EQ(told.lines,
            (std::vector<std::string>{R"(blocked "plugin":"syn \"flood\"","target":"10.0.0.0/8","for_s":2.5)",
                                      R"(unblocked "plugin":"syn \"flood\"","target":"10.0.0.0/8")"}));
  const engine::BlockLedger& ledger = blocker.ledger();
  EXPECT_EQ(ledger.blocked, 1u);
  EXPECT_EQ(ledger.repeated, 1u);
  EXPECT_EQ(ledger.refused_never, 1u);
  EXPECT_EQ(ledger.failed, 1u);
  EXPECT_EQ(ledger.unblocked, 1u);
}

TEST(Blocker, TellsAHundredASecondAndHowManyItDidNot) {
  Told told;
  engine::Blocker blocker(told.config());
  for (std::uint32_t i = 0; i < 1000; ++i) blocker.take(0, Told::request(numbered(i), 60), kSecond_ns);
  EXPECT_EQ(told.lines.size(), 100u);
  blocker.take(0, Told::request(numbered(1000), 60), 2 * kSecond_ns);
  ASSERT_EQ(told.lines.size(), 101u);
  EXPECT_NE(told.lines.back().find("\"not_told\":900"), std::string::npos) << told.lines.back();
  EXPECT_EQ(blocker.ledger().blocked, 1001u);
}

TEST(Blocker, TellsTheWorkersWhenThereIsNoRoomAndWhenThereIsAgain) {
  Told told;
  engine::Blocker blocker(told.config());
  for (std::uint32_t i = 0; i < TimedBlocks::kMaxAddresses; ++i) {
    EXPECT_EQ(blocker.full(), 0u);
    blocker.take(0, Told::request(numbered(i), 1), i);
  }
  EXPECT_EQ(blocker.full(), plugins::Blocks::kNoAddresses);
  blocker.take(0, Told::request(source("192.0.2.7"), 1), 5);
  EXPECT_EQ(blocker.ledger().refused_full, 1u);
  for (std::uint32_t i = 0; i < TimedBlocks::kMaxNetworks; ++i) blocker.take(0, Told::request(numbered(i, true), 1), i);
  EXPECT_EQ(blocker.full(), plugins::Blocks::kNoAddresses | plugins::Blocks::kNoNetworks);
  for (int round = 0; round < 100; ++round) blocker.expire(2 * kSecond_ns);
  EXPECT_EQ(blocker.full(), 0u);
  EXPECT_EQ(blocker.ledger().unblocked, TimedBlocks::kMaxAddresses + TimedBlocks::kMaxNetworks);
}

}  // namespace
