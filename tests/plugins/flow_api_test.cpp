// engine.flows as plugins use it: what a view gives, its own fields, callbacks, and what is refused with which words.
#include "tests/plugins/flow_lab.h"

using lab::Lab;
using lab::Line;
using lab::Say;

namespace {

std::vector<Line> flows_of(Lab& lab) { return lab::lines_of(lab.state->structures()[0]->active()); }

// The packets, one crossing each, as the worker gives them.
void give(Lab& lab, const std::vector<Say>& all) {
  for (const Say& say : all) {
    const engine_packet packet = lab::packet_of(say);
    std::memcpy(static_cast<void*>(lab.packets.data()), &packet, sizeof packet);
    lab.run(1);
  }
}

std::vector<Say> connection() {
  const Say c{.proto = 6};
  const Say s{.from = "10.0.0.2", .from_port = 80, .to = "10.0.0.1", .to_port = 1000, .proto = 6};
  const auto say = [](Say base, double at_s, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack,
                      std::uint32_t payload) {
    base.at_s = at_s;
    base.flags = flags;
    base.seq = seq;
    base.ack = ack;
    base.payload = payload;
    return base;
  };
  return {say(c, 0, 2, 100, 0, 0),        say(s, 0.01, 18, 500, 101, 0), say(c, 0.013, 16, 101, 501, 0),
          say(c, 0.02, 24, 101, 501, 10), say(c, 0.5, 24, 101, 501, 10), say(s, 0.6, 24, 501, 111, 1000),
          say(c, 1, 17, 111, 1501, 0),    say(s, 1.1, 17, 1501, 112, 0), say(c, 1.2, 16, 112, 1502, 0)};
}

std::string first_error(Lab& lab) {
  const auto messages = lab.messages();
  return messages.empty() ? std::string() : messages[0].text();
}

TEST(FlowApi, AddGivesTheFlowWithThePacketCounted) {
  Lab lab;
  lab.load(R"(
    local flows = engine.flows { name = "flows" }
    local n = 0
    function on_packet(p)
      local f = flows:add(p)
      n = n + 1
      assert(f.packets == n and flows:count() == 1 and f.proto == 6 and f.reason == nil)
      assert(f.src == ip"10.0.0.1" and f.dst == ip"10.0.0.2" and f.src_port == 1000 and f.dst_port == 80)
      assert(f.is_forward == (p.src == f.src) and f.first == 0 and f.last == p.time and f.vlan == 0 and f.inner_vlan == 0)
      if n == 1 then assert(f.state == "syn_sent" and f.rtt_ms == nil and f.reverse_packets == 0) end
      if n == 9 then
        assert(f.state == "closed" and f.forward_packets == 6 and f.reverse_packets == 3, f.forward_packets)
        assert(f.payload_bytes == 1020 and f.forward_payload_bytes == 20 and f.reverse_payload_bytes == 1000)
        assert(f.bytes == 9 * 54 + 1020 and f.forward_bytes + f.reverse_bytes == f.bytes)
        assert(f.retransmissions == 1 and f.forward_retransmissions == 1 and f.reverse_retransmissions == 0)
        assert(f.forward_flags == 27 and f.reverse_flags == 27 and f.duration_s == 1.2)
        assert(f.rtt_responder_ms == 10 and f.rtt_initiator_ms == 3 and f.rtt_ms == 13)
        assert(#f.flow_id == 16 and f.community_id:sub(1, 2) == "1:" and #f.community_id == 30)
      end
    end)");
  give(lab, connection());
  EXPECT_EQ(lab.state->statistics().errors, 0u) << first_error(lab);
}

TEST(FlowApi, VlanTagsAndProtocolAreReadFromTheKey) {
  Lab lab;
  lab.load(R"(
    local flows = engine.flows { name = "flows" }
    function on_packet(p)
      local f = flows:add(p)
      assert(f.vlan == 0xabc and f.inner_vlan == 0x123 and f.proto == 132 and f.src_port == 65535, f.inner_vlan)
      assert(tostring(f.src) == "2001:db8::2")
    end)");
  give(lab, {{.from = "2001:db8::2",
              .from_port = 65535,
              .to = "2001:db8::1",
              .proto = 132,
              .vlan = 0xabc,
              .inner_vlan = 0x123}});
  EXPECT_EQ(lab.state->statistics().errors, 0u) << first_error(lab);
}

TEST(FlowApi, APacketThatIsNotIpHasNoFlow) {
  Lab lab;
  lab.load("local flows = engine.flows { name = 'f' } function on_packet(p) assert(flows:add(p) == nil) end");
  LAB_SET(lab.packets[0], ip_version, 0);
  lab.run(1);
  EXPECT_EQ(lab.state->statistics().errors, 0u) << first_error(lab);
}

TEST(FlowApi, EveryTypeOfFieldIsKeptAndPublished) {
  Lab lab;
  EXPECT_EQ(lab.failure_of(R"(
    local u = flows:add(p).user
    if u.n == nil then
      assert(u.a == nil and u.k == nil and u.g == nil)
      u.n = 0
    end
    u.a, u.b, u.c, u.d, u.e, u.f, u.g = 255, 65535, 4294967295, 2^53, -2^53, -0.5, true
    u.h, u.i, u.j, u.k = p.src, 'abcdef', p.time, 'a long name'
    assert(u.a == 255 and u.b == 65535 and u.c == 4294967295 and u.d == 2^53 and u.e == -2^53)
    assert(u.f == -0.5 and u.g == true and u.h == p.src and u.i == 'abcdef' and u.j == p.time and u.k == 'a long n')
    u.k = p:view(1, 3)
    assert(u.k == '\1\2\3')
    u.g = false
    u.n = u.n + 1
    return u.g == false)",
                           R"(local flows = engine.flows{ name = 'f', user = {
      { 'a', 'u8' }, { 'k', 'string', 8 }, { 'b', 'u16' }, { 'c', 'u32' }, { 'd', 'u64' }, { 'e', 'i64' },
      { 'f', 'f64' }, { 'g', 'bool' }, { 'h', 'ip' }, { 'i', 'mac' }, { 'j', 'time' }, { 'n', 'u32' } } })"),
            "");
  lab.state->structures()[0]->table()->finish(1e9);
  std::vector<Line> lines = flows_of(lab);
  ASSERT_GT(lines.size(), 2u);
  EXPECT_EQ(lines[0].at("user.d"), "9007199254740992");
  EXPECT_EQ(lines[0].at("user.e"), "-9007199254740992");
  EXPECT_EQ(lines[0].at("user.i"), "61:62:63:64:65:66");
  EXPECT_EQ(lines[0].at("user.k"), std::string("\1\2\3"));
  EXPECT_EQ(lines[0].at("user.g"), "false");
  lines.pop_back();
  std::uint64_t seen = 0;
  for (const Line& line : lines) seen += std::stoull(line.at("user.n"));
  EXPECT_EQ(seen, 512u);
}

TEST(FlowApi, OnEndIsCalledBetweenBatchesForEachFlowThatEnded) {
  Lab lab;
  lab.load(R"(
    local ended = engine.record { name = "ended", { "state", "string" }, { "reason", "string" }, { "packets", "u32" },
      { "rtt", "f64" }, { "tag", "string" } }
    local flows
    flows = engine.flows { idle = 10, user = { { "tag", "string", 16 } }, on_end = function(f)
      assert(f.is_forward == nil and f.src_port == 1000)
      ended:emit(f.state, f.reason, f.packets, f.rtt_ms, f.user.tag)
    end }
    function on_packet(p) flows:add(p).user.tag = "t" .. p.tcp_flags end)");
  give(lab, connection());
  EXPECT_TRUE(lab.messages().empty());
  LAB_SET(lab.packets[lab::kCapacity], time, 4e9);
  lab.state->tick(4e9);
  const auto messages = lab.messages();
  ASSERT_EQ(messages.size(), 1u) << lab.state->statistics().errors;
  EXPECT_NE(messages[0].body.find("closed"), std::string::npos);
  EXPECT_NE(messages[0].body.find("fin"), std::string::npos);
  EXPECT_NE(messages[0].body.find("t16"), std::string::npos);
  EXPECT_TRUE(lab.state->structures()[0]->active().empty()) << "nothing is published: nothing is kept";
}

TEST(FlowApi, AnOnEndThatFailsIsReportedAndTheOthersFollow) {
  Lab lab;
  lab.load(R"(
    local calls = 0
    local flows = engine.flows { name = "f", idle = 1, on_end = function(f)
      calls = calls + 1
      engine.log("info", "call %d", calls)
      if calls == 1 then error("once") end
    end }
    function on_packet(p) flows:add(p) end)");
  give(lab, {{.at_s = 0, .from_port = 1}, {.at_s = 0, .from_port = 2}, {.at_s = 0, .from_port = 3}});
  lab.state->tick(5e9);
  give(lab, {{.at_s = 6, .from_port = 4}});
  EXPECT_EQ(lab.state->statistics().errors, 1u);
  std::string all;
  for (const auto& message : lab.messages()) all += message.text() + "\n";
  EXPECT_NE(all.find("eval:6: once"), std::string::npos) << all;
  EXPECT_NE(all.find("call 3"), std::string::npos) << all;
}

TEST(FlowApi, MisuseIsNamedAtThePluginsLine) {
  const struct {
    const char* code;
    const char* message;
  } cases[] = {
      {"engine.flows { nam = 'x' }", "flows: unknown option \"nam\"; did you mean 'name'?"},
      {"engine.flows {}", "flows: name or on_end is missing"},
      {"engine.flows { name = 'x', idle = 0/0 }", "flows: idle is a number from 0.001 to 86400, got nan"},
      {"engine.flows { name = 'x', max = 0 }", "flows: max is a whole number from 1 to 16777216, got 0"},
      {"engine.flows { name = 'x', on_end = 5 }", "flows: on_end is a function(f), got 5"},
      {"engine.flows { name = 'x', user = { { 'a', 'u9' } } }",
       "flows: field 'a' has no type \"u9\"; did you mean 'u8'?"},
      {"engine.flows { name = 'x', user = { { 'a', 'string' } } }", "flows: the size of field 'a'"},
      {"engine.flows { name = 'x', user = { { 'a', 'u8' }, { 'a', 'u8' } } }", "flows: field 'a' is given twice"},
      {"engine.flows { name = 'x' } engine.flows { name = 'x' }", "the name is taken"},
  };
  for (const auto& one : cases) {
    Lab lab;
    const std::string error = lab.load_error(std::string("\n") + one.code + "\nfunction on_packet() end");
    EXPECT_NE(error.find(one.message), std::string::npos) << error;
    EXPECT_NE(error.find("eval:2:"), std::string::npos) << error;
  }
  const std::string prelude = "local flows = engine.flows { name = 'x', user = { { 'count', 'u8' } } }\n";
  const struct {
    const char* body;
    const char* message;
  } calls[] = {
      {"flows:add(nil)", "flows:add takes a packet"},
      {"flows.add(p)", "call it as flows:add(...)"},
      {"flows.add({}, p)", "call it as flows:add(...)"},
      {"flows:count(1) flows.count()", "call it as flows:count()"},
      {"flows:ad(p)", "a flow table has no 'ad'"},
      {"flows:add(p).packet = 1", "a flow is read-only"},
      {"local x = flows:add(p).pakets", "a flow has no 'pakets'; did you mean 'packets'?"},
      {"flows:add(p).user.count = 256", "flows: field 'count' takes u8, got 256"},
      {"flows:add(p).user.count = nil", "flows: field 'count' is nil"},
      {"flows:add(p).user.cont = 1", "no 'cont'; did you mean 'count'?"},
      {"local x = flows:add(p).user.cont", "no 'cont'; did you mean 'count'?"},
  };
  for (const auto& one : calls) {
    Lab lab;
    const std::string error = lab.error_of(one.body, prelude);
    EXPECT_NE(error.find(one.message), std::string::npos) << one.body << ": " << error;
    EXPECT_NE(error.find("eval:3:"), std::string::npos) << one.body << ": " << error;
  }
  Lab lab;
  EXPECT_NE(lab.error_of("return flows:add(p).user", "local flows = engine.flows { name = 'x' }").find("declare it"),
            std::string::npos);
}

TEST(FlowApi, AKeptFlowIsAnErrorWithTheNextPacket) {
  for (const char* use : {"kept.packets", "kept.user", "user.count"}) {
    Lab lab;
    lab.load(std::string("local flows = engine.flows { name = 'x', user = { { 'count', 'u8' } } }\n"
                         "local kept, user function on_packet(p)\n"
                         "if not kept then kept = flows:add(p) user = kept.user return end local x = ") +
             use + " end");
    lab.run(64);
    EXPECT_EQ(lab.state->statistics().errors, 63u);
    EXPECT_EQ(first_error(lab), "eval:3: a flow is used after its packet; get it again with flows:add(p)");
  }
}

TEST(FlowApi, NothingNativeIsInReach) {
  Lab lab;
  EXPECT_EQ(lab.failure_of(R"(
    local f = flows:add(p)
    assert(next(f) == nil and rawget(f, 'flow') == nil)
    assert(next(f.user) == nil)
    assert(getmetatable(f) == nil and getmetatable(flows) == nil and getmetatable(f.user) == nil)
    assert(tostring(f) == 'table' and tostring(f.user) == 'table')
    assert(not pcall(function() return f._cursor end))
    assert(not pcall(setmetatable, f, {}))
    assert(not pcall(pairs, flows) and not pcall(function() flows.add = 1 end))
    return true)",
                           "local flows = engine.flows { name = 'x', user = { { 'count', 'u8' } } }"),
            "");
}

}  // namespace
