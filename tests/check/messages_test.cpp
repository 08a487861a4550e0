// Wrong use of the interface, as the plugin's author reads it: plugin, file, line, and what is right.
#include <gtest/gtest.h>

#include "tests/plugins/lab.h"

namespace {

struct Wrong {
  const char* code;
  const char* message;  // how it begins
};

// The mistake stands in line 2.
constexpr Wrong kAtLoad[] = {
    {"fliter = 'tcp'", "unknown global 'fliter'; did you mean 'filter'?"},
    {"function on_pakcet(p) end", "unknown global 'on_pakcet'; did you mean 'on_packet'?"},
    {"counters = {}", "unknown global 'counters'; make it local"},
    {"print(stirng)", "unknown name 'stirng'; did you mean 'string'?"},
    {"interval = 0", "'interval' is a number of seconds from 0.001 to 86400, got 0"},
    {"filter = 5", "'filter' is a string, got 5"},
    {"local c = engine.cuonter { name = 'c' }", "engine has no 'cuonter'; did you mean 'counter'?"},
    {"local c = engine.counter { name = 'c', key = 'sport' }",
     "counter: key 'sport' is unknown; did you mean 'src_port'?"},
    {"local c = engine.topk { name = 'c', key = { 'src', 'dport' } }",
     "topk: key 'dport' is unknown; did you mean 'dst_port'?"},
    {"local c = engine.counter { name = 'c', kye = 'src' }", "counter: unknown option \"kye\"; did you mean 'key'?"},
    {"local c = engine.counter { key = 'src' }",
     "counter: a name of letters, digits, '_', '-' and '.' expected, got nil"},
    {"local c = engine.counter 'c'", "counter: a table of options expected"},
    {"local c = engine.topk { name = 'c', k = 0 }", "topk: k is a whole number from 1 to 10000, got 0"},
    {"local r = engine.record { name = 'r', { 'a', 'strng' } }",
     "record: field 'a' has no type \"strng\"; did you mean 'string'?"},
    {"local r = engine.record { name = 'r' }", "record: no fields"},
    {"local d = engine.distinct { name = 'd', key = 'sorce' }",
     "distinct: key 'sorce' is unknown; did you mean 'src'?"},
    {"local h = engine.histogram { name = 'h', digit = 2 }",
     "histogram: unknown option \"digit\"; did you mean 'digits'?"},
    {"local m = engine.map { key = 'src', fields = { { 'n', 'u32s' } } }",
     "map: field 'n' has no type \"u32s\"; did you mean 'u32'?"},
    {"local s = engine.set { key = 'source' }", "set: key 'source' is unknown"},
    {"local n = engine.nets { items = { '10.0.0.0/33' } }", "nets: "},
    {"local r = engine.rate { name = 'r', key = 'src' }", "rate: above is "},
    {"local a = ip'10.0.0.300'", "ip: \"10.0.0.300\" is no address"},
    {"local a = net'10.0.0.0/40'", "net: \"10.0.0.0/40\" is no network"},
    {"engine.log('warning', 'x')", "log: the level is error, warn, info or debug, got \"warning\""},
    {"local u = require '../util'", "require: a name without '/' and '.' expected"},
};

constexpr Wrong kAtPackets[] = {
    {"return p.sport", "a packet has no field 'sport'; did you mean 'src_port'?"},
    {"p.len = 5", "attempt to write to constant location"},
    {"local x = p:u8('x')", "u8: an offset expected, got \"x\""},
    {"local x = p.u8(5)", "call it as p:u8(...)"},
    {"return p.src == '10.0.0.1'", "an address is compared with an address, as in p.src == ip\"10.0.0.1\""},
    {"local x = p.src:in_net(5)", "in_net: a net\"...\" expected, got 5"},
    {"return p.src:prefx(24)", "an address has no 'prefx'; did you mean 'prefix'?"},
    {"return p:payload():u88(0)", "a view has no 'u88'; did you mean 'u8'?"},
    {"by_field:add(p.src)", "counter:add takes a packet (its keys are packet fields), got the address 10.0."},
    {"by_field.add(p)", "call it as counter:add(...)"},
    {"by_field:ad(p)", "a counter has no 'ad'; did you mean 'add'?"},
    {"by_value:add(p)",
     "counter:add: a key is a string, a number, an address or a view, got a packet; to count packets by "
     "field, give key = \"field\""},
    {"by_value:add('x', -1)", "counter:add: a whole number that is not negative expected, got -1"},
    {"result:emit(70000)", "result: field 'port' takes u16, got 70000"},
    {"result:emit()", "result: field 'port' is nil and not optional"},
    {"result.emit(5)", "call it as record:emit(...)"},
    {"engine.emit('x', 5)", "emit: a table expected, got 5"},
    {"local x = dns.parse(5)", "dns.parse: a packet expected, got 5"},
    {"local c = engine.counter { name = 'late' }",
     "counter: structures are declared while the plugin loads or in on_start"},
};

TEST(Messages, OfTheLoadNameThePluginTheLineAndWhatIsRight) {
  for (const Wrong& wrong : kAtLoad) {
    lab::Lab lab;
    const std::string error = lab.load_error(std::string("local x = 1\n") + wrong.code + "\nfunction on_tick() end");
    EXPECT_EQ(error.rfind(std::string("plugin test: eval:2: ") + wrong.message, 0), 0u) << wrong.code << "\n" << error;
  }
}

TEST(Messages, OfPacketsNameTheLineAndWhatIsRight) {
  for (const Wrong& wrong : kAtPackets) {
    lab::Lab lab;
    lab.load(
        "local by_field, by_value, result = engine.counter { name = 'f', key = 'src' }, engine.counter { name = 'v' }, "
        "engine.record { name = 'result', { 'port', 'u16' } } function on_packet(p)\n" +
        std::string(wrong.code) + "\nend");
    lab.run(1);
    const auto messages = lab.messages();
    ASSERT_EQ(messages.size(), 1u) << wrong.code;
    EXPECT_EQ(messages[0].text().rfind(std::string("eval:2: ") + wrong.message, 0), 0u) << wrong.code << "\n"
                                                                                        << messages[0].text();
  }
}

// The frame that a call in tail position was made in is gone, and with it its line.
TEST(Messages, OfACallInAReturnNameWhereTheFunctionBegins) {
  lab::Lab lab;
  lab.load("local x\nfunction on_packet(p)\n\n  return p:u8('x')\nend");
  lab.run(1);
  const auto messages = lab.messages();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].text(),
            "eval:2: u8: an offset expected, got \"x\" (in a return of the function that begins here)");
}

}  // namespace
