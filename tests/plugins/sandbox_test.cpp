// What a plugin must not be able to do, each tried the way an attacker would, interpreted and compiled.
#include <gtest/gtest.h>

#include "tests/plugins/lab.h"

using lab::Lab;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
#define EXPECT_SAYS(text, part) EXPECT_PRED2(contains, text, part)

TEST(Sandbox, RefusesATableThatPretendsToBeAPacket) {
  for (const char* name : {"u8", "u16", "u32", "find", "string", "view", "payload", "ts_ns"}) {
    Lab lab;
    EXPECT_SAYS(lab.error_of("local f = p." + std::string(name) +
                             " f({caplen = 1e9, _off = 0, _addr = 0, payload_off = 0, payload_len = 1e9}, 0)"),
                "call it as p:" + std::string(name));
  }
}

TEST(Sandbox, RefusesEverythingElseAsSelfOfAnAccessor) {
  for (const char* fake : {"nil", "1", "'x'", "p.src", "1ULL", "print", "p:payload()"}) {
    Lab lab;
    EXPECT_SAYS(lab.error_of("local f = p.u8 f(" + std::string(fake) + ", 0)"), "call it as p:u8");
  }
}

TEST(Sandbox, RefusesFakeSelfOfViewsAddressesAndNetworks) {
  for (const char* call :
       {"local f = p:payload().u8 f({_off = 0, _len = 1e9}, 0)", "local f = p:payload().u8 f(p, 0)",
        "local f = p.src.key f({})", "local f = p.src.in_net f({}, net'10.0.0.0/8')", "local f = p.src.prefix f(p, 8)",
        "local f = p.src.copy f('x')", "local f = net'10.0.0.0/8'.contains f({}, p.src)"}) {
    Lab lab;
    EXPECT_SAYS(lab.error_of(call), "eval:2: ") << call;
  }
}

TEST(Sandbox, RefusesFakeHandlesOfStructures) {
  const char* prelude =
      "local c = engine.counter{name='c', key='proto'} local t = engine.topk{name='t', key='src'} "
      "local v = engine.counter{name='v'} local w = engine.topk{name='w'}";
  for (const char* call : {"c.add({h = 1}, p)", "t.add({h = p.src}, p)", "c.add(t, p)", "t.add(c, p)", "c.add(p, p)",
                           "v.add({}, 'x')", "w.add(v, 'x')", "v.add(c, 'x')", "c.add(nil, p)", "c.add(1ULL, p)"}) {
    Lab lab;
    EXPECT_SAYS(lab.error_of(call, prelude), "call it as") << call;
  }
}

TEST(Sandbox, RefusesNilAndOtherNonPacketsForStructures) {
  const char* prelude = "local c = engine.counter{name='c', key='proto'} local t = engine.topk{name='t', key='src'}";
  for (const char* value : {"", "nil", "{}", "p.src", "1", "'x'", "0ULL"}) {
    Lab lab;
    EXPECT_SAYS(lab.error_of("c:add(" + std::string(value) + ")", prelude), "takes a packet");
    EXPECT_SAYS(lab.error_of("t:add(" + std::string(value) + ")", prelude), "takes a packet");
  }
}

TEST(Sandbox, RefusesBadKeysAndCountsOfValueCounters) {
  const char* prelude = "local v = engine.counter{name='v'}";
  for (const char* call :
       {"v:add(nil)", "v:add({})", "v:add(0/0)", "v:add(1/0)", "v:add(-1/0)", "v:add(p)", "v:add('x', -1)",
        "v:add('x', 0/0)", "v:add('x', 1/0)", "v:add('x', 1.5)", "v:add('x', '1')", "v:add('x', 5ULL)"}) {
    Lab lab;
    EXPECT_SAYS(lab.error_of(call, prelude), "counter:add") << call;
  }
}

TEST(Sandbox, ReadsOptionsOnceAndRaw) {
  const char* turning =
      "local calls = 0 local function turning(options, key, first, later) return setmetatable(options, { __index = "
      "function(_, k) if k ~= key then return nil end calls = calls + 1 return calls == 1 and first or later end }) "
      "end ";
  for (const auto& [code, message] : std::initializer_list<std::pair<const char*, const char*>>{
           {"engine.counter(turning({}, 'name', 'c', 'a b'))", "counter: a name of letters"},
           {"engine.topk(turning({}, 'name', 'c', 'a b'))", "topk: a name of letters"},
           {"engine.record(turning({ {'a', 'u8'} }, 'name', 'r', 'a b'))", "record: a name of letters"},
           {"engine.record{ name = 'r', turning({ 'a' }, 2, 'u8', 'u16') }", "has no type nil"}}) {
    Lab lab;
    EXPECT_SAYS(lab.load_error(std::string(turning) + code), message) << code;
  }
  Lab lab;
  EXPECT_EQ(lab.load_error(std::string(turning) + "engine.counter(turning({ name = 'c' }, 'max', 'x', 'x')) "
                                                  "engine.counter(turning({ name = 'd' }, 'key', 5, 5)) "
                                                  "assert(calls == 0) function on_packet() end"),
            "");
}

TEST(Sandbox, RefusesTextsWithAZeroByte) {
  for (const char* code :
       {"ip'10.0.0.1\\0x'", "ip'::1\\0'", "net'10.0.0.0/8\\0'", "net'10.0.0.0\\0/8'", "filter = 'udp\\0 and tcp'"}) {
    Lab lab;
    EXPECT_SAYS(lab.load_error(std::string(code) + " function on_packet() end"), "eval:1: ") << code;
  }
}

TEST(Sandbox, DoesNotWrapAroundWith64BitOffsets) {
  for (const char* call : {"p:u8(0xffffffffffffffffULL)", "p:u16(0xffffffffffffffffULL)", "p:u32(-1LL)",
                           "p:string(0xffffffffffffffffULL, 2ULL)", "p:view(1ULL)", "p:find('x', 1ULL)",
                           "p:payload():u16(0xffffffffffffffffULL)"}) {
    Lab lab;
    EXPECT_SAYS(lab.error_of("return " + std::string(call)), "offset expected") << call;
  }
  Lab lab;
  EXPECT_SAYS(lab.error_of("return p:string(0, 0xffffffffffffffffULL)"), "length expected");
}

TEST(Sandbox, ReadsNothingAtNaNInfinityOrNegativeOffsets) {
  for (const char* off :
       {"0/0", "-(0/0)", "1/0", "-1/0", "-1", "-0.5", "1e300", "-1e300", "4294967296", "-4294967296"}) {
    for (const char* call : {"p:u8(O)", "p:u16(O)", "p:u32(O)", "p:view(O)", "p:view(0, O)", "p:string(O)",
                             "p:string(0, O)", "p:find('x', O)", "p:payload():u8(O)", "p:payload():u32(O)",
                             "p:payload():view(O)", "p:payload():string(O, 1)"}) {
      std::string body = call;
      body.replace(body.find('O'), 1, "(" + std::string(off) + ")");
      Lab lab;
      EXPECT_EQ(lab.failure_of("return " + body + " == nil"), "") << body;
    }
  }
}

TEST(Sandbox, ReadsNothingBehindTheCapturedBytes) {
  for (const char* call : {"p:u8(60)", "p:u16(59)", "p:u32(57)", "p:view(61)", "p:view(50, 11)", "p:string(61)",
                           "p:string(59, 2)", "p:payload():u8(18)", "p:payload():u16(17)", "p:payload():view(10, 9)"}) {
    Lab lab;
    EXPECT_EQ(lab.failure_of("return " + std::string(call) + " == nil"), "") << call;
  }
}

TEST(Sandbox, RefusesWritesToPacketsAndAddressesAlsoThroughKeptReferences) {
  for (const char* body : {"p.caplen = 1000", "p._off = 0", "p.len = 1", "p.src = p.dst", "p.src._hi = 1ULL",
                           "local s = p.src s._lo = 0ULL", "p.foo = 1", "local c = p.src:copy() c._hi = 1ULL",
                           "net'10.0.0.0/8'._mask_hi = 0ULL", "p:payload()._len = 1000", "p[0] = p", "p.src[1] = 1",
                           "local b = p:payload() b._off = 0"}) {
    Lab lab;
    EXPECT_SAYS(lab.error_of(body), "eval:2: ") << body;
  }
}

TEST(Sandbox, MakesNoPointersFromReferencesAndHandles) {
  const char* prelude = "local c = engine.counter{name='c', key='proto'}";
  for (const char* body : {"return p + 1",
                           "return p[1]",
                           "return p.src + 1",
                           "return c + 1",
                           "return c - c",
                           "return c[0]",
                           "c[0] = 1",
                           "return p()",
                           "return c()",
                           "return #p",
                           "return -p",
                           "return p < p",
                           "return bit.band(c, -1ULL)",
                           "return 1ULL + c",
                           "return string.format('%d', c)",
                           "return #c",
                           "return c._structure",
                           "c.x = 1",
                           "return p.src - p.dst",
                           "return p:payload() + 1"}) {
    Lab lab;
    EXPECT_FALSE(lab.error_of(body, prelude).empty()) << body;
  }
}

TEST(Sandbox, HasNoneOfTheWaysOut) {
  for (const char* name : {"getfenv", "setfenv", "load", "loadstring", "loadfile", "dofile", "module", "package",
                           "newproxy", "collectgarbage", "gcinfo", "debug", "io", "os", "jit", "ffi", "arg"}) {
    Lab lab;
    EXPECT_SAYS(lab.load_error("local x = " + std::string(name)), "unknown name '" + std::string(name) + "'");
  }
  Lab lab;
  EXPECT_EQ(lab.failure_of("return string.dump == nil and string.buffer == nil and table.foreach == nil"), "");
  for (const char* name : {"ffi", "jit", "io", "os", "debug", "string.buffer", "table.new", "../lab", "/etc/passwd"}) {
    Lab other;
    EXPECT_SAYS(other.load_error("require '" + std::string(name) + "'"), "require: ");
  }
}

TEST(Sandbox, RefusesBytecodeAsAPluginAndAsAModule) {
  // "\27LJ" opens LuaJIT's bytecode (lj_bcdump.h).
  const std::string bytecode("\x1bLJ\x02\x02\x00\x00", 7);
  const lab::Folder folder;
  Lab plugin;
  plugin.spec.path = folder.write("p.lua", bytecode);
  EXPECT_SAYS(plugin.load_error(""), "wrong mode");
  Lab user;
  folder.write("m.lua", bytecode);
  user.spec.path = folder.write("user.lua", "local m = require 'm'\nfunction on_packet() end");
  EXPECT_SAYS(user.load_error(""), "wrong mode");
}

TEST(Sandbox, KeepsTheStringLibraryAndEveryMetatableOutOfReach) {
  Lab lab;
  EXPECT_EQ(
      lab.failure_of("return getmetatable('') == nil and getmetatable(p) == nil and getmetatable(p.src) == nil "
                     "and getmetatable(engine) == nil and getmetatable(_G) == nil and getmetatable(print) == nil"),
      "");
  for (const char* body :
       {"setmetatable(_G, {})", "setmetatable(engine, {})", "setmetatable('', {})", "setmetatable(p, {})"}) {
    Lab other;
    EXPECT_FALSE(other.error_of(body).empty()) << body;
  }
  // A plugin may spoil its own copy; methods of strings and the library go by another.
  Lab own;
  EXPECT_EQ(own.failure_of("return ('x'):upper() == 'X' and tostring(p.dst) == '192.168.0.1'",
                           "string.upper = nil string.format = nil table.concat = nil math.floor = nil bit.band = nil"),
            "");
}

TEST(Sandbox, ShowsNoAddress) {
  const char* prelude =
      "local c = engine.counter{name='c', key='proto'}\n"
      "local function clean(s) return not s:find('0x', 1, true) and not s:find('%x%x%x%x%x%x') end";
  for (const char* value : {"{}", "print", "c", "engine", "coroutine.create(print)", "p", "p:payload().u8", "on_packet",
                            "setmetatable({}, {})", "_G", "string"}) {
    Lab lab;
    const std::string v = value;
    EXPECT_EQ(lab.failure_of("return clean(tostring(" + v + ")) and clean(string.format('%s', " + v +
                                 ")) and clean(('%q'):format(" + v + "))",
                             prelude),
              "")
        << value;
  }
  for (const char* format : {"'%p'", "'%-20p'", "'%%%p'", "'%5.3p'"}) {
    Lab lab;
    EXPECT_SAYS(lab.error_of("return string.format(" + std::string(format) + ", {})"), "%p") << format;
    Lab method;
    EXPECT_SAYS(method.error_of("return (" + std::string(format) + "):format({})"), "%p") << format;
  }
  // An error that is no string is named by its type.
  Lab lab;
  EXPECT_EQ(lab.error_of("error({})"), "eval: an error that is a table");
  Lab handle;
  EXPECT_EQ(handle.error_of("error(c)", prelude), "eval: an error that is a cdata");
}

TEST(Sandbox, GivesABatchThatEndsWhereTheBatchEnds) {
  Lab lab;
  lab.load(
      "local kept\n"
      "function on_batch(b)\n"
      "  kept = kept or b\n"
      "  for _, i in ipairs{ 0, -1, 65, 1e6, -1e6, 0/0, 1.5, 2^32 + 1, 1/0 } do assert(b[i] == nil, i) end\n"
      "  assert(#b == 64 and #kept == 64 and b[1] ~= nil and b[64] ~= nil and kept[65] == nil)\n"
      "  assert(not pcall(function() return b[1ULL] end) and not pcall(function() return b.x end))\n"
      "  assert(not pcall(function() b[1] = b[2] end) and not pcall(function() return b + 1 end))\n"
      "end");
  for (int i = 0; i < 100; ++i) lab.run(64);
  EXPECT_EQ(lab.state->statistics().errors, 0u) << lab.messages()[0].text();
}

TEST(Sandbox, EndsAViewWithItsPacket) {
  Lab lab;
  lab.load(
      "local last function on_packet(p) if last then local v = last last = nil v:u8(0) end last = p:payload() end");
  lab.run(64);
  EXPECT_EQ(lab.state->statistics().errors, 32u);
  EXPECT_SAYS(lab.messages()[0].text(), "a view is used after its packet");
  Lab across;
  across.load("local kept\nfunction on_packet(p) if kept then kept:u8(0) end kept = p:payload() end");
  across.run(1);
  EXPECT_EQ(across.state->statistics().errors, 0u);
  across.run(1);  // the same place in the next batch
  EXPECT_EQ(across.state->statistics().errors, 1u);
  EXPECT_SAYS(across.messages()[0].text(), "a view is used after its packet");
}

TEST(Sandbox, LeavesAKeptPacketReadableAndInsideTheFrames) {
  Lab lab;
  EXPECT_EQ(lab.failure_of("kept = kept or p\n return kept.caplen <= 60 and kept:u8(59) ~= nil and kept:u8(60) == nil",
                           "local kept"),
            "");
}

TEST(Sandbox, EndsRecursionThroughTheNativeStackWithAnError) {
  for (const char* code :
       {"local function f() return coroutine.wrap(f)() end f()",
        "local function f() local ok, why = coroutine.resume(coroutine.create(f)) error(why, 0) end f()",
        "local r r = function() return (('aaaa'):gsub('.', r)) end r()",
        "local r r = function() return (string.gsub('aaaa', '.', r)) end r()",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function() return (('a'):gsub('.', t)) end local x = "
        "t.a",
        "local r r = function(a, b) table.sort({ 3, 2, 1 }, r) return a < b end r(1, 2)",
        "local m = {} m.__lt = function() table.sort({ setmetatable({}, m), setmetatable({}, m) }) return true end "
        "table.sort({ setmetatable({}, m), setmetatable({}, m) })"}) {
    Lab lab;
    lab.spec.memory_bytes = 1u << 30;  // thousands of coroutines
    lab.spec.deadline_ns = 10'000'000'000;
    lab.load("function on_packet(p) " + std::string(code) + " end");
    lab.run(2);
    EXPECT_EQ(lab.state->statistics().errors, 2u) << code;
    EXPECT_FALSE(lab.state->statistics().dead) << code;
    EXPECT_SAYS(lab.messages()[0].text(), "stack overflow");
    Lab load;
    load.spec.memory_bytes = 1u << 30;
    load.spec.deadline_ns = 10'000'000'000;
    EXPECT_SAYS(load.load_error(code), "stack overflow");
  }
  Lab lab;  // and still do what they do
  EXPECT_EQ(
      lab.failure_of("local t = { 3, 1, 2 } table.sort(t, function(a, b) return a > b end) "
                     "local next_one = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b, 9 end) "
                     "local a = next_one(1) local b, c = next_one(5) "
                     "local ok, d = coroutine.resume(coroutine.create(function(x) return x end), 4) "
                     "return t[1] == 3 and a == 2 and b == 5 and c == 9 and ok and d == 4 "
                     "and ('abc'):gsub('b', { b = 'x' }) == 'axc' and select(2, ('aa'):gsub('a', 'b')) == 2"),
      "");
}

TEST(Sandbox, CapsStringsAndMemory) {
  for (const char* count : {"'1e9'", "'0x7fffffff'", "' 1000000000 '"}) {
    Lab text;
    EXPECT_SAYS(text.error_of("return ('x'):rep(" + std::string(count) + ")"), "rep: longer than");
  }
  Lab plain;
  EXPECT_EQ(plain.failure_of("return ('x'):rep('3') == 'xxx' and string.rep(7, 2, 0) == '707' and ('ab'):rep(0) == ''"),
            "");
  Lab rep;
  EXPECT_SAYS(rep.error_of("return ('x'):rep(1e9)"), "rep: longer than");
  Lab lab;
  lab.spec.memory_bytes = 4u << 20;
  lab.load("function on_packet(p) local t = {} for i = 1, 1e7 do t[i] = i end end");
  lab.run(3);
  EXPECT_EQ(lab.state->statistics().errors, 1u);
  EXPECT_SAYS(lab.messages()[0].text(), "needs more memory than its cap of 4 MiB");
  EXPECT_LE(lab.state->statistics().peak_memory_bytes, std::size_t{4u << 20});
}

TEST(Sandbox, KeepsACapDuringTheLoad) {
  Lab lab;
  lab.spec.memory_bytes = 4u << 20;
  EXPECT_SAYS(lab.load_error("local t = {} for i = 1, 1e7 do t[i] = i end"), "4 MiB");
}

TEST(Sandbox, GivesFfiToTrustedPluginsOnly) {
  Lab lab;
  lab.spec.trusted = true;
  lab.load("function on_packet(p) assert(ffi.sizeof('int') == 4) end");
  lab.run(1);
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  EXPECT_SAYS(lab.messages()[0].text(), "is trusted");
}

}  // namespace
