// What is told of the wishes to block, to bypass and to limit, and what workers are told of the room there is.
#include <gtest/gtest.h>

#include "plugins/requests.h"
#include "tests/engine/enforce_kernel.h"

namespace {

using namespace enforce_test;

struct Told {
  Told() : enforcement(config()) {}
  engine::EnforcementConfig config() {
    engine::EnforcementConfig config;
    config.blocked = kernel.blocks();
    config.bypassed = kernel.flows();
    config.rate = kernel.rate();
    config.never = {source("192.0.2.1")};
    config.plugins = {"first", "syn \"flood\""};
    config.room = {300, 10};
    config.flow_room = 2;
    config.tell = [this](std::string_view event, std::string_view members) {
      lines.push_back(std::string(event) + " " + std::string(members));
    };
    return config;
  }
  void block(std::uint8_t plugin, const Source& one, double seconds, std::uint64_t now_ns) {
    engine_block request{};
    std::memcpy(static_cast<void*>(&request.first), one.bytes.data(), one.bytes.size());
    request.bits = one.bits;
    request.seconds = seconds;
    enforcement.take(plugin, request, now_ns);
  }
  FakeKernel kernel;
  std::vector<std::string> lines;
  engine::Enforcement enforcement;
};

TEST(Enforcement, TellsWhoseWishWasWhat) {
  Told told;
  told.block(1, source("10.0.0.0/8"), 2.5, 0);
  told.block(0, source("10.0.0.0/8"), 2.5, 0);
  told.block(0, source("192.0.2.1"), 2.5, 0);
  told.kernel.error = E2BIG;
  told.block(0, source("10.0.0.1"), 1, 0);
  told.kernel.error = 0;
  told.enforcement.expire(3 * kSecond_ns);
  EXPECT_EQ(told.lines,
            (std::vector<std::string>{R"(blocked "plugin":"syn \"flood\"","target":"10.0.0.0/8","for_s":2.5)",
                                      R"(unblocked "plugin":"syn \"flood\"","target":"10.0.0.0/8")"}));
  const engine::BlockLedger ledger = told.enforcement.blocks();
  EXPECT_EQ(ledger.blocked, 1u);
  EXPECT_EQ(ledger.repeated, 1u);
  EXPECT_EQ(ledger.refused_never, 1u);
  EXPECT_EQ(ledger.failed, 1u);
  EXPECT_EQ(ledger.unblocked, 1u);
}

TEST(Enforcement, TellsWhatTheOperatorAskedFor) {
  Told told;
  engine::Enforcement& enforcement = told.enforcement;
  EXPECT_EQ(enforcement.block(source("10.0.0.1"), engine::Enforcement::kForGood_s, 0), "");
  EXPECT_EQ(enforcement.block(source("192.0.2.1"), 1, 0), "this machine, a gateway or --never-block lies in it");
  EXPECT_EQ(enforcement.unblock(source("10.0.0.1"), 0), "");
  EXPECT_EQ(enforcement.unblock(source("10.0.0.1"), 0), "it is not in the list");
  const Flow one = flow("tcp 10.0.0.1:80 10.0.0.2:4000");
  EXPECT_EQ(enforcement.bypass(one, 60, 0), "");
  told.kernel.passed[one.text()] = {5, 500};
  FlowFigures last;
  EXPECT_EQ(enforcement.unbypass(one, last, 0), "");
  EXPECT_EQ(last.bytes, 500u);
  EXPECT_EQ(enforcement.limit_rate({1000, 0}, 60, 0), "");
  enforcement.expire(60 * kSecond_ns);
  EXPECT_EQ(
      told.lines,
      (std::vector<std::string>{
          R"(blocked "by":"operator","target":"10.0.0.1")", R"(unblocked "by":"operator","target":"10.0.0.1")",
          R"(bypassed "by":"operator","target":"tcp 10.0.0.1:80 10.0.0.2:4000","for_s":60)",
          R"(bypass_ended "by":"operator","target":"tcp 10.0.0.1:80 10.0.0.2:4000","packets":5,"bytes":500)",
          R"(rate_limit "by":"operator","max_pps":1000,"for_s":60)", R"(rate_limit "by":"operator","max_pps":0)"}));
  EXPECT_EQ(enforcement.bypasses().packets, 5u);
}

TEST(Enforcement, TellsAHundredASecondAndHowManyItDidNot) {
  Told told;
  for (std::uint32_t i = 0; i < 200; ++i) told.block(0, numbered(i), 60, kSecond_ns);
  EXPECT_EQ(told.lines.size(), 100u);
  told.block(0, numbered(200), 60, 2 * kSecond_ns);
  ASSERT_EQ(told.lines.size(), 101u);
  EXPECT_NE(told.lines.back().find("\"not_told\":100"), std::string::npos) << told.lines.back();
  EXPECT_EQ(told.enforcement.blocks().blocked, 201u);
}

TEST(Enforcement, TellsTheWorkersWhenThereIsNoRoomAndWhenThereIsAgain) {
  using plugins::Requests;
  Told told;
  for (std::uint32_t i = 0; i < 300; ++i) {
    EXPECT_EQ(told.enforcement.full(), 0u);
    told.block(0, numbered(i), 1, i);
  }
  EXPECT_EQ(told.enforcement.full(), Requests::kNoAddresses);
  told.block(0, source("192.0.2.7"), 1, 5);
  EXPECT_EQ(told.enforcement.blocks().refused_full, 1u);
  for (std::uint32_t i = 0; i < 10; ++i) told.block(0, numbered(i, true), 1, i);
  EXPECT_EQ(told.enforcement.full(), Requests::kNoAddresses | Requests::kNoNetworks);
  told.enforcement.bypass(flow("tcp 10.0.0.1:80 10.0.0.2:1"), 1, 0);
  told.enforcement.bypass(flow("tcp 10.0.0.1:80 10.0.0.2:2"), 1, 0);
  EXPECT_EQ(told.enforcement.full(), Requests::kNoAddresses | Requests::kNoNetworks | Requests::kNoFlows);
  told.enforcement.expire(2 * kSecond_ns);
  EXPECT_EQ(told.enforcement.full(), 0u);
  EXPECT_EQ(told.enforcement.blocks().unblocked, 310u);
  EXPECT_EQ(told.enforcement.bypasses().ended, 2u);
}

}  // namespace
