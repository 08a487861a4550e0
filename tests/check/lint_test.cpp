// What the lint says of a plugin, line by line, and of what it must not speak: valid plugins.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "plugins/author.h"

namespace {

using plugins::Finding;
using plugins::Severity;

std::vector<Finding> lint(std::string_view code) { return plugins::lint(code, {"x.lua"}).findings; }

// "error 3: text" for each finding, one a line.
std::string said(std::string_view code) {
  std::string all;
  for (const Finding& finding : lint(code)) {
    all += std::string(name_of(finding.severity)) + " " + std::to_string(finding.line) + ": " + finding.text + "\n";
  }
  return all;
}

std::string in_packet(std::string_view body) { return "function on_packet(p)\n" + std::string(body) + "\nend"; }

TEST(Lint, CodeThatDoesNotCompileGivesTheCompilersError) {
  EXPECT_EQ(said("local x = 1\nfunction on_packet(p"), "error 2: ')' expected near '<eof>'\n");
}

TEST(Lint, UnknownNamesAreFoundInBranchesThatNeverRun) {
  EXPECT_EQ(said(in_packet("if p.len > 1e9 then\n  cuont = 1\n  print(seen)\nend")),
            "error 3: unknown global 'cuont'; make it local\nerror 4: unknown name 'seen'\n");
  EXPECT_EQ(said("fliter = 'tcp'"), "error 1: unknown global 'fliter'; did you mean 'filter'?\n");
  EXPECT_EQ(said("function on_pakcet(p) end"), "error 1: unknown global 'on_pakcet'; did you mean 'on_packet'?\n");
  EXPECT_EQ(said(in_packet("print(maths)")), "error 2: unknown name 'maths'; did you mean 'math'?\n");
  EXPECT_EQ(said("local t = os.time()"), "error 1: unknown name 'os'\n");
}

TEST(Lint, UnknownFieldsAreNamedWithWhatIsNear) {
  EXPECT_EQ(said(in_packet("return p.sport")), "error 2: a packet has no field 'sport'; did you mean 'src_port'?\n");
  EXPECT_EQ(said(in_packet("return p.src:innet(net'10.0.0.0/8')")),
            "error 2: an address has no 'innet'; did you mean 'in_net'?\n");
  EXPECT_EQ(said(in_packet("local v = p:payload()\nreturn v:u64(0)")),
            "error 3: a view has no 'u64'; did you mean 'u16'?\n");
  EXPECT_EQ(said("local c = engine.counter { name = 'c', key = 'src' }\nfunction on_packet(p) c:count(p) end"),
            "error 2: a counter has no 'count'\n");
  EXPECT_EQ(said("function on_batch(b) for i = 1, #b do local p = b[i] print(p.lenght) end end"),
            "error 1: a packet has no field 'lenght'; did you mean 'len'?\n");
}

TEST(Lint, APacketIsFollowedIntoTheFunctionsThatGetIt) {
  EXPECT_EQ(said("local function port(packet) return packet.dport end\nfunction on_packet(p) return port(p) end"),
            "error 1: a packet has no field 'dport'; did you mean 'dst_port'?\n");
  // Who else calls it is not known: nothing is certain.
  EXPECT_EQ(said("local function port(x) return x.dport end\nlocal t = { port }\n"
                 "function on_packet(p) return port(p), t[1](args.x) end"),
            "");
}

TEST(Lint, UnknownFunctionsOfTheEngine) {
  EXPECT_EQ(said("local c = engine.countr { name = 'c' }"),
            "error 1: engine has no 'countr'; did you mean 'counter'?\n");
  EXPECT_EQ(said(in_packet("return string.dump(print)")), "error 2: string has no 'dump' here\n");
}

TEST(Lint, Options) {
  EXPECT_EQ(said("local c = engine.counter { name = 'c', key = { 'proto', 'sport' } }"),
            "error 1: counter: key 'sport' is unknown; did you mean 'src_port'?\n");
  EXPECT_EQ(said("local c = engine.topk {\n  name = 'c',\n  size = 3 }"), "error 3: topk: unknown option 'size'\n");
  EXPECT_EQ(said("local c = engine.counter { key = 'src' }"), "error 1: counter: option 'name' is missing\n");
  EXPECT_EQ(said("local o = { name = 'c' } local c = engine.counter(o)"), "");
}

TEST(Lint, KeysAreOfTheKindThatTheStructureWasDeclaredWith) {
  EXPECT_EQ(said("local c = engine.counter { name = 'c', key = 'src' }\nfunction on_packet(p) c:add(p.src) end"),
            "error 2: counter:add takes a packet (its keys are packet fields)\n");
  EXPECT_EQ(
      said("local c = engine.distinct { name = 'c' }\nfunction on_packet(p) c:add(p) end"),
      "error 2: distinct:add: a key is a string, a number, an address or a view; to take packets by field, give key = "
      "\"field\"\n");
  EXPECT_EQ(said("local a, b = engine.set { key = 'ip' }, engine.set { name = 'b', key = { 'src', 'dst' } }\n"
                 "function on_packet(p) a:add(p.src) b:add(p) end"),
            "");
}

TEST(Lint, EntriesOfMapsHaveTheFieldsTheyWereDeclaredWith) {
  const std::string map = "local m = engine.map { key = 'src', fields = { { 'bytes', 'u64' }, { 'last', 'time' } } }\n";
  EXPECT_EQ(said(map + in_packet("local e, new = m:put(p)\nif e and new then e.byte = p.len end")),
            "error 4: an entry has no field 'byte'; did you mean 'bytes'?\n");
  EXPECT_EQ(said(map + in_packet("local e = m:get(p)\nif e then e.bytes, e.last = e.bytes + p.len, p.time end")), "");
}

TEST(Lint, Arity) {
  EXPECT_EQ(said(in_packet("return p:u8()")), "error 2: :u8 takes 1 argument, got 0\n");
  EXPECT_EQ(said(in_packet("return p:u8(1, 2)")), "warning 2: :u8 takes 1 argument, got 2\n");
  EXPECT_EQ(said(in_packet("return p:u8(p:find('x'))")), "");
  EXPECT_EQ(said("local c = engine.counter()"), "error 1: engine.counter takes 1 argument, got 0\n");
  const std::string record = "local r = engine.record { name = 'r', { 'a', 'u8' }, { 'b', 'u8', optional = true } }\n";
  EXPECT_EQ(said(record + in_packet("r:emit(1) r:emit(1, 2) r:emit(p:u8(0))")), "");
  EXPECT_EQ(said(record + in_packet("r:emit(1, 2, 3)")),
            "error 3: r:emit takes 1 to 2 values, one for each field, got 3\n");
  EXPECT_EQ(said(record + in_packet("r:emit()")), "error 3: r:emit takes 1 to 2 values, one for each field, got 0\n");
}

TEST(Lint, MethodsAndFieldsAreNotTheSame) {
  EXPECT_EQ(said(in_packet("return p.u8(0)")), "error 2: call it with a colon: object:u8(...)\n");
  EXPECT_EQ(said(in_packet("return p:len()")), "error 2: 'len' is a field, not a method; write .len\n");
  EXPECT_EQ(said(in_packet("local u8 = p.u8\nreturn u8(p, 0)")), "");
}

TEST(Lint, AddressesAreNotTexts) {
  EXPECT_EQ(said(in_packet("if p.src == \"10.0.0.1\" then\nend")),
            "error 2: an address is compared with an address: write ip\"10.0.0.1\"\n");
  EXPECT_EQ(said(in_packet("local a = p.dst\nreturn '::1' ~= a")),
            "error 3: an address is compared with an address: write ip\"::1\"\n");
  EXPECT_EQ(said(in_packet("return p.src == ip'10.0.0.1', p.src == nil, p.src == p.dst")), "");
}

TEST(Lint, WhatHasAnIdentityOfItsOwnIsNoTableKey) {
  EXPECT_EQ(said("local t = {}\nfunction on_packet(p)\n  t[p.src] = true\nend"),
            "error 3: an address as a table key is never found again; use p.src:key() or p.src4\n");
  EXPECT_EQ(said("local t = { [net'10.0.0.0/8'] = 1 }"),
            "error 1: a network as a table key is never found again; use tostring(net)\n");
  EXPECT_EQ(said("local t = {}\nfunction on_packet(p) t[p.src:key()] = true t[p.src4] = p.len end"), "");
}

TEST(Lint, KeptPackets) {
  EXPECT_EQ(said("local last\nfunction on_packet(p)\n  if last and last.len > 5 then return end\n  last = p\nend"),
            "warning 4: a packet is kept in 'last' but valid only until its callback returns; keep the fields that you "
            "need\n");
  EXPECT_EQ(said("local all = {}\nfunction on_packet(p)\n  all[#all + 1] = p\nend"),
            "warning 3: a packet is kept in the table 'all' but valid only until its callback returns; keep the fields "
            "that you need\n");
  EXPECT_EQ(said("local all = {}\nfunction on_packet(p)\n  table.insert(all, p.src)\nend"),
            "warning 3: an address is kept in the table 'all' but valid only until its callback returns; keep its "
            ":copy() or :key()\n");
  EXPECT_EQ(said("local last\nfunction on_packet(p) last = p end\nfunction on_tick() print(last.len) end"),
            "warning 2: a packet is kept in 'last' but valid only until its callback returns; keep the fields that you "
            "need\n");
}

TEST(Lint, AVariableThatEachPacketSetsFirstKeepsNothing) {
  EXPECT_EQ(said("local p\nlocal function port() return p.dst_port end\nfunction on_packet(packet)\n  p = packet\n  "
                 "return port()\nend"),
            "");
  EXPECT_EQ(said("local all = {}\nfunction on_packet(p) all[p.src:key()] = p.src:copy() end"), "");
}

TEST(Lint, CostsOfEachPacketAreAdvice) {
  EXPECT_EQ(said("local c = engine.counter { name = 'c' }\nfunction on_packet(p)\n  c:add(p.src_port .. 'x')\nend"),
            "advice 3: '..' makes a string for each packet; structures take several key fields: key = { \"src\", "
            "\"dst_port\" }\n");
  EXPECT_NE(said(in_packet("local t = {}\nreturn t")).find("advice 2: a table is made for each packet"),
            std::string::npos);
  EXPECT_NE(said(in_packet("local f = function() return p.len end\nreturn f()")).find("advice 2: a function is made"),
            std::string::npos);
  EXPECT_NE(said(in_packet("return tostring(p.src)")).find("advice 2: tostring"), std::string::npos);
  EXPECT_NE(said(in_packet("return ('x'):rep(2), string.format('%d', p.len)")).find("advice 2: string.format"),
            std::string::npos);
  // What only some packets pay is nobody's business.
  EXPECT_EQ(said(in_packet("if p.len > 100 then return tostring(p.src) end")), "");
  EXPECT_EQ(said(in_packet("if p.proto ~= 6 then return end\nlocal t = { p.len }\nreturn t")), "");
  EXPECT_EQ(said("function on_tick(now) engine.emit('x', { now = tostring(now) .. 's' }) end"), "");
}

TEST(Lint, ModulesSetNoGlobals) {
  const auto found = plugins::lint("local m = {}\nhelper = 1\nreturn m", {"m.lua", false, true}).findings;
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].text, "a module sets no globals; make 'helper' local");
  EXPECT_EQ(found[0].line, 2);
}

TEST(Lint, ModulesThatAreRequiredByName) {
  EXPECT_EQ(plugins::lint("local a, b = require 'a', require('b') local c = require('c' .. 'd')", {"x.lua"}).modules,
            (std::vector<std::string>{"a", "b"}));
}

TEST(Lint, TrustedPluginsHaveFfi) {
  EXPECT_EQ(said("local x = ffi.new('int')"), "error 1: unknown name 'ffi'\n");
  EXPECT_TRUE(plugins::lint("local x = ffi.new('int')", {"x.lua", true}).findings.empty());
}

// Every kind of syntax that Lua has, in valid plugins: no word about them.
constexpr const char* kValid[] = {
    "#!/usr/bin/engine\nfunction on_packet(p) end",
    "local s = 'a\\'b\\\\' .. \"x\\n\\065\\x41\\u{20ac}\\z\n   y\" local l = [==[ ]] ]==] --[[ long\ncomment ]] --[==[ "
    "x ]==]\n"
    "function on_tick() print(s, l) end",
    "local n = { 0x10, 1e3, .5, 3., 0x.8p1, 12ULL, 5LL, 1e-3, 2i }\nfunction on_tick() print(#n, -n[1], not n, n[1] ^ "
    "2 ^ 3) end",
    "local function f(...) local a, b = ... return select('#', ...), a, b, (...) end\nfunction on_tick() print(f(1, "
    "2)) end",
    "local t = { 1, 2; x = 3, ['y'] = 4, f = function(self) return self.x end, [5] = { {} } }\nfunction t.g() end\n"
    "function t:h(x) return self, x end\nfunction on_tick() t.g() t:h{1}:h'x':h[[y]].x = 1 end",
    "function on_tick(now)\n  for i = 1, 10, 2 do if i > 5 then break end end\n  for k, v in pairs({}) do print(k, v) "
    "end\n"
    "  local i = 0 while i < 3 do i = i + 1 end\n  repeat local j = i i = i - 1 until j < 0\n  do local x; x = now "
    "end\n"
    "  goto done\n  print(1) ::done::\nend",
    "function on_tick(a) if a then elseif not a then else end local x = 1; return x end",
    "local on = {} on.x, on.y = 1, 2 local function r(n) if n > 0 then return r(n - 1) end end\nfunction on_tick() "
    "r(3) end",
    "interval = 0.5 filter = 'udp' uses = {}\nlocal s = setmetatable({}, { __index = function(_, k) return k end })\n"
    "function on_start(info) print(info.interface, #info.queues, info.cpu, args.k, s.anything.len) end",
    "local function first(b) return b[1] end\nfunction on_batch(b) local p = first(b) if p then print(p.len) end end",
    "local p = { sport = 1 }\nfunction on_tick() print(p.sport, p:sport(), _G.anything) end",
    "function on_packet(q) local p = q if q.len > 5 then p = { sport = 1 } end print(p.sport) end",
    "local mine = {}\nfunction on_packet(p) local a = p.src mine[p.hash] = a:key() a = 'x' if a == 'x' then return end "
    "end",
    "local r = engine.record { name = 'r', { 'a', 'ip' }, { 'b', 'string' } }\nfunction on_packet(p) r:emit(p.src, "
    "p:payload()) end",
    "local c = engine.counter { name = 'c' }\nfunction on_packet(p) c:add(p.src_port) c:add(p.src, 2) "
    "c:add(p:payload(), p.len) end",
    "local format, band = string.format, bit.band\nfunction on_packet(p) if band(p.tcp_flags, 2) ~= 0 then "
    "print(format('%d', p.len)) end end",
    "local util = require 'util'\nfunction on_packet(p) util.anything(p) util.x:y(p.src) end",
};

TEST(Lint, ValidPluginsAreSilent) {
  for (const char* code : kValid) EXPECT_EQ(said(code), "") << code;
}

TEST(Lint, TheExamplesAreSilent) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ENGINE_ROOT "/examples")) {
    if (entry.path().extension() != ".lua") continue;
    std::ifstream file(entry.path());
    EXPECT_EQ(said(std::string(std::istreambuf_iterator<char>(file), {})), "") << entry.path();
    ++files;
  }
  EXPECT_GE(files, 3u);
}

}  // namespace
