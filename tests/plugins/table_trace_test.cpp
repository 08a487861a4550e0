// What the JIT compiler makes of plugins that use tables and sketches: after the warm-up they are compiled, nothing is
// aborted or flushed in a million packets, and no packet leaves garbage.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "tests/plugins/lab.h"
#include "tests/plugins/traces.h"

namespace {

struct Sample {
  const char* name;
  const char* code;
};
void PrintTo(const Sample& sample, std::ostream* out) { *out << sample.name; }

class CompiledTables : public testing::TestWithParam<Sample> {};

TEST_P(CompiledTables, StayCompiledAndLeaveNoGarbage) {
  lab::Lab lab;
  lab.warm = true;
  lab.spec.name = lab.spec.code = GetParam().code;
  plugins::State::Impl impl(lab.spec, lab.binding());
  lab::Traces traces(impl);
  lab.fill(0);
  const std::size_t before_bytes = impl.arena.used_bytes();
  lab::run_a_million(impl, lab);
  const auto messages = lab.messages();
  EXPECT_EQ(impl.stats.errors, 0u) << (messages.empty() ? "" : messages[0].text());
  // What a packet does rarely (a key's first packet, one that finds the table full) and the last of its batch does too
  // has a trace of its own; the dry runs need not have met it.
  EXPECT_LE(traces.count("start"), 2);
  EXPECT_EQ(traces.count("abort"), 0);
  EXPECT_EQ(traces.count("flush"), 0);
  EXPECT_LE(impl.arena.used_bytes() - before_bytes, 64u << 10);
}

INSTANTIATE_TEST_SUITE_P(
    Plugins, CompiledTables,
    testing::Values(
        Sample{"Sketches",
               "local d = engine.distinct { name = 'd', key = 'src' } local v = engine.distinct { name = 'v' }\n"
               "local h = engine.histogram { name = 'h' }\n"
               "function on_packet(p) d:add(p) v:add(p.dst) v:add(p.len) v:add(p:view(0, 6)) h:add(p.len / 3) end"},
        Sample{"MapByField",
               "local m = engine.map { key = { 'src', 'dst_port' }, ttl = 60, fields = {\n"
               "  { 'packets', 'u64' }, { 'last', 'time' }, { 'who', 'ip' }, { 'is_tcp', 'bool' } } }\n"
               "function on_packet(p) local e, new = m:put(p) if not e then return end\n"
               "if new then e.who, e.is_tcp = p.dst, p.proto == 6 end e.packets, e.last = e.packets + 1, p.time end"},
        Sample{
            "MapByValue",
            "local m = engine.map { key = 'ip', max = 100, fields = { { 'bytes', 'u64' }, { 'head', 'string', 8 } } }\n"
            "local none = 0\n"
            "function on_packet(p) local e = m:get(p.src) or m:put(p.src)\n"
            "if e then e.bytes, e.head = e.bytes + p.len, p:view(0, 8) else none = none + 1 end end"},
        Sample{"TwoMapsOfAShape",
               "local a = engine.map { key = 'src', fields = { { 'n', 'u32' } } }\n"
               "local b = engine.map { key = 'src', fields = { { 'n', 'u32' } } }\n"
               "function on_packet(p) local m = p.proto == 6 and a or b local e = m:put(p) e.n = e.n + 1 end"},
        Sample{"Delete",
               "local m = engine.map { key = 'src', fields = { { 'n', 'u32' } } }\n"
               "function on_packet(p) local e = m:put(p) e.n = e.n + 1 if e.n > 3 then m:delete(p) end end"},
        Sample{
            "Sets",
            "local s = engine.set { key = 'src' } local v = engine.set { key = 'ip', max = 100 } local n, full = 0, 0\n"
            "function on_packet(p) if s:add(p) then n = n + 1 end if v:has(p.dst) then n = n + 1 end\n"
            "if v:add(p.src) == nil then full = full + 1 end end"},
        Sample{"Nets",
               "local plain = engine.nets { items = { '10.0.0.0/23', '192.168.0.0/16' } }\n"
               "local tags = engine.nets { items = { ['10.0.0.0/24'] = 'a', ['10.0.0.0/8'] = 'b' } }\n"
               "local c = engine.counter { name = 'c' } local n = 0\n"
               "function on_packet(p) if plain:has(p.src) then n = n + 1 end c:add(tags:match(p.src))\n"
               "local net = plain:match(p.dst) if net and net:contains(p.dst) then n = n + 1 end end"},
        Sample{"Rates",
               "local r = engine.rate { name = 'r', key = 'src', above = 1e12 }\n"
               "local v = engine.rate { name = 'v', key = 'ip', above = 1e15 }\n"
               "function on_packet(p) r:add(p) v:add(p.dst, p.len) end"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
