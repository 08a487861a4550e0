// A plugin's life: load, warm-up, hooks, modules, end; and what the JIT compiler does in it.
#include <gtest/gtest.h>

#include <array>

#include "plugins/counter.h"
#include "plugins/impl.h"
#include "tests/plugins/lab.h"
#include "tests/plugins/traces.h"

using lab::Lab;
using lab::Traces;

namespace {

TEST(Load, NamesAMissingFile) {
  Lab lab;
  lab.spec.path = "/nonexistent/top.lua";
  EXPECT_EQ(lab.load_error(""), "plugin /nonexistent/top.lua: No such file or directory");
  lab.spec.path = "/";
  EXPECT_EQ(lab.load_error(""), "plugin /: Is a directory");
}

TEST(Load, NamesFileAndLineOfABrokenPlugin) {
  const lab::Folder folder;
  Lab syntax;
  syntax.spec.path = folder.write("a.lua", "local x = 1\nfunction on_packet(p)\n  x = = 2\nend\n");
  EXPECT_NE(syntax.load_error("").find("a.lua:3: unexpected symbol near '='"), std::string::npos);
  Lab running;
  running.spec.path = folder.write("b.lua", "local x = nil\nlocal y = x.z\nfunction on_packet(p) end\n");
  EXPECT_NE(running.load_error("").find("b.lua:2: attempt to index"), std::string::npos);
  Lab start;
  start.spec.path = folder.write("c.lua", "function on_start()\n  error('no')\nend\n");
  EXPECT_NE(start.load_error("").find("c.lua:2: no"), std::string::npos);
}

TEST(Load, RefusesUnknownGlobalsAndNamesWhatIsNear) {
  struct {
    const char* code;
    const char* message;
  } const cases[] = {
      {"fliter = 'udp'", "eval:1: unknown global 'fliter'; did you mean 'filter'?"},
      {"function on_paket(p) end", "eval:1: unknown global 'on_paket'; did you mean 'on_packet'?"},
      {"count = 0", "eval:1: unknown global 'count'; make it local"},
      {"pritn('x')", "eval:1: unknown name 'pritn'; did you mean 'print'?"},
      {"engine.conter{}", "eval:1: engine has no 'conter'; did you mean 'counter'? (there are block, counter, "},
      {"uses = {'blok'}", "eval:1: 'uses': \"blok\" is unknown; did you mean 'block'? (there are block, bypass, rate)"},
      {"uses = {'block', 5}", "eval:1: 'uses': 5 is unknown (there are block, bypass, rate)"},
      {"uses = {block = true}", "eval:1: 'uses' is a list of names, as in uses = { \"block\" }"},
      {"uses = 'block'", "eval:1: 'uses' is a table, got \"block\""},
      {"interval = 0", "eval:1: 'interval' is a number of seconds from 0.001 to 86400, got 0"},
      {"interval = 0/0", "eval:1: 'interval' is a number of seconds"},
      {"filter = 5", "eval:1: 'filter' is a string, got 5"},
      {"on_packet = 5", "eval:1: 'on_packet' is a function, got 5"},
      {"local x", "eval: defines none of on_packet"},
      {"function on_packet() end function on_batch() end", "eval: on_packet and on_batch exclude each other"},
      {"engine.counter{ name = 'c', keys = 'src' }", "eval:1: counter: unknown option \"keys\"; did you mean 'key'?"},
      {"engine.counter{ name = 'c', key = 'scr' }", "eval:1: counter: key 'scr' is unknown; did you mean 'src'?"},
      {"engine.counter{ name = 'c', key = 'sport' }",
       "eval:1: counter: key 'sport' is unknown; did you mean 'src_port'?"},
      {"engine.counter{ name = 'c', max = 0 }", "eval:1: counter: max is a whole number from 1 to 16777216, got 0"},
      {"engine.topk{ key = 'src' }", "eval:1: topk: a name of letters"},
      {"engine.topk{ name = 'a' } engine.topk{ name = 'a' }", "eval:1: topk: 'a': the name is taken"},
  };
  for (const auto& [code, message] : cases) {
    Lab lab;
    EXPECT_EQ(lab.load_error(code).find("plugin test: " + std::string(message)), 0u) << code << "\n"
                                                                                     << lab.load_error(code);
  }
}

TEST(Load, RefusesNewGlobalsAndStructuresLater) {
  Lab lab;
  EXPECT_EQ(lab.error_of("count = 1"), "eval:2: unknown global 'count'; make it local");
  Lab hook;
  EXPECT_EQ(hook.error_of("on_tick = print"), "eval:2: 'on_tick' is set while the plugin loads, not later");
  Lab structure;
  EXPECT_NE(structure.error_of("local c = engine.counter{ name = 'late' }").find("are declared while the plugin loads"),
            std::string::npos);
  Lab record;
  EXPECT_NE(record.error_of("local c = engine.record{ name = 'late', {'a', 'u8'} }")
                .find("are declared while the plugin loads"),
            std::string::npos);
}

TEST(Load, ReadsSettingsAndTypedArguments) {
  Lab lab;
  lab.spec.args = {{"k", 20.0}, {"f", -1.5}, {"on", true}, {"off", false}, {"text", "20"}, {"name", "a b"}};
  lab.load(
      "filter = 'udp port 53' interval = 0.25 uses = {'block', 'rate'}\n"
      "assert(args.k == 20 and args.f == -1.5 and args.on == true and args.off == false)\n"
      "assert(args.text == '20' and args.name == 'a b' and args.none == nil and filter == 'udp port 53')\n"
      "function on_packet(p) end");
  EXPECT_EQ(lab.state->filter(), "udp port 53");
  EXPECT_EQ(lab.state->interval_ns(), 250'000'000u);
  EXPECT_EQ(lab.state->uses(), std::uint32_t{ENGINE_USE_BLOCK | ENGINE_USE_RATE});
}

TEST(Load, CapsTheTextOfAnError) {
  Lab lab;
  const std::string error = lab.load_error("error(('x'):rep(100000))");
  EXPECT_GT(error.size(), 1000u);
  EXPECT_LT(error.size(), 1100u);
}

TEST(Load, LetsAModuleThatFailedBeLoadedAgain) {
  const lab::Folder folder;
  folder.write("thrower.lua", "error({ code = 5 })\n");
  Lab lab;
  lab.spec.path = folder.write("main.lua",
                               "for i = 1, 2 do\n"
                               "  local done, why = pcall(require, 'picky')\n"
                               "  assert(not done and why:find('picky.lua:1:', 1, true), why)\n"
                               "  done, why = pcall(require, 'thrower')\n"
                               "  assert(not done and why.code == 5)\n"
                               "end\n"
                               "function on_packet() end");
  folder.write("picky.lua", "error('not yet')\n");
  EXPECT_EQ(lab.load_error(""), "");
}

TEST(Load, FindsModulesBesideThePluginOnly) {
  const lab::Folder folder;
  folder.write("util.lua", "local M = { n = 41 }\nfunction M.next() return M.n + 1 end\nreturn M\n");
  folder.write("bad.lua", "local x = 1\ny = 2\n");
  folder.write("loop.lua", "return require 'loop'\n");
  Lab lab;
  lab.spec.path = folder.write(
      "main.lua",
      "local u = require 'util'\nassert(u.next() == 42 and require('util') == u)\nfunction on_packet() end\n");
  EXPECT_EQ(lab.load_error(""), "");
  for (const auto& [code, message] : std::initializer_list<std::pair<const char*, const char*>>{
           {"require 'bad'", "bad.lua:2: a module sets no globals; make 'y' local"},
           {"require 'loop'", "requires itself"},
           {"require 'none'", "none.lua: No such file or directory"},
           {"require '../util'", "a name without '/'"},
           {"require ''", "a name without '/'"},
           {"require(nil)", "a name without '/'"}}) {
    Lab other;
    other.spec.path = folder.write("other.lua", code);
    EXPECT_NE(other.load_error("").find(message), std::string::npos) << code << ": " << other.load_error("");
  }
}

// Its first batches run in the interpreter, over memory that nobody has touched yet: how long they take says nothing
// about those that come in service.
TEST(Life, ABatchOfTheDryRunHasTimeToWarmUp) {
  Lab lab;
  lab.warm = true;
  lab.spec.deadline_ns = 10'000'000;
  EXPECT_EQ(lab.load_error("local n = 0 function on_packet(p) for i = 1, 20000 do n = n + i % 7 end end"), "");
}

TEST(Life, ABatchOfTheDryRunThatNeverEndsIsAnErrorOfTheLoad) {
  Lab lab;
  lab.warm = true;
  lab.spec.deadline_ns = 1'000'000;
  EXPECT_EQ(lab.load_error("function on_packet(p) while true do end end"),
            "plugin test: on_packet ran longer than its deadline of 100 ms; cut off");
}

TEST(Life, CallsEachHookInItsTurn) {
  Lab lab;
  lab.warm = true;
  lab.load(
      "local n = 0\n"
      "function on_start(i) print('start', i.interface, i.queues[1], i.queues[2], i.cpu, i.node, i.worker) end\n"
      "function on_packet(p) n = n + 1 end\n"
      "function on_tick(now) print('tick', now, n, engine.now()) end\n"
      "function on_stop() print('stop', n) end");
  lab.run(64);
  LAB_SET(lab.packets[lab::kCapacity], time, 2e9);
  lab.state->tick(2e9);
  lab.state->stop();
  const auto messages = lab.messages();
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0].text(), "\x02start\teth7\t2\t6\t1\t0\t3");
  EXPECT_EQ(messages[1].text(), "\x02tick\t2000000000\t64\t2000000000");
  EXPECT_EQ(messages[1].head.time, 2e9);
  EXPECT_EQ(messages[2].text(), "\x02stop\t64");
}

TEST(Life, OffersThePacketsOfTheIndexOnly) {
  for (const char* hook : {"function on_packet(p) s = s + p.time / 1000 n = n + 1 end",
                           "function on_batch(b) for i = 1, #b do s = s + b[i].time / 1000 n = n + 1 end end"}) {
    Lab lab;
    lab.load("local s, n = 0, 0 " + std::string(hook) + " function on_tick() print(s, n) end");
    const std::uint16_t index[] = {1, 10, 200};
    lab.state->run(index);
    lab.state->run(std::span<const std::uint16_t>());
    lab.state->run(2);
    lab.state->tick(0);
    EXPECT_EQ(lab.messages()[0].text(),
              "\x02"
              "212\t5")
        << hook;
  }
}

TEST(Life, CountsIntoStructuresThatCanBeHandedOver) {
  Lab lab;
  lab.warm = true;
  lab.load("local c = engine.counter{ name = 'c', key = 'proto' } function on_packet(p) c:add(p) end");
  ASSERT_EQ(lab.state->structures().size(), 1u);
  plugins::Structure& structure = *lab.state->structures()[0];
  EXPECT_EQ(structure.name(), "c");
  EXPECT_TRUE(structure.active().empty()) << "the warm-up left nothing";
  lab.run(64);
  plugins::Part* filled = structure.swap();
  ASSERT_NE(filled, nullptr);
  EXPECT_FALSE(filled->empty());
  EXPECT_EQ(structure.swap(), nullptr) << "no spare is there: it goes on filling";
  lab.run(64);
  EXPECT_FALSE(structure.active().empty());
  structure.give_back(filled);
  EXPECT_NE(filled = structure.swap(), nullptr);
  structure.give_back(filled);
}

TEST(Life, FeedsEveryKindOfKeyIntoStructures) {
  Lab lab;
  lab.load(
      "local c, t = engine.counter{ name = 'c' }, engine.topk{ name = 't', k = 3 }\n"
      "function on_packet(p) for _, s in ipairs{ c, t } do s:add('x') s:add(p.proto, 2) s:add(p.dst, 3) "
      "s:add(p:view(0, 4)) end end");
  lab.run(10);
  EXPECT_EQ(lab.state->statistics().errors, 0u) << lab.messages()[0].text();
  const auto& counter = dynamic_cast<const plugins::Counter&>(lab.state->structures()[0]->active());
  EXPECT_EQ(counter.size(), 5u);  // x, two protocols, the address, the bytes
}

TEST(WarmUp, LeavesNoTraceInThePluginsOwnState) {
  Lab lab;
  lab.warm = true;
  lab.load(
      "local n, keys = 0, {} local util = { calls = 0 }\n"
      "function on_packet(p) n = n + 1 keys[p.src4] = true util.calls = util.calls + 1 end\n"
      "function on_tick() print(n, next(keys), util.calls) end");
  lab.state->tick(0);
  EXPECT_EQ(lab.messages()[0].text(),
            "\x02"
            "0\tnil\t0");
  EXPECT_EQ(lab.state->statistics().packets, 0u);
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  EXPECT_EQ(lab.outbox.emitted, 0u + 0u);
  EXPECT_EQ(lab.packets[0].caplen, 60u) << "refilled by the lab";
}

TEST(WarmUp, GivesEveryStateTheSameRandomNumbers) {
  std::array<std::string, 2> texts;
  for (std::string& text : texts) {
    Lab lab;
    lab.warm = &text == &texts[1];
    lab.load("function on_packet() math.random() end function on_stop() print(math.random()) end");
    lab.state->stop();
    text = lab.messages()[0].text();
  }
  EXPECT_EQ(texts[0], texts[1]);
}

TEST(WarmUp, RefusesDeclarationsInHooksAsTheRealRunDoes) {
  Lab lab;
  lab.warm = true;
  lab.spec.memory_bytes = 4u << 20;
  // If one was made, the load would fail for memory.
  EXPECT_EQ(lab.load_error("local function try() if pcall(engine.counter, { name = 'late' }) or\n"
                           "pcall(engine.record, { name = 'late', {'a', 'u8'} }) then\n"
                           "  local t = {} for i = 1, 1e7 do t[i] = { i } end end end\n"
                           "function on_packet() try() end function on_tick() try() end\n"
                           "function on_start() engine.counter{ name = 'early' } end"),
            "");
  EXPECT_EQ(lab.state->structures().size(), 1u);
}

TEST(WarmUp, SurvivesAPluginThatFailsOnEveryPacket) {
  Lab lab;
  lab.warm = true;
  lab.load("function on_packet(p) error('never') end");
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  EXPECT_TRUE(lab.messages().empty());
}

struct Sample {
  const char* name;
  const char* code;
};

class Compiled : public testing::TestWithParam<Sample> {};

TEST_P(Compiled, StartsAbortsAndFlushesNoTraceInAMillionPackets) {
  Lab lab;
  lab.warm = true;
  lab.spec.name = lab.spec.code = GetParam().code;
  plugins::State::Impl impl(lab.spec, lab.binding());
  Traces traces(impl);
  const std::size_t before_bytes = impl.arena.used_bytes();
  lab::run_a_million(impl, lab);
  EXPECT_EQ(impl.stats.errors, 0u);
  EXPECT_EQ(traces.count("start"), 0) << traces.text();
  EXPECT_EQ(traces.count("abort"), 0);
  EXPECT_EQ(traces.count("flush"), 0);
  // 65,536 entries at most in the plugins' own tables; per packet there is no garbage.
  EXPECT_LE(impl.arena.used_bytes() - before_bytes, 200u << 10);
}

INSTANTIATE_TEST_SUITE_P(
    Plugins, Compiled,
    testing::Values(
        Sample{"CountInATable", "local n = {} function on_packet(p) n[p.proto] = (n[p.proto] or 0) + 1 end"},
        Sample{"CountInAnArray",
               "local n = {} for i = 0, 255 do n[i] = 0 end function on_packet(p) n[p.proto] = n[p.proto] + 1 end"},
        Sample{"TableOfTables",
               "local t = {} function on_packet(p) local e = t[p.src4] if not e then e = { n = 0, b = 0 } t[p.src4] = "
               "e end\n"
               "e.n = e.n + 1 e.b = e.b + p.len end"},
        Sample{"AddressKeys", "local t = {} function on_packet(p) local k = p.src:key() t[k] = (t[k] or 0) + 1 end"},
        Sample{
            "NativeCounter",
            "local c = engine.counter{ name = 'c', key = { 'src', 'dst_port' } } function on_packet(p) c:add(p) end"},
        Sample{"Flows",
               "local n, flows = 0, engine.flows{ name = 'f', user = { { 'n', 'u32' } } } function on_packet(p)\n"
               "local f = flows:add(p) f.user.n = (f.user.n or 0) % 100 + 1\n"
               "if f.packets > 2 and f.state == 'new' then n = n + f.forward_bytes end end"},
        Sample{"NativeTopK", "local c = engine.topk{ name = 'c', key = 'src' } function on_packet(p) c:add(p) end"},
        Sample{"Record",
               "local r = engine.record{ name = 'r', {'a', 'ip'}, {'b', 'u16'}, {'c', 'string'} }\n"
               "function on_packet(p) if p.dst_port == 53 then r:emit(p.src, p.src_port, p:view(0, 8)) end end"},
        Sample{"Networks",
               "local n, lan = 0, net'10.0.1.0/24' function on_packet(p) if p.src:in_net(lan) and p:u16(12) == 0x0c0d "
               "then n = n + 1 end end"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
