// engine.block() and p:bypass(): what a plugin may ask for, what it hears, and what is sent on.
#include <gtest/gtest.h>

#include "plugins/blocks.h"
#include "tests/plugins/lab.h"
#include "tests/plugins/traces.h"

namespace {

constexpr std::string_view kUses = "uses = { 'block', 'bypass' }";

struct Blocking : lab::Lab {
  Blocking() { blocks = &list; }

  std::vector<engine_block> requests() {
    std::vector<engine_block> all;
    for (const lab::Message& message : messages()) {
      if (message.head.kind != ENGINE_MESSAGE_BLOCK) continue;
      EXPECT_EQ(message.head.plugin, 5);
      engine_block request;
      EXPECT_EQ(message.body.size(), sizeof request);
      std::memcpy(static_cast<void*>(&request), message.body.data(), sizeof request);
      all.push_back(request);
    }
    return all;
  }
  std::vector<engine_block> requests_of(std::string_view body) {
    load(std::string(kUses) + " function on_packet(p) " + std::string(body) + " end");
    run(1);
    EXPECT_EQ(state->statistics().errors, 0u) << body;
    return requests();
  }

  std::atomic<std::uint32_t> full{0};
  plugins::Blocks list{full};
};

bool is(const engine_addr& a, const engine_addr& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

TEST(Block, TakesAddressesNetworksAndTexts) {
  const struct {
    const char* target;
    engine_addr first;
    std::uint32_t bits;
  } cases[] = {
      {"p.dst", lab::v4(192, 168, 0, 1), 128},
      {"ip'10.1.2.3'", lab::v4(10, 1, 2, 3), 128},
      {"p.dst:copy()", lab::v4(192, 168, 0, 1), 128},
      {"'10.1.2.3'", lab::v4(10, 1, 2, 3), 128},
      {"net'10.0.0.0/8'", lab::v4(10, 0, 0, 0), 104},
      {"'10.0.0.0/8'", lab::v4(10, 0, 0, 0), 104},
      {"'10.1.2.3/8'", lab::v4(10, 0, 0, 0), 104},
      {"net'10.1.2.3/32'", lab::v4(10, 1, 2, 3), 128},
      {"p.dst:prefix(16)", lab::v4(192, 168, 0, 0), 128},
  };
  for (const auto& [target, first, bits] : cases) {
    Blocking lab;
    const auto asked = lab.requests_of("assert(engine.block(" + std::string(target) + ", 2.5) == true)");
    ASSERT_EQ(asked.size(), 1u) << target;
    EXPECT_TRUE(is(asked[0].first, first)) << target;
    EXPECT_EQ(asked[0].bits, bits) << target;
    EXPECT_EQ(asked[0].seconds, 2.5) << target;
  }
  Blocking lab;
  const auto asked = lab.requests_of("assert(engine.block('2001:db8::/32', 60))");
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].bits, 32u);
}

TEST(Block, IsAskedForFromEveryCallback) {
  Blocking lab;
  lab.load(
      "uses = { 'block' } function on_start() engine.block('10.0.0.1', 1) end "
      "function on_batch(b) engine.block(b[2].dst, 1) end "
      "function on_tick() engine.block('10.0.0.3', 1) end function on_stop() engine.block('10.0.0.4', 1) end");
  EXPECT_EQ(lab.requests().size(), 1u);
  lab.run(4);
  EXPECT_EQ(lab.requests().size(), 1u);
  lab.state->tick(0);
  EXPECT_EQ(lab.requests().size(), 1u);
  lab.state->stop();
  EXPECT_EQ(lab.requests().size(), 1u);
}

TEST(Block, OfTheSameSourceIsSentOnceInAWhileInterpretedAndCompiled) {
  Blocking lab;
  lab.warm = true;
  lab.load("uses = { 'block' } function on_packet(p) if not engine.block(p.dst, 60) then error('refused') end end");
  std::size_t sent = 0;
  for (int batch = 0; batch < 20; ++batch) {  // of 256 packets, 1 us apart: 5 ms
    for (std::uint32_t i = 0; i < lab::kCapacity; ++i) LAB_SET(lab.packets[i], time, (batch * 256.0 + i) * 1000.0);
    lab.run();
    sent += lab.requests().size();
  }
  EXPECT_EQ(sent, 1u);
  for (auto& packet : lab.packets) LAB_SET(packet, time, 110e6);
  lab.run(64);
  EXPECT_EQ(lab.requests().size(), 1u) << "110 ms later it extends the block";
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  EXPECT_EQ(lab.state->statistics().actions_refused, 0u);
}

TEST(Block, OfTheSameSourceForLongerIsSentAtOnce) {
  Blocking lab;
  EXPECT_EQ(
      lab.requests_of("for s = 1, 3 do assert(engine.block(p.dst, s)) assert(engine.block(p.dst, 0.5)) end").size(),
      3u);
}

TEST(Block, MakesNoGarbageAndNoTraceFails) {
  Blocking lab;
  lab.warm = true;
  lab.spec.name = "test";
  lab.spec.code =
      "uses = { 'block' } local banned = net'172.16.0.0/12' "
      "function on_packet(p) engine.block(p.src, 60) engine.block('10.0.0.0/8', 60) engine.block(banned, 1) end";
  plugins::State::Impl impl(lab.spec, lab.binding());
  lab.fill(0);
  lab::Traces traces(impl);
  const std::size_t before_bytes = impl.arena.used_bytes();
  for (int batch = 0; batch < 4000; ++batch) {
    lab.outbox.used = 0;
    const plugins::Loan loan(impl);
    impl.begin_crossing(lab::kCapacity);
    impl.offer(plugins::kRun, 0, lab::kCapacity - 1, false);
  }
  EXPECT_EQ(impl.arena.used_bytes(), before_bytes);
  EXPECT_EQ(traces.count("start"), 0);
  EXPECT_EQ(traces.count("abort"), 0);
  EXPECT_EQ(impl.stats.errors, 0u);
}

TEST(Block, WithoutAKernelListIsRefusedAndCounted) {
  lab::Lab lab;
  lab.load("uses = { 'block' } function on_packet(p) if engine.block(p.src, 1) ~= false then error('taken') end end");
  lab.run(100);
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  EXPECT_EQ(lab.state->statistics().actions_refused, 100u);
  EXPECT_TRUE(lab.messages().empty());
}

TEST(Block, WithoutRoomIsRefusedAndCounted) {
  Blocking lab;
  lab.full = plugins::Blocks::kNoAddresses;
  EXPECT_EQ(lab.requests_of("assert(not engine.block(p.src, 1)) assert(engine.block('10.0.0.0/8', 1))").size(), 1u);
  lab.full = plugins::Blocks::kNoNetworks;
  EXPECT_EQ(lab.requests_of("assert(engine.block(p.src, 1)) assert(not engine.block('10.0.0.0/9', 1))").size(), 1u);
  lab.full = 0;
  lab.outbox.limit = 55;
  EXPECT_EQ(lab.requests_of("assert(not engine.block('10.0.0.7', 1))").size(), 0u);
  EXPECT_EQ(lab.state->statistics().actions_refused, 1u);
}

// Packets without addresses have `::`; blocking 0.0.0.0 would keep new hosts from getting an address.
TEST(Block, OfNoAddressIsRefused) {
  Blocking lab;
  EXPECT_TRUE(lab.requests_of("assert(not engine.block('::', 1)) assert(not engine.block(ip'0.0.0.0', 1))").empty());
  EXPECT_EQ(lab.state->statistics().actions_refused, 2u);
}

TEST(Block, WithoutUsesIsAnErrorThatSaysWhatToAdd) {
  Blocking lab;
  EXPECT_EQ(lab.error_of("local done = engine.block(p.src, 1)"),
            "eval:2: engine.block: the plugin does not declare that it uses this; add uses = { \"block\" }");
  Blocking other;
  EXPECT_EQ(other.error_of("local done = engine.block(p.src, 1)", "uses = { 'bypass', 'rate' }"),
            "eval:2: engine.block: the plugin does not declare that it uses this; add uses = { \"block\" }");
  Blocking bypass;
  EXPECT_EQ(bypass.error_of("local done = p:bypass(1)", "uses = { 'block' }"),
            "eval:2: p:bypass: the plugin does not declare that it uses this; add uses = { \"bypass\" }");
}

TEST(Block, WhileThePluginLoadsIsAnError) {
  Blocking lab;
  EXPECT_EQ(lab.load_error("uses = { 'block' }\nlocal done = engine.block('10.0.0.1', 1)\nfunction on_packet() end"),
            "plugin test: eval:2: engine.block: not while the plugin loads; call it in on_start or later");
}

TEST(Block, ChecksItsArgumentsAtThePluginsLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"engine.block(p.src)", "engine.block: a number of seconds above 0, up to 31536000, expected, got nil"},
      {"engine.block(p.src, 0)", "above 0, up to 31536000, expected, got 0"},
      {"engine.block(p.src, -1)", "expected, got -1"},
      {"engine.block(p.src, 0/0)", "expected, got"},
      {"engine.block(p.src, 1e9)", "expected, got 1000000000"},
      {"engine.block(p.src, 5ULL)", "expected, got 5ULL"},
      {"engine.block(p.src, '5')", "expected, got \"5\""},
      {"engine.block(nil, 5)", "engine.block: an address or a network expected, got nil"},
      {"engine.block(p, 5)", "engine.block: an address or a network expected, got a packet"},
      {"engine.block({ _hi = 1 }, 5)", "engine.block: an address or a network expected, got a table"},
      {"engine.block(p.src4, 5)", "engine.block: an address or a network expected, got"},
      {"engine.block('10.0.0', 5)", "engine.block: \"10.0.0\" is no address or network"},
      {"engine.block('10.0.0.0/33', 5)", "engine.block: \"10.0.0.0/33\" is no address or network"},
      {"engine.block('10.0.0.1\\0', 5)", "is no address or network"},
      {"p:bypass()", "p:bypass: a number of seconds above 0"},
      {"local f = p.bypass f({}, 5)", "call it as p:bypass(...)"},
      {"local f = p.bypass f(nil, 5)", "call it as p:bypass(...)"},
  };
  for (const auto& [call, message] : cases) {
    Blocking lab;
    const std::string error = lab.error_of(std::string(call) + " local x", kUses);
    EXPECT_EQ(error.find("eval:2: "), 0u) << call << ": " << error;
    EXPECT_NE(error.find(message), std::string::npos) << call << ": " << error;
    EXPECT_EQ(lab.state->statistics().actions_refused, 0u) << call;
  }
}

TEST(Bypass, IsRefusedAndCounted) {
  Blocking lab;
  EXPECT_TRUE(lab.requests_of("assert(p:bypass(60) == false)").empty());
  EXPECT_EQ(lab.state->statistics().actions_refused, 1u);
}

}  // namespace
