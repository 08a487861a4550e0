// What a plugin sends: records byte by byte, emit, log, errors, and what happens when there is no room.
#include <gtest/gtest.h>

#include "tests/plugins/lab.h"

using lab::Lab;

namespace {

template <typename T>
T read(const std::string& bytes, std::size_t& at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  at += sizeof value;
  return value;
}

TEST(Record, WritesItsHeadAndItsFieldsPackedInHostOrder) {
  Lab lab;
  lab.load(
      "local r = engine.record{ name = 'r', {'a','u8'}, {'b','u16'}, {'c','u32'}, {'d','u64'}, {'e','i64'}, "
      "{'f','f64'},\n"
      " {'g','bool'}, {'h','ip'}, {'i','mac'}, {'j','time'}, {'k','string'}, {'l','string'} }\n"
      "function on_packet(p) assert(r:emit(255, 65535, 4294967295, 0xffffffffffffffffULL, -5, 1.5, true, p.dst,\n"
      " p:string(0, 6), p.time, 'text', p:view(1, 3)) == true) end");
  lab.state->run(2);
  const auto messages = lab.messages();
  ASSERT_EQ(messages.size(), 2u) << messages[0].text();
  const auto& [head, body] = messages[1];
  EXPECT_EQ(head.kind, ENGINE_MESSAGE_RECORD);
  EXPECT_EQ(head.plugin, 5);
  EXPECT_EQ(head.schema, 0);
  EXPECT_EQ(head.time, 1000.0);
  EXPECT_EQ(head.place, 2.0);
  EXPECT_EQ(head.length % 8, 0u);
  std::size_t at = 0;
  EXPECT_EQ(read<std::uint8_t>(body, at), 255);
  EXPECT_EQ(read<std::uint16_t>(body, at), 65535);
  EXPECT_EQ(read<std::uint32_t>(body, at), 4294967295u);
  EXPECT_EQ(read<std::uint64_t>(body, at), ~std::uint64_t{0});
  EXPECT_EQ(read<std::int64_t>(body, at), -5);
  EXPECT_EQ(read<double>(body, at), 1.5);
  EXPECT_EQ(read<std::uint8_t>(body, at), 1);
  const engine_addr address = read<engine_addr>(body, at), wanted = lab::v4(192, 168, 0, 1);
  EXPECT_EQ(std::memcmp(&address, &wanted, sizeof wanted), 0);
  EXPECT_EQ(body.substr(at, 6), std::string("\0\1\2\3\4\5", 6));
  at += 6;
  EXPECT_EQ(read<double>(body, at), 1000.0);
  EXPECT_EQ(read<std::uint16_t>(body, at), 4);
  EXPECT_EQ(body.substr(at, 4), "text");
  at += 4;
  EXPECT_EQ(read<std::uint16_t>(body, at), 3);
  EXPECT_EQ(body.substr(at, 3), "\1\2\3");
  EXPECT_LT(body.size() - (at + 3), 8u);
  EXPECT_EQ(lab.outbox.emitted, 2u);
}

TEST(Record, PutsAByteBeforeOptionalFields) {
  Lab lab;
  lab.load(
      "local r = engine.record{ name = 'r', {'a','u8', optional = true}, {'b','string', optional = true}, {'c','u8'} "
      "}\n"
      "function on_packet(p) r:emit(nil, 'xy', 3) r:emit(4, nil, 5) end");
  lab.run(1);
  const auto messages = lab.messages();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].body.substr(0, 7), std::string("\0\1\2\0xy\3", 7));
  EXPECT_EQ(messages[1].body.substr(0, 4), std::string("\1\4\0\5", 4));
  EXPECT_TRUE(lab.state->schemas()[0].fields[1].optional);
  EXPECT_EQ(lab.state->schemas()[0].fields[1].type, plugins::FieldType::string);
  EXPECT_EQ(lab.state->schemas()[0].fields[1].name, "b");
}

TEST(Record, RefusesWhatDoesNotFitInsteadOfWrapping) {
  struct {
    const char* type;
    const char* value;
  } const cases[] = {{"u8", "256"},
                     {"u8", "-1"},
                     {"u8", "1.5"},
                     {"u8", "0/0"},
                     {"u8", "'1'"},
                     {"u8", "1ULL"},
                     {"u8", "nil"},
                     {"u16", "70000"},
                     {"u16", "65536"},
                     {"u16", "-1"},
                     {"u32", "4294967296"},
                     {"u32", "1/0"},
                     {"u64", "-1"},
                     {"u64", "-1LL"},
                     {"u64", "2^60"},
                     {"i64", "1e300"},
                     {"i64", "0xffffffffffffffffULL"},
                     {"i64", "0.5"},
                     {"f64", "'1'"},
                     {"bool", "1"},
                     {"bool", "nil"},
                     {"ip", "'10.0.0.1'"},
                     {"ip", "nil"},
                     {"ip", "p"},
                     {"ip", "0ULL"},
                     {"mac", "'12345'"},
                     {"mac", "p:view(0, 7)"},
                     {"time", "1ULL"},
                     {"time", "0/0"},
                     {"time", "1/0"},
                     {"time", "9.3e18"},
                     {"time", "-1e300"},
                     {"string", "5"},
                     {"string", "{}"},
                     {"string", "('x'):rep(65536)"},
                     {"string", "p"}};
  for (const auto& [type, value] : cases) {
    Lab lab;
    const std::string error = lab.error_of("r:emit(" + std::string(value) + ")",
                                           "local r = engine.record{ name = 'r', {'f', '" + std::string(type) + "'} }");
    EXPECT_EQ(error.find("eval:2: r: field 'f'"), 0u) << type << " " << value << ": " << error;
    EXPECT_EQ(lab.outbox.emitted, 0u);
  }
}

TEST(Record, RefusesMoreValuesThanFieldsAndAWrongSelf) {
  const char* prelude = "local r = engine.record{ name = 'r', {'f', 'u8'} }";
  Lab lab;
  EXPECT_NE(lab.error_of("r:emit(1, 2)", prelude).find("more values"), std::string::npos);
  Lab dot;
  EXPECT_NE(dot.error_of("r.emit(1)", prelude).find("call it as record:emit"), std::string::npos);
}

TEST(Record, IsDroppedWholeAndCountedWhenThereIsNoRoom) {
  Lab lab;
  lab.load(
      "local r, sent, lost = engine.record{ name = 'r', {'f', 'u64'} }, 0, 0\n"
      "function on_packet(p) if r:emit(p.time) then sent = sent + 1 else lost = lost + 1 end end\n"
      "function on_tick() print(sent, lost) end");
  lab.outbox.limit = 32 * 10 + 31;
  lab.run(64);
  EXPECT_EQ(lab.outbox.emitted, 10u);
  EXPECT_EQ(lab.outbox.dropped, 54u);
  EXPECT_EQ(lab.outbox.used, 320u);
  EXPECT_EQ(lab.messages().size(), 10u);
  lab.state->tick(0);
  EXPECT_EQ(lab.messages()[0].text(),
            "\x02"
            "10\t54");
}

TEST(Record, RefusesABadDeclaration) {
  for (const char* options :
       {"{}", "{ name = 'r' }", "{ name = 'r', {'a'} }", "{ name = 'r', {'a', 'u9'} }", "{ name = 'r', 'a' }",
        "{ name = 'r', {'a b', 'u8'} }", "{ name = 'r', {'a', 'u8'}, {'a', 'u8'} }", "{ name = 'r', {'type', 'u8'} }",
        "{ name = '', {'a', 'u8'} }", "{ nam = 'r', {'a', 'u8'} }", "{ name = 'r', {'a', 'u8', opt = true} }", "nil",
        "'r'", "{ name = 'r', {\"x') os.exit() --\", 'u8'} }"}) {
    Lab lab;
    EXPECT_NE(lab.load_error("local r = engine.record(" + std::string(options) + ")").find("eval:1: "),
              std::string::npos)
        << options;
  }
  Lab twice;
  EXPECT_NE(twice.load_error("for i = 1, 2 do engine.record{ name = 'r', {'a', 'u8'} } end").find("name is taken"),
            std::string::npos);
}

TEST(Emit, WritesMembersInAFixedOrderAsJson) {
  Lab lab;
  lab.load(
      "function on_packet(p) engine.emit('some.name', { b = 1, a = 'q\"\\n\\1\\255\\226\\130\\172', list = { 1, 2.5, "
      "'x' }, n = 0/0,\n"
      "  big = 18446744073709551615ULL, yes = true, src = p.dst, sub = { z = {}, y = -3 }, third = 1/3 }) end");
  lab.run(1);
  const auto messages = lab.messages();
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].head.kind, ENGINE_MESSAGE_JSON) << messages[0].text();
  std::size_t at = 0;
  EXPECT_EQ(read<std::uint16_t>(messages[0].body, at), 9);
  EXPECT_EQ(messages[0].text().substr(2),
            "some.name\"a\":\"q\\\"\\n\\u0001\xef\xbf\xbd\xe2\x82\xac\",\"b\":1,\"big\":18446744073709551615,\"list\":["
            "1,2.5,\"x\"],\"n\":null,"
            "\"src\":\"192.168.0.1\",\"sub\":{\"y\":-3,\"z\":{}},\"third\":0.3333333333333333,\"yes\":true");
}

TEST(Emit, RefusesTheMembersThatEveryResultHas) {
  for (const std::string name : {"ts", "type", "plugin"}) {
    Lab lab;
    EXPECT_EQ(lab.error_of("engine.emit('x', { " + name + " = 1 })"),
              "eval:2: emit: '" + name + "' is in every result already; use another name");
    Lab record;
    EXPECT_EQ(record.load_error("engine.record{ name = 'r', { '" + name + "', 'u8' } }"),
              "plugin test: eval:1: record: '" + name + "' is in every result already; use another name");
    Lab inner;
    EXPECT_EQ(inner.failure_of("return engine.emit('x', { a = { " + name + " = 1 } })"), "");
  }
}

TEST(Emit, RefusesWhatIsNoJson) {
  for (const char* value : {"nil", "5", "{ print }", "{ a = print }", "{ [1] = 1, a = 2 }", "{ [2] = 1 }", "loop"}) {
    Lab lab;
    EXPECT_EQ(
        lab.error_of("engine.emit('x', " + std::string(value) + ")", "local loop = {} loop.x = loop").find("eval:2: "),
        0u)
        << value;
  }
}

TEST(Log, IsLimitedAndSaysWhatItIs) {
  Lab lab;
  lab.load("function on_packet(p) engine.log('warn', 'port %d of %s', 53, p.dst) end");
  lab.run(64);
  const auto messages = lab.messages();
  ASSERT_GE(messages.size(), 10u);
  EXPECT_LE(messages.size(), 12u);  // one more per second that passes meanwhile
  EXPECT_EQ(messages[0].head.kind, ENGINE_MESSAGE_LOG);
  EXPECT_EQ(messages[0].text(), "\x01port 53 of 192.168.0.1");
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  Lab bad;
  EXPECT_NE(bad.error_of("engine.log('loud', 'x')").find("the level is"), std::string::npos);
}

TEST(Log, OfTheLoadComesWithTheFirstBatch) {
  Lab lab;
  lab.warm = true;
  lab.load(
      "print('loading', 1, nil, true) function on_start() engine.log('error', 'started') end function on_packet() end");
  lab.run(1);
  const auto messages = lab.messages();
  ASSERT_EQ(messages.size(), 2u) << "once, not for every dry run";
  EXPECT_EQ(messages[0].text(), "\x02loading\t1\tnil\ttrue");
  EXPECT_EQ(messages[1].text().substr(1), "started");
}

TEST(Error, SkipsThePacketIsCountedAndShownWithFileAndLine) {
  Lab lab;
  lab.load(
      "local n = 0\nfunction on_packet(p)\n  n = n + 1\n  if n % 2 == 0 then error('even') end\nend\n"
      "function on_tick() print(n) end");
  lab.run(256);
  EXPECT_EQ(lab.state->statistics().errors, 128u);
  EXPECT_EQ(lab.state->statistics().packets, 256u);
  const auto messages = lab.messages();
  EXPECT_GE(messages.size(), 10u);
  EXPECT_LE(messages.size(), 12u);
  EXPECT_EQ(messages[0].head.kind, ENGINE_MESSAGE_ERROR);
  EXPECT_EQ(messages[0].head.plugin, 5);
  EXPECT_EQ(messages[0].head.place, 2.0);
  EXPECT_EQ(messages[0].text(), "eval:4: even");
  lab.state->tick(0);
  EXPECT_EQ(lab.messages()[0].text(),
            "\x02"
            "256")
      << "every packet was offered once";
}

TEST(Error, InAnIndexedBatchGoesOnWithTheNextOfTheIndex) {
  Lab lab;
  lab.load(
      "local seen = {} function on_packet(p) seen[#seen + 1] = p.time / 1000 if p.time == 7000 then error('seven') end "
      "end\n"
      "function on_tick() print(table.concat(seen, ' ')) end");
  const std::uint16_t index[] = {3, 7, 8, 250};
  lab.state->run(index);
  EXPECT_EQ(lab.state->statistics().errors, 1u);
  EXPECT_EQ(lab.messages()[0].text(), "eval:1: seven");
  lab.state->tick(0);
  EXPECT_EQ(lab.messages()[0].text(),
            "\x02"
            "3 7 8 250");
}

}  // namespace
