// The configuration file: blocks into settings, and every mistake named with file, line and key.
#include "engine/cli/config.h"

#include "engine/cli/settings_table.h"
#include "tests/cli/support.h"

namespace {

using namespace engine::cli;
using cli_test::refusal_of;
using engine::ExitCode;

Settings read(const std::string& text) {
  Settings s;
  Actions actions;
  const std::vector<Option> options = capture_options(s, actions);
  read_configuration_text("e.lua", text, options, s);
  return s;
}

std::string refused(const std::string& text) {
  const auto refusal = refusal_of([&] { read(text); });
  EXPECT_EQ(refusal.code, refusal.line.empty() ? ExitCode::done : ExitCode::bad_usage);
  return refusal.line;
}

TEST(Configuration, IsLuaAndMayCompute) {
  const Settings s = read(R"(
    local base = 2
    local nets = {}
    for i = 1, 3 do nets[i] = "10." .. i .. ".0.0/16" end
    capture { interface = ("ETH0"):lower(), queues = base * 4, block = nets, duration = math.min(3, 2.5), no_promisc = true }
    for _, name in ipairs { "a", "b" } do plugin(name .. ".lua") { args = { k = base } } end
    plugin "bare.lua"
    sink "json" { path = "r.jsonl", format = "json" })");
  EXPECT_EQ(s.interfaces, (std::vector<InterfaceSetting>{{"eth0", {}}}));
  EXPECT_EQ(s.queues, 8u);
  EXPECT_EQ(s.block, (std::vector<std::string>{"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"}));
  EXPECT_EQ(s.duration_s, 2.5);
  EXPECT_TRUE(s.no_promisc);
  ASSERT_EQ(s.plugins.size(), 3u);
  EXPECT_EQ(s.plugins[1].path, "b.lua");
  EXPECT_EQ(s.plugins[2].name, "bare");
  EXPECT_EQ(s.output_path, "r.jsonl");
}

TEST(Configuration, NamesFileLineAndKeyOfAnUnknownKey) {
  EXPECT_EQ(refused("capture {\n  interface = \"a\",\n  quees = 3,\n}"),
            "e.lua:3: capture.quees: unknown key; did you mean queues?");
  EXPECT_EQ(refused("plugin \"a.lua\" {}\nplugin \"b.lua\" { args = { nmae = 1 },\n  nmae = \"q\" }"),
            "e.lua:3: plugin.nmae: unknown key; did you mean name?");
  EXPECT_EQ(refused("sink \"json\" { zzz = 1 }"), "e.lua:1: sink.zzz: unknown key; known keys: format or path");
  EXPECT_EQ(refused("sink \"pcapng\" {\n capture_onyl = true }"),
            "e.lua:2: sink.capture_onyl: unknown key; did you mean capture_only?");
  EXPECT_EQ(refused("sink \"pcapng\" { format = \"json\" }"),
            "e.lua:1: sink.format: unknown key; known keys: capture_only or path");
}

TEST(Configuration, NamesTheAllowedValues) {
  EXPECT_EQ(refused("capture { queues = 0 }"), "e.lua:1: capture.queues: must be 1..128 or all");
  EXPECT_EQ(refused("capture { queues = 2.5 }"), "e.lua:1: capture.queues: must be 1..128 or all");
  EXPECT_EQ(refused("capture { queues = 1/0 }"), "e.lua:1: capture.queues: must be 1..128 or all");
  EXPECT_EQ(refused("capture { mode = \"native\" }"),
            "e.lua:1: capture.mode: must be auto, zerocopy, copy, skb or afpacket");
  EXPECT_EQ(refused("\n\nplugin \"a\" { memory = \"1TiB\" }"),
            "e.lua:3: plugin.memory: must be a size in 1MiB..4GiB; for example 64MiB");
  EXPECT_EQ(refused("plugin \"a\" { deadline_ms = 0 }"), "e.lua:1: plugin.deadline_ms: must be 1..60000");
  EXPECT_EQ(refused("plugin \"a\" { deadline_ms = 60001 }"), "e.lua:1: plugin.deadline_ms: must be 1..60000");
  EXPECT_EQ(refused("plugin \"a\" { deadline_ms = 0/0 }"), "e.lua:1: plugin.deadline_ms: must be 1..60000");
  EXPECT_EQ(refused("capture { cpus = \"1-x\" }"),
            "e.lua:1: capture.cpus: must be a list of CPU numbers and ranges; for example 2-5,8");
  EXPECT_EQ(refused("sink \"csv\" {}"), "e.lua:1: sink \"csv\": unknown kind of sink; known: json, pcapng");
}

TEST(Configuration, RefusesWrongTypes) {
  EXPECT_EQ(refused("capture { queues = \"8\" }"),
            "e.lua:1: capture.queues: must be a number, not a string; allowed: 1..128 or all");
  EXPECT_EQ(refused("capture { interface = 4 }"), "e.lua:1: capture.interface: must be a string, not a number");
  EXPECT_EQ(refused("capture { interface = { \"a\", \"b\" } }"),
            "e.lua:1: capture.interface: must be a string, not a table");
  EXPECT_EQ(refused("capture { take_all = 1 }"), "e.lua:1: capture.take_all: must be true or false, not a number");
  EXPECT_EQ(refused("capture { block = \"10.0.0.1\" }"),
            "e.lua:1: capture.block: must be a list of strings; write { \"...\", \"...\" }");
  EXPECT_EQ(refused("capture { block = { 1 } }"),
            "e.lua:1: capture.block: holds a number; every entry must be a string");
  EXPECT_EQ(refused("capture { \"eth0\" }"), "e.lua:1: capture: holds a value without a key; write key = value");
  EXPECT_EQ(refused("capture { filter = ipairs }"),
            "e.lua:1: capture.filter: holds a function; write true, false, a number, a string or a table");
  EXPECT_EQ(refused("capture { interface = \"a\\0b\" }"), "e.lua:1: capture.interface: must not hold a NUL byte");
  EXPECT_EQ(refused("plugin \"a\" { args = { 1 } }"),
            "e.lua:1: plugin.args: must be a table of named values; write args = { k = 20 }");
  EXPECT_EQ(refused("plugin \"a\" { args = { k = {} } }"),
            "e.lua:1: plugin.args.k: must be true, false, a number or a string, not a table");
  EXPECT_EQ(refused("plugin \"a\" { args = { k = 0/0 } }"), "e.lua:1: plugin.args.k: must be finite");
}

TEST(Configuration, NamesOneInterfaceOrSeveral) {
  const std::vector<InterfaceSetting> two = {{"a", {}}, {"b", {0, 1, 2, 3}}};
  EXPECT_EQ(read("capture { interfaces = { \"a\", \"b:0-3\" } }").interfaces, two);
  EXPECT_EQ(refused("capture {\n interface = \"a\",\n interfaces = { \"b\" } }"),
            "e.lua:3: capture.interfaces: is given beside interface; give one of the two");
  EXPECT_EQ(refused("capture { interfaces = { \"b:0-\" } }"),
            "e.lua:1: capture.interfaces: has no valid list of queues; give queue numbers 0..127 and ranges, as in "
            "eth0:0-3,5");
  EXPECT_EQ(refused("capture { filter = \"tcp\",\n filter_file = \"f\" }"),
            "e.lua:2: capture.filter_file: is given beside filter; give one of the two");
}

TEST(Configuration, LargeWholeNumbersAreDigits) {
  EXPECT_EQ(read("capture { count = 1000000, rate_limit = 1e6 }").count, 1000000u);
  EXPECT_EQ(read("capture { rate_limit = \"2000,burst=7\" }").rate_limit.burst, 7u);
  EXPECT_EQ(refused("capture { rate_limit = 0.5 }"), "e.lua:1: capture.rate_limit: must be 1..1000000000");
}

TEST(Configuration, SaysWhatIsNotAvailableYet) {
  EXPECT_EQ(refused("ebpf { xdp = 1 }"), "e.lua:1: ebpf: is not available yet");
  EXPECT_EQ(refused("sink \"json\" {\n path = \"x\",\n rotate = \"100MB\" }"),
            "e.lua:3: sink.rotate: is not available yet");
  EXPECT_EQ(refused("capture {}\ncapture {}"),
            "e.lua:2: capture: a second capture block is not available yet; keep one");
  EXPECT_EQ(refused("sink \"json\" {} sink \"pcapng\" {}\nsink \"json\" {}"),
            "e.lua:2: sink: a second sink \"json\" block is not available yet; keep one");
}

TEST(Configuration, RefusesMisspeltBlocksAndGlobalsThatDoNothing) {
  EXPECT_EQ(refused("captur {}"), "e.lua:1: captur: unknown block or name; did you mean capture?");
  EXPECT_EQ(refused("\ncapture = {}"), "e.lua:2: capture: is a block; write capture { ... } without '='");
  EXPECT_EQ(refused("queues = 8"), "e.lua:1: queues: setting a global does nothing here; write local queues = ...");
  EXPECT_EQ(refused("plugin { \"a\" }"), "e.lua:1: plugin: needs a name: plugin \"...\" { ... }");
  EXPECT_EQ(refused("capture \"x\""), "e.lua:1: capture: write capture { key = value, ... }");
  EXPECT_EQ(
      refused("plugin \"a\" {}\nplugin \"b/a.lua\" {}").find("plugin b/a.lua: a plugin named 'a' is loaded already"),
      0u);
}

TEST(Configuration, ShowsLuasOwnErrorsWithTheirPlace) {
  EXPECT_EQ(refused("capture {\n"), "e.lua:2: unexpected symbol near '<eof>'");
  EXPECT_EQ(refused("\nerror(\"boom\")"), "e.lua:2: boom");
  EXPECT_EQ(refused("error {}"), "e.lua: failed with an error that is not text");
  EXPECT_EQ(refusal_of([] {
              Settings s;
              read_configuration("/nonexistent/e.lua", {}, s);
            }).line,
            "configuration /nonexistent/e.lua: No such file or directory");
  const std::string long_path = std::string(120, 'd') + "/e.lua";
  Settings s;
  EXPECT_EQ(refusal_of([&] { read_configuration_text(long_path, "error('x')", {}, s); }).line, long_path + ":1: x");
}

TEST(Configuration, ReachesNothingOutsideItself) {
  for (const char* name :
       {"os",      "io",      "require",      "load",         "loadstring", "loadfile",       "dofile",
        "package", "debug",   "ffi",          "jit",          "pcall",      "xpcall",         "coroutine",
        "getfenv", "setfenv", "setmetatable", "getmetatable", "rawset",     "collectgarbage", "newproxy",
        "module",  "_G",      "print",        "gcinfo"}) {
    const std::string line = refused(std::string("local x = ") + name);
    EXPECT_EQ(line.find(std::string("e.lua:1: ") + name + ": unknown block or name"), 0u) << line;
  }
  for (const char* method : {"rep", "find", "match", "gsub", "gmatch", "dump"}) {
    EXPECT_NE(refused(std::string("local x = (\"x\"):") + method + "(1)").find("nil value"), std::string::npos)
        << method;
    EXPECT_NE(refused(std::string("local x = string.") + method + "(\"x\", 1)"), "") << method;
  }
  EXPECT_EQ(refused("\x1bLJ\x02"), "e.lua: is bytecode; give Lua text");
}

TEST(Configuration, CannotRunForeverOrEatMemory) {
  EXPECT_EQ(refused("\nwhile true do end"), "e.lua:2: runs for too long: an endless loop?");
  EXPECT_NE(refused("local s = 'x' while true do s = s .. s end"), "");
  EXPECT_EQ(refused("local t = {} for i = 1, 1e8 do t[i] = i .. '' end"), "e.lua: not enough memory");
  EXPECT_NE(refused("local t = {} t.t = t capture(t)").find("nested more than 8 deep"), std::string::npos);
  EXPECT_NE(
      refused(
          "local a = {1} for i = 1, 6 do local b = {} for j = 1, 50 do b[j] = a end a = b end capture { block = a }")
          .find("holds too many values"),
      std::string::npos);
}

TEST(KeyLine, SkipsCommentsStringsAndNestedTables) {
  const std::string_view source =
      "-- key = 1 {\n"
      "capture { other = \"} key = 2\", --[[ key = 3\n key = 3 ]] nested = { key = 4,\n key = 5 },\n"
      "  text = [==[ } key = ]] 6 ]==], same = key == 7,\n"
      "  key = 8 }\n";
  EXPECT_EQ(line_of_key(source, 2, "key"), 6);
  EXPECT_EQ(line_of_key(source, 2, "text"), 5);
  EXPECT_EQ(line_of_key(source, 2, "absent"), 2);
  EXPECT_EQ(line_of_key("a { k = 1 }\nb { k = 2 }", 2, "k"), 2);
}

}  // namespace
