// How right the structures are that trade exactness for memory: each within what it documents, alone and merged over
// eight workers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "plugins/distinct.h"
#include "plugins/histogram.h"
#include "plugins/topk.h"
#include "tests/plugins/published.h"

using plugins::Distinct;
using plugins::Histogram;
using plugins::KeySpec;
using plugins::TopK;
using plugins::ValueKey;
using published::published_by;

namespace {

constexpr unsigned kWorkers = 8;

TEST(Distinct, EstimatesWithinTwoPercentFromTenToTenMillion) {
  for (const std::uint64_t truth :
       {0ull, 1ull, 10ull, 100ull, 1'000ull, 10'000ull, 100'000ull, 1'000'000ull, 10'000'000ull}) {
    Distinct distinct(KeySpec::values());
    for (std::uint64_t i = 0; i < truth; ++i) distinct.add_value(ValueKey(static_cast<double>(i)));
    EXPECT_NEAR(distinct.estimate(), static_cast<double>(truth), 0.02 * static_cast<double>(truth) + 0.01) << truth;
  }
}

TEST(Distinct, CountsEachKeyOnceHoweverOftenItComes) {
  Distinct distinct(KeySpec::of({"src", "dst_port"}));
  EXPECT_TRUE(distinct.empty());
  const auto add_all = [&] {
    for (unsigned host = 0; host < 50; ++host) distinct.add(published::packet(host));
  };
  add_all();
  EXPECT_FALSE(distinct.empty());
  const published::Published once = published_by(distinct);
  EXPECT_NEAR(distinct.estimate(), 50, 3);  // by a random secret: in one of ten runs two of the keys fall together
  add_all();
  add_all();
  EXPECT_EQ(published_by(distinct), once);
  distinct.clear();
  EXPECT_TRUE(distinct.empty());
  EXPECT_EQ(published_by(distinct), published::Published{"estimate=0"});
}

TEST(Distinct, MergedOverEightWorkersIsTheSameAsOneThatSawAll) {
  const KeySpec key = KeySpec::of({"src"});
  std::vector<Distinct> parts;
  for (unsigned i = 0; i < kWorkers; ++i) parts.emplace_back(key);
  Distinct one(key);
  for (unsigned host = 0; host < 200'000; ++host) {
    const engine_packet p = published::packet(host);
    one.add(p);
    parts[host % kWorkers].add(p);
    if (host % 3 == 0) parts[(host + 1) % kWorkers].add(p);  // seen by two
  }
  const auto merged = parts[0].make_empty(), reverse = parts[0].make_empty();
  for (const auto& part : parts) merged->merge(part);
  std::for_each(parts.rbegin(), parts.rend(), [&](const auto& part) { reverse->merge(part); });
  EXPECT_EQ(published_by(*merged), published_by(one));
  EXPECT_EQ(published_by(*reverse), published_by(one));
  EXPECT_NEAR(one.estimate(), 200'000, 4'000);
}

// The value of this rank as the histogram defines it.
double exact(std::vector<double>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

TEST(Histogram, GivesPercentilesWithinItsDigitsAloneAndMerged) {
  std::mt19937_64 random(3);
  std::lognormal_distribution<double> milliseconds(1, 2);
  for (std::uint32_t digits = 1; digits <= plugins::kHistogramMostDigits; ++digits) {
    std::vector<Histogram> parts;
    for (unsigned i = 0; i < kWorkers; ++i) parts.emplace_back(1e15, digits);
    Histogram one(1e15, digits);
    std::vector<double> values;
    for (unsigned i = 0; i < 100'000; ++i) {
      const double value = milliseconds(random) * (i % 10 == 0 ? 1e6 : 1e-3);  // both ends of what RTTs look like
      values.push_back(value);
      one.add(value);
      parts[i % kWorkers].add(value);
    }
    const auto merged = parts[0].make_empty(), reverse = parts[0].make_empty();
    for (const auto& part : parts) merged->merge(part);
    std::for_each(parts.rbegin(), parts.rend(), [&](const auto& part) { reverse->merge(part); });
    EXPECT_EQ(published_by(*merged), published_by(one));
    EXPECT_EQ(published_by(*reverse), published_by(one));
    std::sort(values.begin(), values.end());
    const double bound = 0.5 * std::pow(10, -static_cast<double>(digits));
    for (const double share : {0.0001, 0.01, 0.5, 0.9, 0.99, 0.999, 0.99999}) {
      const double truth = exact(values, share);
      EXPECT_NEAR(one.percentile(share), truth, bound * truth) << share << " of " << digits << " digits";
    }
    double sum = 0;
    for (const double value : values) sum += value;
    const auto lines = published_by(one);
    EXPECT_EQ(lines[0], "count=100000");
    EXPECT_EQ(lines[1], "min=" + std::to_string(values.front()));
    EXPECT_EQ(lines[6], "max=" + std::to_string(values.back()));
    EXPECT_NEAR(std::stod(lines[7].substr(5)), sum / 1e5, sum / 1e5 * 1e-8);
  }
}

TEST(Histogram, TakesZeroTheSmallestAndWhatIsAboveItsMax) {
  Histogram histogram(100, 2);
  EXPECT_TRUE(histogram.empty());
  for (const double value : {0.0, -0.0, 1e-300, 5e-324, 1e-9, 100.0, 101.0, 1e308, static_cast<double>(INFINITY)}) {
    histogram.add(value);
  }
  const auto lines = published_by(histogram);
  EXPECT_EQ(lines[0], "count=9");
  EXPECT_EQ(lines[1], "min=0.000000");
  EXPECT_EQ(lines[6], "max=100.000000");
  EXPECT_EQ(lines[8], "clamped=3");
  EXPECT_NEAR(std::stod(lines[7].substr(5)), 400.0 / 9, 1e-6);
  EXPECT_EQ(histogram.percentile(0.1), 0);
  EXPECT_EQ(histogram.percentile(1), 100);
  histogram.clear();
  EXPECT_TRUE(histogram.empty());
  histogram.add(7);
  EXPECT_EQ(histogram.percentile(0.5), 7) << "one value is its own percentile";
  EXPECT_EQ(published_by(histogram).size(), 8u);
}

TEST(Histogram, IsWithinItsDigitsAtEveryPlaceOfItsRange) {
  for (std::uint32_t digits = 1; digits <= plugins::kHistogramMostDigits; ++digits) {
    const double bound = 0.5 * std::pow(10, -static_cast<double>(digits));
    Histogram histogram(plugins::kHistogramMost, digits);
    for (double value = 1e-9; value < plugins::kHistogramMost; value *= 1.37) {
      histogram.clear();
      histogram.add(value / 2);  // else the only value would be both min and max
      histogram.add(value);
      histogram.add(value * 1.2);
      ASSERT_NEAR(histogram.percentile(0.5), value, bound * value);
    }
  }
}

// Zipf's law with exponent 1.1 over a million keys, as heavy hitters of traffic are.
class Zipf {
 public:
  Zipf() {
    double sum = 0;
    for (unsigned rank = 1; rank <= kKeys; ++rank) sums_.push_back(sum += 1 / std::pow(rank, 1.1));
  }
  unsigned operator()(std::mt19937& random) {
    const double at = std::uniform_real_distribution<double>(0, sums_.back())(random);
    return static_cast<unsigned>(std::lower_bound(sums_.begin(), sums_.end(), at) - sums_.begin());
  }

 private:
  static constexpr unsigned kKeys = 1'000'000;
  std::vector<double> sums_;
};

// The keys among the published that are as heavy as the k heaviest.
unsigned hits(const plugins::Part& part, std::map<unsigned, unsigned>& truth, unsigned least) {
  unsigned count = 0;
  for (const auto& line : published_by(part)) {
    count += truth[static_cast<unsigned>(std::stod(line.substr(line.find("key=") + 4)))] >= least ? 1 : 0;
  }
  return count;
}

TEST(TopK, FindsTheHeaviestOfZipfTrafficAloneAndMergedOverEightWorkers) {
  constexpr unsigned kWanted = 20;
  Zipf zipf;
  std::mt19937 random(11);
  unsigned alone = 0, together = 0, wanted = 0;
  for (int round = 0; round < 5; ++round) {
    std::vector<TopK> parts;
    for (unsigned i = 0; i < kWorkers; ++i) parts.emplace_back(KeySpec::values(), kWanted);
    TopK one(KeySpec::values(), kWanted);
    std::map<unsigned, unsigned> truth;
    for (unsigned i = 0; i < 400'000; ++i) {
      const unsigned key = zipf(random);
      ++truth[key];
      one.add_value(ValueKey(static_cast<double>(key)), 1);
      parts[i % kWorkers].add_value(ValueKey(static_cast<double>(key)), 1);
    }
    ASSERT_GT(truth.size(), 20'000u) << "more keys than are tracked";
    std::vector<unsigned> counts;
    for (const auto& [key, count] : truth) counts.push_back(count);
    std::nth_element(counts.begin(), counts.begin() + kWanted - 1, counts.end(), std::greater<>());
    const auto merged = one.make_empty();
    for (const auto& part : parts) merged->merge(part);
    wanted += kWanted;
    alone += hits(one, truth, counts[kWanted - 1]);
    together += hits(*merged, truth, counts[kWanted - 1]);
  }
  EXPECT_GE(alone, 0.99 * wanted);
  EXPECT_GE(together, 0.99 * wanted);
}

}  // namespace
