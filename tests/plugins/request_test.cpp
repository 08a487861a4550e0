// engine.block(), p:bypass() and engine.rate_limit(): what a plugin may ask for, what it hears, and what is sent on.
#include <gtest/gtest.h>

#include "plugins/requests.h"
#include "tests/plugins/lab.h"
#include "tests/plugins/traces.h"

namespace {

constexpr std::string_view kUses = "uses = { 'block', 'bypass', 'rate' }";

struct Asking : lab::Lab {
  Asking() { Lab::requests = &list; }

  template <class Request>
  std::vector<Request> requests(std::uint8_t kind) {
    std::vector<Request> all;
    for (const lab::Message& message : messages()) {
      if (message.head.kind != kind) continue;
      EXPECT_EQ(message.head.plugin, 5);
      Request request;
      EXPECT_EQ(message.body.size(), sizeof request);
      std::memcpy(static_cast<void*>(&request), message.body.data(), sizeof request);
      all.push_back(request);
    }
    return all;
  }
  std::vector<engine_block> requests() { return requests<engine_block>(ENGINE_MESSAGE_BLOCK); }
  void run_once(std::string_view body) {
    load(std::string(kUses) + " function on_packet(p) " + std::string(body) + " end");
    run(1);
    EXPECT_EQ(state->statistics().errors, 0u) << body;
  }
  std::vector<engine_block> requests_of(std::string_view body) {
    run_once(body);
    return requests();
  }

  std::atomic<std::uint32_t> full{0};
  plugins::Requests list{full};
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
    Asking lab;
    const auto asked = lab.requests_of("assert(engine.block(" + std::string(target) + ", 2.5) == true)");
    ASSERT_EQ(asked.size(), 1u) << target;
    EXPECT_TRUE(is(asked[0].first, first)) << target;
    EXPECT_EQ(asked[0].bits, bits) << target;
    EXPECT_EQ(asked[0].seconds, 2.5) << target;
  }
  Asking lab;
  const auto asked = lab.requests_of("assert(engine.block('2001:db8::/32', 60))");
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].bits, 32u);
}

TEST(Block, IsAskedForFromEveryCallback) {
  Asking lab;
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
  Asking lab;
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
  Asking lab;
  EXPECT_EQ(
      lab.requests_of("for s = 1, 3 do assert(engine.block(p.dst, s)) assert(engine.block(p.dst, 0.5)) end").size(),
      3u);
}

TEST(Block, MakesNoGarbageAndNoTraceFails) {
  Asking lab;
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
  Asking lab;
  lab.full = plugins::Requests::kNoAddresses;
  EXPECT_EQ(lab.requests_of("assert(not engine.block(p.src, 1)) assert(engine.block('10.0.0.0/8', 1))").size(), 1u);
  lab.full = plugins::Requests::kNoNetworks;
  EXPECT_EQ(lab.requests_of("assert(engine.block(p.src, 1)) assert(not engine.block('10.0.0.0/9', 1))").size(), 1u);
  lab.full = 0;
  lab.outbox.limit = 55;
  EXPECT_EQ(lab.requests_of("assert(not engine.block('10.0.0.7', 1))").size(), 0u);
  EXPECT_EQ(lab.state->statistics().actions_refused, 1u);
}

// Packets without addresses have `::`; blocking 0.0.0.0 would keep new hosts from getting an address.
TEST(Block, OfNoAddressIsRefused) {
  Asking lab;
  EXPECT_TRUE(lab.requests_of("assert(not engine.block('::', 1)) assert(not engine.block(ip'0.0.0.0', 1))").empty());
  EXPECT_EQ(lab.state->statistics().actions_refused, 2u);
}

TEST(Block, WithoutUsesIsAnErrorThatSaysWhatToAdd) {
  Asking lab;
  EXPECT_EQ(lab.error_of("local done = engine.block(p.src, 1)"),
            "eval:2: engine.block: the plugin does not declare that it uses this; add uses = { \"block\" }");
  Asking other;
  EXPECT_EQ(other.error_of("local done = engine.block(p.src, 1)", "uses = { 'bypass', 'rate' }"),
            "eval:2: engine.block: the plugin does not declare that it uses this; add uses = { \"block\" }");
  Asking bypass;
  EXPECT_EQ(bypass.error_of("local done = p:bypass(1)", "uses = { 'block' }"),
            "eval:2: p:bypass: the plugin does not declare that it uses this; add uses = { \"bypass\" }");
}

TEST(Block, WhileThePluginLoadsIsAnError) {
  Asking lab;
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
    Asking lab;
    const std::string error = lab.error_of(std::string(call) + " local x", kUses);
    EXPECT_EQ(error.find("eval:2: "), 0u) << call << ": " << error;
    EXPECT_NE(error.find(message), std::string::npos) << call << ": " << error;
    EXPECT_EQ(lab.state->statistics().actions_refused, 0u) << call;
  }
}

TEST(Bypass, SendsTheFlowOfThePacket) {
  Asking lab;
  lab.run_once("assert(p:bypass(60) == true)");
  const auto asked = lab.requests<engine_bypass>(ENGINE_MESSAGE_BYPASS);
  ASSERT_EQ(asked.size(), 1u);
  const engine_packet& packet = lab.packets[0];
  EXPECT_TRUE(is(asked[0].src, packet.src) && is(asked[0].dst, packet.dst));
  EXPECT_EQ(asked[0].src_port, packet.src_port);
  EXPECT_EQ(asked[0].dst_port, packet.dst_port);
  EXPECT_EQ(asked[0].proto, packet.proto);
  EXPECT_EQ(asked[0].seconds, 60);
  EXPECT_NE(packet.src_port, 0);
}

// The dry instances hear what the real one will: an assert around a request must not make the plugin fail to load.
TEST(RateLimit, IsTakenFromOnStartInTheWarmUpToo) {
  Asking lab;
  lab.warm = true;
  lab.load(
      "uses = { 'block', 'rate' } function on_start() assert(engine.block('10.0.0.1', 1)) "
      "assert(engine.rate_limit(9, 1)) end function on_packet(p) end");
  EXPECT_EQ(lab.requests<engine_rate_limit>(ENGINE_MESSAGE_RATE_LIMIT).size(), 1u);
}

TEST(Bypass, OfTheSameFlowIsSentOnceInAWhile) {
  Asking lab;
  lab.load("uses = { 'bypass' } function on_packet(p) assert(p:bypass(60)) end");
  for (auto& packet : lab.packets) {
    std::memcpy(static_cast<void*>(&packet), &lab.packets[0], sizeof packet);
    LAB_SET(packet, src_port, 1000);
  }
  LAB_SET(lab.packets[7], src_port, 1001);
  LAB_SET(lab.packets[7], hash, 1);
  lab.run(64);
  EXPECT_EQ(lab.requests<engine_bypass>(ENGINE_MESSAGE_BYPASS).size(), 2u);
}

TEST(Bypass, OfNoFlowIsRefusedAndCounted) {
  Asking lab;
  lab.load("uses = { 'bypass' } function on_packet(p) assert(not p:bypass(60)) end");
  LAB_SET(lab.packets[0], ip_version, 0);
  LAB_SET(lab.packets[1], src_port, 0);  // a fragment that is not the first
  LAB_SET(lab.packets[1], dst_port, 0);
  lab.run(2);
  EXPECT_TRUE(lab.messages().empty());
  EXPECT_EQ(lab.state->statistics().actions_refused, 2u);
  EXPECT_EQ(lab.state->statistics().errors, 0u);
}

TEST(Bypass, WithoutPortsIsOfTheAddresses) {
  Asking lab;
  lab.load("uses = { 'bypass' } function on_packet(p) assert(p:bypass(1)) end");
  LAB_SET(lab.packets[0], proto, 1);
  LAB_SET(lab.packets[0], src_port, 0);
  LAB_SET(lab.packets[0], dst_port, 0);
  lab.run(1);
  const auto asked = lab.requests<engine_bypass>(ENGINE_MESSAGE_BYPASS);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].proto, 1);
}

TEST(Bypass, WithoutRoomOrKernelIsRefusedAndCounted) {
  Asking lab;
  lab.full = plugins::Requests::kNoFlows;
  lab.run_once("assert(not p:bypass(1)) assert(engine.block(p.src, 1))");
  EXPECT_EQ(lab.state->statistics().actions_refused, 1u);
  lab::Lab other;
  other.load("uses = { 'bypass' } function on_packet(p) if p:bypass(1) ~= false then error('taken') end end");
  other.run(3);
  EXPECT_EQ(other.state->statistics().actions_refused, 3u);
  EXPECT_EQ(other.state->statistics().errors, 0u);
}

TEST(RateLimit, IsSentAgainWhenItChanges) {
  Asking lab;
  lab.run_once(
      "for i = 1, 9 do assert(engine.rate_limit(1000, 60) == true) end assert(engine.rate_limit(1500.7, 60)) "
      "assert(engine.rate_limit(1500, 5))");
  const auto asked = lab.requests<engine_rate_limit>(ENGINE_MESSAGE_RATE_LIMIT);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[0].max_pps, 1000u);
  EXPECT_EQ(asked[0].seconds, 60);
  EXPECT_EQ(asked[1].max_pps, 1500u);
}

TEST(RateLimit, ChecksItsArgumentsAndItsDeclaration) {
  const std::pair<const char*, const char*> cases[] = {
      {"engine.rate_limit()", "engine.rate_limit: a number of packets from 1 to 1000000000 expected, got nil"},
      {"engine.rate_limit(0.5, 1)", "expected, got 0.5"},
      {"engine.rate_limit(2e9, 1)", "expected, got 2000000000"},
      {"engine.rate_limit(0/0, 1)", "from 1 to 1000000000 expected, got"},
      {"engine.rate_limit(100)", "engine.rate_limit: a number of seconds above 0, up to 31536000, expected, got nil"},
      {"engine.rate_limit(100, 0)", "engine.rate_limit: a number of seconds above 0"}};
  for (const auto& [call, message] : cases) {
    Asking lab;
    const std::string error = lab.error_of(std::string(call) + " local x", kUses);
    EXPECT_EQ(error.find("eval:2: "), 0u) << call << ": " << error;
    EXPECT_NE(error.find(message), std::string::npos) << call << ": " << error;
  }
  Asking lab;
  EXPECT_EQ(lab.error_of("local done = engine.rate_limit(1, 1)", "uses = { 'block' }"),
            "eval:2: engine.rate_limit: the plugin does not declare that it uses this; add uses = { \"rate\" }");
}

TEST(RateLimit, WithoutAKernelIsRefusedAndCounted) {
  lab::Lab lab;
  lab.load("uses = { 'rate' } function on_packet(p) if engine.rate_limit(9, 1) ~= false then error('taken') end end");
  lab.run(2);
  EXPECT_EQ(lab.state->statistics().actions_refused, 2u);
  EXPECT_EQ(lab.state->statistics().errors, 0u);
}

}  // namespace
