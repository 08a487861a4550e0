#include "engine/results/json.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ctime>
#include <limits>
#include <random>

#include "engine/results/status.h"

namespace {

using engine::JsonWriter;

std::string quoted(std::string_view text) {
  std::string out;
  engine::append_json_string(out, text);
  return out;
}

engine_addr address(const char* text) {
  std::uint8_t bytes[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (inet_pton(AF_INET, text, bytes + 12) != 1) {
    EXPECT_EQ(inet_pton(AF_INET6, text, bytes), 1) << text;
  }
  engine_addr result;
  std::memcpy(&result, bytes, sizeof result);
  return result;
}

TEST(Json, EscapesWhatAStringMayNotContain) {
  EXPECT_EQ(quoted("plain text"), R"("plain text")");
  EXPECT_EQ(quoted("a\"b\\c\n\r\t"), R"("a\"b\\c\n\r\t")");
  EXPECT_EQ(quoted(std::string_view("\0\x01\x1f\x7f", 4)), R"("\u0000\u0001\u001f\u007f")");
}

TEST(Json, KeepsWellFormedUtf8) {
  for (const char* text : {"é", "€", "\U0001F600", "\u07ff", "\uffff", "\U0010ffff", "\ud7ff", "\ue000"})
    EXPECT_EQ(quoted(text), std::string("\"").append(text).append("\""));
}

TEST(Json, ReplacesBytesThatAreNoUtf8) {
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(quoted("a\xff"
                   "b"),
            "\"a" + bad + "b\"");
  EXPECT_EQ(quoted("\xc0\xaf"), "\"" + bad + bad + "\"");                      // overlong
  EXPECT_EQ(quoted("\xed\xa0\x80"), "\"" + bad + bad + bad + "\"");            // a surrogate
  EXPECT_EQ(quoted("\xf4\x90\x80\x80"), "\"" + bad + bad + bad + bad + "\"");  // above U+10FFFF
  EXPECT_EQ(quoted("\xe2\x82"), "\"" + bad + bad + "\"");                      // cut off
}

TEST(Json, WritesNumbersExactlyOrAsNull) {
  std::string out;
  JsonWriter writer(out);
  writer.begin_object({});
  writer.unsigned_number("a", std::numeric_limits<std::uint64_t>::max());
  writer.signed_number("b", std::numeric_limits<std::int64_t>::min());
  writer.real("c", 0.1);
  writer.real("d", std::nan(""));
  writer.real("e", -INFINITY);
  writer.real("f", 1e300);
  writer.boolean("g", true);
  writer.end_object();
  EXPECT_EQ(out,
            R"({"a":18446744073709551615,"b":-9223372036854775808,"c":0.1,"d":null,"e":null,"f":1e+300,"g":true})");
}

TEST(Json, SetsCommasInListsAndObjects) {
  std::string out;
  JsonWriter writer(out);
  writer.begin_object({});
  writer.begin_list("rows");
  for (unsigned i = 0; i < 2; ++i) {
    writer.begin_item();
    writer.unsigned_number("i", i);
    writer.text("s", "x");
    writer.end_item();
  }
  writer.end_list();
  writer.begin_list("none");
  writer.end_list();
  writer.begin_object("drops");
  writer.end_object();
  writer.members("\"k\":1");
  writer.members("");
  writer.end_object();
  EXPECT_EQ(out, R"({"rows":[{"i":0,"s":"x"},{"i":1,"s":"x"}],"none":[],"drops":{},"k":1})");
}

TEST(Json, WritesAddressesAsRfc5952Does) {
  for (const char* text : {"192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::", "::1", "fe80::1:0:0:1",
                           "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1"})
    EXPECT_EQ(engine::format_address(address(text)), text);
  EXPECT_EQ(engine::format_address(address("2001:DB8:0:0:1:0:0:1")), "2001:db8::1:0:0:1");
}

TEST(Json, WritesMacAddresses) {
  std::string out;
  engine::append_mac(out, {0x00, 0x1b, 0xff, 0x09, 0xa0, 0x7e});
  EXPECT_EQ(out, "00:1b:ff:09:a0:7e");
}

TEST(Time, IsRfc3339WithNanoseconds) {
  engine::TimeFormat format;
  std::string out;
  format.append(out, 0);
  format.append(out, 951'868'799'999'999'999);
  format.append(out, 1'709'210'096'000'000'007);
  EXPECT_EQ(out, "1970-01-01T00:00:00.000000000Z2000-02-29T23:59:59.999999999Z2024-02-29T12:34:56.000000007Z");
}

TEST(Time, AgreesWithTheLibraryOverFiveCenturies) {
  std::mt19937_64 random(1);
  engine::TimeFormat format;
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t utc_ns = random() % 18'446'744'073'000'000'000u;
    const std::time_t second = static_cast<std::time_t>(utc_ns / 1'000'000'000);
    std::tm parts{};
    gmtime_r(&second, &parts);
    char expected[64];
    std::strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &parts);
    std::string out;
    format.append(out, utc_ns);
    ASSERT_EQ(out.substr(0, 19), expected);
  }
}

TEST(Status, TellsRatesOfTheStepAndSumsOfTheRun) {
  engine::QueueLedger before, now;
  before.rx_packets = 6'400'000;
  before.rx_bytes = 400'000'000;
  now.xdp_seen = now.redirected = 9'600'000;
  now.rx_packets = now.analysed = 9'600'000;
  now.rx_bytes = 600'000'000;
  EXPECT_EQ(engine::status_line({now}, {before}, 1.0),
            "3.2 Mpps 1.6 Gbit/s | analysed 9,600,000 skipped 0 | dropped 0 | unaccounted 0");
}

TEST(Status, DoesNotLetTwoQueuesResidualsCancelOut) {
  engine::QueueLedger more, less;
  more.xdp_seen = 1;
  less.redirected = 1;
  less.xdp_seen = 1;
  const std::string line = engine::status_line({more, less}, {}, 1.0);
  EXPECT_NE(line.find("unaccounted 2"), std::string::npos) << line;
}

TEST(Status, NamesDroppedResultsOnlyIfThereAreAny) {
  engine::QueueLedger queue;
  EXPECT_EQ(engine::status_line({queue}, {}, 1).find("results"), std::string::npos);
  queue.results_dropped = 1234;
  EXPECT_NE(engine::status_line({queue}, {}, 1).find("results dropped 1,234"), std::string::npos);
}

TEST(Status, ChangesThePrefixBeforeFourDigits) {
  EXPECT_EQ(engine::format_rate(0, "pps"), "0 pps");
  EXPECT_EQ(engine::format_rate(999, "pps"), "999 pps");
  EXPECT_EQ(engine::format_rate(999.96, "pps"), "1.0 kpps");
  EXPECT_EQ(engine::format_rate(12'345'678, "bit/s"), "12.3 Mbit/s");
  EXPECT_EQ(engine::format_grouped(0), "0");
  EXPECT_EQ(engine::format_grouped(1000), "1,000");
}

}  // namespace
