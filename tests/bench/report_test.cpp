// Medians, ratios and the common format of results.
#include "engine/bench/report.h"

#include <gtest/gtest.h>
#include <jansson.h>

#include <memory>

namespace engine::bench {
namespace {

TEST(Spread, TheMedianOfAnOddNumberIsTheOneInTheMiddle) {
  const Spread spread = spread_of({5, 1, 3});
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.min, 1);
  EXPECT_EQ(spread.max, 5);
}

TEST(Spread, TheMedianOfAnEvenNumberLiesBetweenTheTwoInTheMiddle) {
  EXPECT_EQ(spread_of({4, 1, 2, 10}).median, 3);
  EXPECT_EQ(spread_of({7}).median, 7);
}

TEST(Spread, OneOutlierDoesNotMoveTheMedian) { EXPECT_EQ(spread_of({2, 2, 2, 2, 1000}).median, 2); }

TEST(Ratio, IsMadeWithinEachRound) {
  Result a{.name = "a"}, b{.name = "b"};
  for (const double value : {10.0, 100.0, 1000.0}) {  // a machine that got ten times faster twice
    a.add("rate_pps", value);
    b.add("rate_pps", 2 * value);
  }
  const Ratio ratio = ratio_of(a, b, "rate_pps", Better::higher, 0.97);
  EXPECT_EQ(ratio.name, "a / b: rate_pps");
  EXPECT_EQ(ratio.rounds, Rounds({0.5, 0.5, 0.5}));
}

TEST(Ratio, TakesTheRoundsThatBothHave) {
  Result a{.name = "a"}, b{.name = "b"};
  a.add("x", 1);
  a.add("x", 2);
  b.add("x", 4);
  EXPECT_EQ(ratio_of(a, b, "x", Better::lower).rounds, Rounds({0.25}));
  EXPECT_TRUE(ratio_of(a, b, "y", Better::lower).rounds.empty());
}

struct Release {
  void operator()(json_t* json) const noexcept { json_decref(json); }
};
using Json = std::unique_ptr<json_t, Release>;

Report example() {
  Report report;
  report.kind = "rx";
  report.command = "engine bench rx";
  report.machine.cpu = "a \"quoted\" name";
  report.machine.kernel = "6.18";
  Result result{.name = "rx", .params = {{"frame_bytes", std::uint64_t{64}}, {"share", 0.5}, {"mode", "copy"}}};
  for (const double value : {3.0, 1.0, 2.0}) result.add("rate_pps", value);
  result.cannot("cycles_per_packet", "there are no counters");
  result.cannot("cycles_per_packet", "there are no counters");
  result.steps.push_back({"trials", {{{"rate_pps", 1.5}, {"lost", std::uint64_t{0}}}}});
  report.results.push_back(result);
  report.ratios.push_back(ratio_of(result, result, "rate_pps", Better::higher, 0.97));
  report.ratios.push_back(ratio_of(result, result, "cycles_per_packet", Better::lower));
  report.missing.push_back({"suricata", "is not installed", "bench/peers/install"});
  return report;
}

TEST(Report, JsonIsTheCommonFormat) {
  const std::string text = to_json(example(), 1'700'000'000'000'000'000);
  const Json json(json_loads(text.c_str(), 0, nullptr));
  ASSERT_TRUE(json) << text;
  EXPECT_STREQ(json_string_value(json_object_get(json.get(), "schema")), "engine-bench/1");
  EXPECT_STREQ(json_string_value(json_object_get(json.get(), "time")), "2023-11-14T22:13:20.000000000Z");
  EXPECT_EQ(json_object_get(json.get(), "interface"), nullptr);
  const json_t* result = json_array_get(json_object_get(json.get(), "results"), 0);
  EXPECT_EQ(json_integer_value(json_object_get(json_object_get(result, "params"), "frame_bytes")), 64);
  const json_t* values = json_object_get(result, "values");
  const json_t* rate = json_object_get(values, "rate_pps");
  EXPECT_EQ(json_number_value(json_object_get(rate, "median")), 2);
  EXPECT_EQ(json_number_value(json_object_get(rate, "max")), 3);
  EXPECT_EQ(json_number_value(json_array_get(json_object_get(rate, "rounds"), 1)), 1);  // in their order
  EXPECT_TRUE(json_is_null(json_object_get(values, "cycles_per_packet")));
  EXPECT_EQ(json_array_size(json_object_get(result, "notes")), 1u);
  EXPECT_EQ(json_number_value(json_object_get(json_array_get(json_object_get(result, "trials"), 0), "rate_pps")), 1.5);
  const json_t* ratios = json_object_get(json.get(), "ratios");
  EXPECT_EQ(json_number_value(json_object_get(json_array_get(ratios, 0), "target")), 0.97);
  EXPECT_TRUE(json_is_null(json_object_get(json_array_get(ratios, 1), "median")));  // made of nothing
  EXPECT_EQ(json_array_size(json_object_get(json.get(), "missing")), 1u);
}

TEST(Report, TextTellsMedianSpreadTargetAndWhatIsMissing) {
  const std::string text = to_text(example());
  for (const char* piece : {"rate_pps", "2  (1 .. 3)", "wanted >= 0.97", "cycles_per_packet: there are no counters",
                            "suricata: is not installed; bench/peers/install", "trials: rate_pps 1.5, lost 0"})
    EXPECT_NE(text.find(piece), text.npos) << piece << "\n" << text;
}

TEST(Report, TheCommandCanBeTypedAgain) {
  char name[] = "it's";
  char flag[] = "--iface";
  char* args[] = {flag, name};
  EXPECT_EQ(begin_report("tx", args).command, "engine bench tx --iface 'it'\\''s'");
}

}  // namespace
}  // namespace engine::bench
