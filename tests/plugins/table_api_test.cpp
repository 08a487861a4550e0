// distinct, histogram, map, set, nets and rate as plugins use them: what they give, what they refuse, and that nothing
// which a plugin does with an entry reaches other memory.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/plugins/lab.h"
#include "tests/plugins/published.h"

using lab::Lab;
using published::Published;

namespace {

Published published_of(Lab& lab, std::size_t structure = 0) {
  return published::published_by(lab.state->structures()[structure]->active());
}

// Runs a plugin for some batches; every packet must pass.
void run_well(Lab& lab, std::string_view code) {
  lab.load(code);
  for (int i = 0; i < 8; ++i) lab.run(64);
  const auto messages = lab.messages();
  EXPECT_EQ(lab.state->statistics().errors, 0u) << (messages.empty() ? "" : messages[0].text());
}

TEST(SketchApi, CountsDifferentKeysByFieldAndByValue) {
  Lab lab;
  run_well(lab, R"(
    local a = engine.distinct{ name = 'a', key = { 'proto', 'dst_port' } }
    local b = engine.distinct{ name = 'b' }
    local i = 0
    function on_packet(p)
      a:add(p)
      i = (i + 1) % 50
      b:add(i) b:add('x' .. i % 5) b:add(p.dst) b:add(p:view(0, 4))
    end)");
  EXPECT_EQ(published_of(lab, 0), Published{"estimate=4"});
  const Published of_values = published_of(lab, 1);
  ASSERT_EQ(of_values.size(), 1u);
  // By a random secret: two keys may fall together.
  EXPECT_NEAR(std::stoi(of_values.begin()->substr(std::string_view("estimate=").size())), 57, 3);
}

TEST(SketchApi, PutsNumbersIntoAHistogram) {
  Lab lab;
  run_well(lab, R"(
    local h = engine.histogram{ name = 'h', max = 1000 }
    function on_packet(p) h:add(0.25) h:add(2000) end)");
  EXPECT_EQ(published_of(lab),
            (Published{"count=1024", "min=0.250000", "p50=0.250977", "p90=1000.000000", "p99=1000.000000",
                       "p999=1000.000000", "max=1000.000000", "mean=500.125000", "clamped=512"}));
}

TEST(MapApi, KeepsEveryTypeOfFieldByPacketKey) {
  Lab lab;
  EXPECT_EQ(lab.failure_of(R"(
    local e, new = m:put(p)
    if new then
      assert(e.a == 0 and e.b == 0 and e.c == 0 and e.d == 0 and e.e == 0 and e.f == 0 and e.g == false and
             e.i == '\0\0\0\0\0\0' and e.j == 0 and e.k == '')
      seen = seen + 1
    end
    e.a, e.b, e.c, e.d, e.e, e.f, e.g = 255, 65535, 4294967295, 2^53, -2^53, -0.5, true
    e.h, e.i, e.j, e.k = p.src, 'abcdef', p.time, 'a long name'
    local again = m:get(p)
    assert(again.a == 255 and again.b == 65535 and again.c == 4294967295 and again.d == 2^53 and again.e == -2^53)
    assert(again.f == -0.5 and again.g == true and again.h == p.src and again.i == 'abcdef' and again.j == p.time)
    assert(again.k == 'a long n')
    e.k, e.i = p:view(1, 3), p:view(0, 6)
    assert(again.k == '\1\2\3' and again.i == '\0\1\2\3\4\5')
    e.k, e.g = p:view(0, 60), false
    assert(e.k == '\0\1\2\3\4\5\6\7' and e.g == false)
    e.n = e.n + 1
    return #m == seen and m:count() == seen)",
                           R"(local m = engine.map{ key = { 'src', 'src_port' }, ttl = 3600, fields = {
      { 'a', 'u8' }, { 'k', 'string', 8 }, { 'b', 'u16' }, { 'c', 'u32' }, { 'd', 'u64' }, { 'e', 'i64' },
      { 'f', 'f64' }, { 'g', 'bool' }, { 'h', 'ip' }, { 'i', 'mac' }, { 'j', 'time' }, { 'n', 'u32' } } }
      local seen = 0)"),
            "");
}

TEST(MapApi, TakesValuesOfOneKindOrOfAny) {
  Lab lab;
  EXPECT_EQ(lab.failure_of(R"(
    local e, new = any:put('x' .. p.dst_port)
    e.n = e.n + 1
    any:put(p.dst_port).n = 7
    any:put(p.dst).n = 8
    any:put(p:view(0, 2)).n = 9
    assert(any:get(p.dst_port).n == 7 and any:get(p.dst).n == 8 and any:get('\0\1').n == 9 and any:get('none') == nil)
    hosts:put(p.src).n = p.len
    assert(hosts:get(p.src).n == p.len and hosts:get(p.dst) == nil)
    assert(not pcall(function() hosts:put('text') end) and not pcall(function() hosts:get(5) end))
    assert(hosts:delete(p.src) == true and hosts:delete(p.src) == false and hosts:get(p.src) == nil)
    return #hosts == 0)",
                           "local any = engine.map{ fields = { { 'n', 'u32' } } }\n"
                           "local hosts = engine.map{ key = 'ip', fields = { { 'n', 'u32' } } }"),
            "");
}

TEST(MapApi, RefusesAndCountsWhenFullAndForgetsByTheTtl) {
  Lab lab;
  lab.load(R"(
    local m = engine.map{ name = 'm', key = 'src', fields = { { 'n', 'u64' } }, max = 3, ttl = 0.00001 }
    local full = 0
    function on_packet(p)
      local e, new = m:put(p)
      if not e then
        assert(new == false)
        full = full + 1
      else
        e.n = e.n + 1
      end
    end
    function on_stop() engine.log('info', full) end)");
  lab.run();
  lab.state->tick(1e9);
  const Published lines = published_of(lab);
  EXPECT_EQ(lines[0], "entries=0") << "10 us after the last packet";
  const auto number = [](const std::string& line) { return std::stoul(line.substr(line.find('=') + 1)); };
  EXPECT_EQ(number(lines[1]), number(lines[2])) << "added and expired";
  EXPECT_GT(number(lines[4]), 0u);
  lab.messages();
  lab.state->stop();
  EXPECT_EQ(lab.messages()[0].body.substr(1, lines[4].size() - 8), std::to_string(number(lines[4])));
}

TEST(MapApi, AnEntryIsGoodForItsPacketAndItsLife) {
  const std::string map = "local m = engine.map{ key = 'src', fields = { { 'n', 'u8' }, { 'name', 'string', 9 } } }";
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"local e = m:put(p) m:delete(p) e.n = 1", "an entry is used after it was deleted or has expired"},
      {"local e = m:put(p) m:delete(p) m:put(p) return e.n", "an entry is used after it was deleted or has expired"},
      {"m:put(p).n = 256", "map: field 'n' takes u8, got 256"},
      {"m:put(p).n = -1", "map: field 'n' takes u8, got -1"},
      {"m:put(p).n = 0/0", "map: field 'n' takes u8, got nan"},
      {"m:put(p).n = nil", "map: field 'n' is nil and not optional"},
      {"m:put(p).n = 1ULL", "map: field 'n' takes u8, got 1ULL"},
      {"m:put(p).name = 5", "map: field 'name' takes string, got 5"},
      {"m:put(p).nam = 5", "an entry has no field 'nam'; did you mean 'name'? (there are n, name)"},
      {"return m:put(p).size", "an entry has no field 'size' (there are n, name)"},
      {"m:put(p)[1] = 5", "an entry has no field 'number' (there are n, name)"},
      {"m:put(p)._cursor = 5", "attempt to write to constant location"},
      {"m.put(p)", "call it as map:put(...)"},
      {"m.put({}, p)", "call it as map:put(...)"},
      {"m:put()", "map:put takes a packet (its keys are packet fields), got nil"},
      {"m:get('x')", "map:get takes a packet (its keys are packet fields), got \"x\""},
      {"m:get(p.src)", "map:get takes a packet (its keys are packet fields), got the address"},
      {"m:put(p.src)", "map:put takes a packet (its keys are packet fields), got the address"},
      {"m.put = 1", "a map is read-only"},
      {"m:add(p)", "a map has no 'add' (there are count, delete, get, put)"},
      {"local x = m[1]", "size of C type is unknown or too large"},
      {"local x = m.put(m:put(p), p)", "call it as map:put(...)"},
  };
  for (const auto& [body, message] : cases) {
    Lab lab;
    const std::string got = lab.error_of(body, map);
    EXPECT_NE(got.find(message), std::string::npos) << body << "\n" << got;
    EXPECT_NE(got.find("eval:2: "), std::string::npos) << body << "\n" << got;
  }
}

TEST(MapApi, AKeptEntryIsAnErrorForEveryLaterPacket) {
  Lab lab;
  EXPECT_EQ(lab.failure_of(R"(
    local e = kept
    kept = m:put(p)
    kept.n = 7
    if e == nil then return true end
    local read, why = pcall(function() return e.n end)
    local written, why_not = pcall(function() e.n = 1 end)
    return not read and not written and why:find('used after its packet', 1, true) ~= nil and why_not:find('used after its packet', 1, true) ~= nil)",
                           "local m = engine.map{ key = 'src', fields = { { 'n', 'u8' } } } local kept"),
            "");
}

TEST(MapApi, SeveralEntriesOfAPacketAreApart) {
  Lab lab;
  EXPECT_EQ(lab.failure_of(R"(
    local e, f = m:put(p.src), m:put(p.dst)
    e.n, f.n = p.src_port, p.dst_port
    for i = 1, 40 do m:put(i).n = i end
    assert(e.n == p.src_port and f.n == p.dst_port and m:get(p.src).n == e.n and m:get(7).n == 7)
    return true)",
                           "local m = engine.map{ fields = { { 'n', 'u16' } } }"),
            "");
}

TEST(SetApi, SaysWhatIsNewAndPublishesMembers) {
  Lab good;
  run_well(good, R"(
    local s = engine.set{ name = 's', key = 'dst_port', list = true, items = { 53 } }
    local seen = { [53] = true }
    function on_packet(p)
      local known = seen[p.dst_port] == true
      if s:has(p) ~= known or s:add(p) == known then error('wrong') end
      seen[p.dst_port] = true
      if #s ~= s:count() or #s > 2 then error('count') end
    end)");
  EXPECT_EQ(published_of(good), (Published{"members=1", "new=1", "entries: dst_port=443"}));
}

TEST(SetApi, TakesListsAndFilesOfValues) {
  const lab::Folder folder;
  folder.write("known.txt", "# hosts\n10.0.0.1\n2001:db8::1 # one\nexample.org\n53\n");
  Lab lab;
  lab.spec.path = folder.write("plugin.lua", R"(
    local s = engine.set{ items = { 'a', ip'10.0.0.2', 53, '10.0.0.3' }, file = 'known.txt', max = 2 }
    local hosts = engine.set{ key = 'ip', items = { '10.0.0.1' } }
    function on_packet(p)
      assert(#s == 8 or #s == 10)
      for _, key in ipairs{ 'a', 53, '53', 'example.org', ip'10.0.0.1', ip'10.0.0.2', ip'10.0.0.3', ip'2001:db8::1' } do
        assert(s:has(key), tostring(key))
      end
      assert(not s:has('b') and not s:has('10.0.0.1') and hosts:has(ip'10.0.0.1') and not hosts:has(p.dst))
      s:add('x') s:add('y')
      assert(s:add('z') == nil and s:has('z') == false and s:add('x') == false)
    end)");
  run_well(lab, "");
}

TEST(SetApi, NamesWhatIsWrong) {
  const lab::Folder folder;
  folder.write("bad.txt", "10.0.0.1\n\n10.0.0.x\n");
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"engine.set{ key = 'scr' }", "set: key 'scr' is unknown; did you mean 'src'?"},
      {"engine.set{ name = 'a', ttl = 1 }", "set: with ttl it forgets"},
      {"engine.set{ key = 'src', items = { 'x' } }", "set: item: 'x' is no address"},
      {"engine.set{ key = 'proto', items = { 256 } }", "set: item: '256' is no value of the key's field"},
      {"engine.set{ key = { 'src', 'proto' }, items = { 'x' } }", "set: items: a key of several fields takes no list"},
      {"engine.set{ key = 'ip', file = 'bad.txt' }", "bad.txt:3: '10.0.0.x' is no address"},
      {"engine.set{ file = '../bad.txt' }", "a name without '/' (a file beside the plugin) expected"},
      {"engine.set{ file = '/etc/passwd' }", "a name without '/' (a file beside the plugin) expected"},
      {"engine.set{ file = 'none.txt' }", "none.txt: No such file or directory"},
      {"engine.set{ file = 5 }", "set: file is the name of a file beside the plugin, or a path from args, got 5"},
      {"engine.set{ items = { true } }", "set: an item is a text, a number, an address or a network, got true"},
      {"engine.set{ items = 'x' }", "set: items is a list, got \"x\""},
      {"engine.set{ maximum = 5 }", "set: unknown option \"maximum\""},
      {"engine.nets{ items = { '10.0.0.0/33' } }", "nets: item: '10.0.0.0/33' is no network"},
      {"engine.nets{ items = { ['10.0.0.0/8'] = 5 } }", "nets: a network's tag is a text"},
      {"engine.nets{ items = { '11.0.0.0/8', ['10.0.0.0/8'] = 'lan' } }",
       "'11.0.0.0/8' has a tag where others have none"},
      {"engine.nets{ file = 'bad.txt' }", "bad.txt:3: '10.0.0.x' is no network"},
      {"engine.map{ fields = {} }", "map: no fields; to know only what is in it, use engine.set"},
      {"engine.map{}", "map: fields is a list"},
      {"engine.map{ fields = { { 'n', 'u7' } } }", "map: field 'n' has no type \"u7\"; did you mean 'u8'?"},
      {"engine.map{ fields = { { 'n', 'string' } } }",
       "map: the size of field 'n', as in { \"n\", \"string\", 64 }, is a whole number"},
      {"engine.map{ fields = { { 'n', 'u8' }, { 'n', 'u8' } } }", "map: field 'n' is given twice"},
      {"engine.map{ fields = { { 'n', 'u8', 3 } } }", "map: field 'n': unknown option 3"},
      {"engine.map{ fields = { { '_row', 'u8' } } }", "map: field 1 has a bad name: \"_row\""},
      {"engine.map{ fields = { { 'n', 'u8' } }, ttl = -1 }", "map: ttl is a number from"},
      {"engine.rate{ name = 'r' }", "rate: above is missing"},
      {"engine.rate{ name = 'r', above = 0/0 }", "rate: above is a number from"},
      {"engine.rate{ name = 'r', above = 5, on_above = 5 }", "rate: on_above is a function(key, rate), got 5"},
      {"engine.rate{ above = 5 }", "rate: a name of letters"},
      {"engine.histogram{ name = 'h', digits = 5 }", "histogram: digits is a whole number from 1 to 4, got 5"},
      {"engine.histogram{ name = 'h', max = 1e16 }", "histogram: max is a number from"},
      {"engine.distinct{ name = 'd', key = 'sport' }", "distinct: key 'sport' is unknown; did you mean 'src_port'?"},
  };
  for (const auto& [code, message] : cases) {
    Lab lab;
    lab.spec.path = folder.write("plugin.lua", std::string("\n") + code);
    const std::string got = lab.load_error("");
    EXPECT_NE(got.find("plugin.lua:2: "), std::string::npos) << code << "\n" << got;
    EXPECT_NE(got.find(message), std::string::npos) << code << "\n" << got;
  }
}

TEST(SetApi, OpensAFileThatTheOperatorNamed) {
  const lab::Folder folder, other;
  const std::string list = other.write("list.txt", "example.org\n");
  Lab lab;
  lab.spec.args.emplace_back("hosts", list);
  run_well(lab, "local s = engine.set{ file = args.hosts } function on_packet(p) assert(s:has('example.org')) end");
  Lab refused;
  EXPECT_NE(refused.load_error("engine.set{ file = '" + list + "' }").find("or one of the plugin's arguments"),
            std::string::npos);
}

TEST(NetsApi, MatchTheLongestNetworkAsNetOrTag) {
  const lab::Folder folder;
  folder.write("tags.txt", "10.0.0.0/8 lan\n10.0.0.0/24 the first floor # quiet\n2001:db8::/32 lan\n");
  Lab lab;
  lab.spec.path = folder.write("plugin.lua", R"(
    local plain = engine.nets{ items = { '10.0.0.0/8', net'10.0.0.0/22', '192.168.0.1', '2001:db8::/32' } }
    local tags = engine.nets{ items = { ['192.168.0.0/16'] = 'servers' }, file = 'tags.txt' }
    local empty = engine.nets{}
    function on_packet(p)
      assert(tostring(plain:match(p.src)) == '10.0.0.0/22' and tostring(plain:match(p.dst)) == '192.168.0.1/32')
      assert(plain:match(p.src):contains(p.src) and plain:match(ip'11.0.0.1') == nil)
      assert(tostring(plain:match(ip'10.9.9.9')) == '10.0.0.0/8' and tostring(plain:match(ip'2001:db8::1')) == '2001:db8::/32')
      assert(tags:match(p.dst) == 'servers' and tags:match(ip'10.0.0.9') == 'the first floor')
      assert(tags:match(ip'10.1.0.9') == 'lan' and tags:match(ip'2001:db8::9') == 'lan' and tags:match(ip'1.1.1.1') == nil)
      assert(plain:has(p.src) and not plain:has(ip'1.1.1.1') and #tags >= 4 and #plain == 4 and plain:count() == 4)
      tags:add('172.16.0.0/12', 'lan')
      assert(tags:match(ip'172.16.9.9') == 'lan' and tags:add(net'172.16.0.0/12', 'lan') == false)
      assert(not pcall(function() tags:add('1.0.0.0/8', 'none') end) and not pcall(function() tags:add('1.0.0.0/8') end))
      assert(not empty:has(p.src))
      empty:add(net'11.0.0.0/8')
      assert(empty:match(ip'11.1.1.1') == net'11.0.0.0/8' and empty:match(ip'11.1.1.1') ~= net'11.0.0.0/9')
    end)");
  run_well(lab, "");
}

TEST(RateApi, CallsBetweenBatchesWithTheKeyAndTheRate) {
  Lab lab;
  lab.load(R"(
    local said = {}
    local function say(name) return function(k, r)
      if type(k) == 'table' then k = k.proto .. ' ' .. k.dst_port .. ' ' .. tostring(k.src == nil) end
      said[#said + 1] = name .. ' ' .. tostring(k) .. (r >= 1000 and r < 2e7 and '' or ' ' .. r)
    end end
    local one = engine.rate{ name = 'one', key = 'dst', above = 1000, on_above = say('one') }
    local port = engine.rate{ name = 'port', key = 'is_fragment', above = 1000, on_above = say('fragment') }
    local two = engine.rate{ name = 'two', key = { 'proto', 'dst_port' }, above = 1000, on_above = say('two') }
    local any = engine.rate{ name = 'any', above = 1000, window = 2, on_above = say('any') }
    local quiet = engine.rate{ name = 'quiet', key = 'dst', above = 5 }
    function on_packet(p)
      if #said ~= 0 and p.time < 256000 then error('called inside of the batch') end
      one:add(p) two:add(p) quiet:add(p) port:add(p)
      any:add('text', 100) any:add(5, 100) any:add(p.dst, 100)
      if one:rate(p) <= 0 or any:rate('none') ~= 0 or any:rate(5) <= 0 or #one ~= 1 or any:count() ~= 3 then error('rate') end
    end
    function on_stop() table.sort(said) for _, line in ipairs(said) do engine.log('info', line) end end)");
  for (std::uint32_t i = 0; i < 100; ++i) {
    lab.run();
    for (auto& p : lab.packets) LAB_SET(p, time, p.time + 256e3);
  }
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  for (const auto& message : lab.messages()) ADD_FAILURE() << message.text();
  lab.state->stop();
  std::vector<std::string> said;
  for (const auto& message : lab.messages()) said.push_back(message.text().substr(1));
  EXPECT_EQ(said, (std::vector<std::string>{"any 192.168.0.1", "any 5", "any text", "fragment false", "one 192.168.0.1",
                                            "two 17 443 true", "two 17 53 true", "two 6 443 true"}));
  lab.state->tick(26e6);
  EXPECT_EQ(published_of(lab, 4).size(), 1u);
}

TEST(TableApi, ChecksWhatItIsGiven) {
  const std::string all =
      "local d = engine.distinct{ name = 'd' } local f = engine.distinct{ name = 'f', key = 'src' } "
      "local h = engine.histogram{ name = 'h' } local s = engine.set{ key = 'src' } local v = engine.set{ key = 'ip' } "
      "local n = engine.nets{ items = { '10.0.0.0/8' } } local t = engine.nets{ items = { ['10.0.0.0/8'] = 'x' } } "
      "local r = engine.rate{ name = 'r', key = 'src', above = 5 } local q = engine.rate{ name = 'q', above = 5 }";
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"d:add(nil)", "distinct:add: a key is a string, a number, an address or a view, got nil"},
      {"d:add(p)", "got a packet; for keys by packet field, give key = \"field\""},
      {"d:add(0/0)", "distinct:add: a key is a string"},
      {"d:add(5ULL)", "distinct:add: a key is a string"},
      {"d.add(5)", "call it as distinct:add(key)"},
      {"d.add(f, 5)", "call it as distinct:add(key)"},
      {"f:add(5)", "distinct:add takes a packet (its keys are packet fields), got 5"},
      {"f:add()", "distinct:add takes a packet (its keys are packet fields), got nil"},
      {"h:add(-1)", "histogram:add: a number that is not negative expected, got -1"},
      {"h:add(0/0)", "histogram:add: a number that is not negative expected"},
      {"h:add('5')", "histogram:add: a number that is not negative expected, got \"5\""},
      {"h:add(5ULL)", "histogram:add: a number that is not negative expected, got 5ULL"},
      {"h.add({}, 5)", "call it as histogram:add(value)"},
      {"s:add(p.src)", "set:add takes a packet (its keys are packet fields), got the address"},
      {"s:has(nil)", "set:has takes a packet (its keys are packet fields), got nil"},
      {"s.has(v, p)", "call it as set:has(...)"},
      {"v:add('10.0.0.1')", "set:add: this set's keys are of another kind, got \"10.0.0.1\""},
      {"v:has(5)", "set:has: this set's keys are of another kind, got 5"},
      {"v:has(p)", "for keys by packet field, give key"},
      {"v.count(s)", "call it as set:count()"},
      {"n:match(nil)", "nets:match: an address expected, as p.src, got nil"},
      {"n:match('10.0.0.1')", "nets:match: an address expected, as p.src, got \"10.0.0.1\""},
      {"n:has(p)", "nets:has: an address expected, as p.src, got a packet"},
      {"n.has(s, p.src)", "call it as nets:has(...)"},
      {"n:add(5)", "nets:add: a net\"...\" expected, got 5"},
      {"n:add(p.src)", "nets:add: a net\"...\" expected, got the address"},
      {"t:add('11.0.0.0/8', 'y')", "nets:add: a tag expected that one of its items has, got \"y\""},
      {"r:add(5)", "rate:add takes a packet (its keys are packet fields), got 5"},
      {"q:add('x', -1)", "rate:add: a whole number that is not negative expected, got -1"},
      {"q:add('x', 0/0)", "rate:add: a whole number that is not negative expected"},
      {"q:add(nil)", "rate:add: a key is a string"},
      {"q:rate({})", "rate:rate: a key is a string"},
      {"return r.name", "a rate has no 'name'; did you mean 'rate'? (there are add, count, rate)"},
      {"return h[0]", "size of C type is unknown or too large"},
      {"return s + 1", "attempt to perform arithmetic on"},
  };
  for (const auto& [body, message] : cases) {
    Lab lab;
    const std::string got = lab.error_of(body, all);
    EXPECT_NE(got.find(message), std::string::npos) << body << "\n" << got;
    EXPECT_NE(got.find("eval:2: "), std::string::npos) << body << "\n" << got;
  }
}

}  // namespace
