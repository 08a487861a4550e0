// The search for the highest loss-free rate, fed with devices that are functions.
#include "engine/bench/search.h"

#include <gtest/gtest.h>

#include <cmath>

namespace engine::bench {
namespace {

constexpr double sender_pps = 4e6;

// A second of sending to a device that passes so many packets a second.
Trial second_at(double asked_pps, double device_pps, double most_pps = sender_pps) {
  const double rate = asked_pps > 0 ? std::min(asked_pps, most_pps) : most_pps;
  return {asked_pps, rate, static_cast<std::uint64_t>(rate), static_cast<std::uint64_t>(std::min(rate, device_pps)), 0};
}

// What is promised of any result.
void expect_sound(const SearchResult& result, const SearchSettings& settings) {
  bool tried = result.rate_pps == 0;
  std::uint32_t passed = 0;
  for (const Trial& trial : result.trials) {
    const double rate = trial.asked_pps > 0 ? std::min(trial.asked_pps, trial.sent_pps) : trial.sent_pps;
    if (!trial.loss_free()) {
      EXPECT_GT(rate, result.rate_pps);
    } else if (rate >= result.rate_pps) {
      tried |= rate == result.rate_pps;
      ++passed;
    }
  }
  EXPECT_TRUE(tried) << "a rate that no trial ran at";
  if (result.rate_pps > 0) {
    EXPECT_GT(passed, settings.confirmations);
  }
  EXPECT_LE(result.trials.size(), settings.most_trials);
}

TEST(Search, FindsTheKneeWithinTheResolution) {
  for (const double device_pps : {1234.0, 50'000.0, 777'777.0, 2'000'000.0, 3'999'000.0}) {
    for (const double resolution : {0.1, 0.01, 0.001}) {
      const SearchSettings settings{.resolution = resolution};
      const SearchResult result = search(settings, [&](double pps) { return second_at(pps, device_pps); });
      EXPECT_EQ(result.end, SearchEnd::found);
      EXPECT_LT(result.rate_pps, device_pps + 1);
      EXPECT_GT(result.rate_pps, device_pps * (1 - resolution) - 1);
      expect_sound(result, settings);
    }
  }
}

TEST(Search, TakesAboutAsManyTrialsAsBinaryDigits) {
  const SearchResult result = search({}, [](double pps) { return second_at(pps, 2.9e6); });
  EXPECT_LE(result.trials.size(), 2 + std::ceil(std::log2(1 / 0.01)) + 1);
}

TEST(Search, ADeviceFasterThanTheSenderIsSaidToBeLimitedByIt) {
  const SearchResult result = search({}, [](double pps) { return second_at(pps, 1e9); });
  EXPECT_EQ(result.end, SearchEnd::sender_limited);
  EXPECT_EQ(result.rate_pps, sender_pps);
}

TEST(Search, BeginsWhereItIsTold) {
  const SearchResult result = search({.max_pps = 1e6}, [](double pps) { return second_at(pps, 1e9); });
  EXPECT_EQ(result.end, SearchEnd::sender_limited);
  EXPECT_EQ(result.rate_pps, 1e6);
  EXPECT_EQ(result.trials.front().asked_pps, 1e6);
}

TEST(Search, ASenderThatDoesNotReachARateBoundsIt) {
  // Unpaced it makes 4 million, paced at most one: as real ones do.
  const SearchSettings settings;
  const SearchResult result =
      search(settings, [](double pps) { return second_at(pps, 2e6, pps == 0 ? sender_pps : 1e6); });
  EXPECT_EQ(result.end, SearchEnd::sender_limited);
  EXPECT_EQ(result.rate_pps, 1e6);
  expect_sound(result, settings);
}

TEST(Search, LossAtEveryRateEndsAtTheLowest) {
  const SearchSettings settings{.min_pps = 10'000};
  const SearchResult result = search(settings, [](double pps) {
    Trial trial = second_at(pps, 1e9);
    --trial.received;
    return trial;
  });
  EXPECT_EQ(result.end, SearchEnd::always_lost);
  EXPECT_EQ(result.rate_pps, 0);
  for (const Trial& trial : result.trials) EXPECT_TRUE(trial.asked_pps == 0 || trial.asked_pps >= 10'000);
}

TEST(Search, NothingSentIsNotLossFree) {
  const SearchResult result = search({}, [](double pps) { return Trial{.asked_pps = pps, .sent_pps = 5000}; });
  EXPECT_EQ(result.end, SearchEnd::always_lost);
}

TEST(Search, OnePacketLostIsLoss) {
  EXPECT_FALSE((Trial{.sent = 1'000'000, .received = 999'999}).loss_free());
  EXPECT_FALSE((Trial{.sent = 999'999, .received = 1'000'000}).loss_free());  // others' packets
  EXPECT_TRUE((Trial{.sent = 1'000'000, .received = 1'000'000}).loss_free());
}

// Loses in a band below its knee: what passes above the band does not count.
TEST(Search, LossInABandBelowTheKneeIsNotSkippedOver) {
  const SearchSettings settings{.confirmations = 2};
  const SearchResult result =
      search(settings, [](double pps) { return second_at(pps, pps > 0.9e6 && pps < 1.1e6 ? 0.5e6 : 3e6); });
  EXPECT_GT(result.rate_pps, 0);
  expect_sound(result, settings);
}

// A rate that did once and does not again is given up, and all above it.
TEST(Search, LuckIsNotBelieved) {
  int high_passes = 0;
  const SearchSettings settings;
  const SearchResult result = search(settings, [&](double pps) {
    const bool lucky = pps > 1e6 && pps < 2.5e6 && ++high_passes <= 3;
    return second_at(pps, lucky ? 1e9 : 1e6);
  });
  EXPECT_EQ(result.end, SearchEnd::found);
  EXPECT_LE(result.rate_pps, 1e6);
  EXPECT_GT(result.rate_pps, 0.98e6);
  expect_sound(result, settings);
}

TEST(Search, ADeviceThatDicesIsGivenUpOrAnsweredSoundly) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    std::uint32_t state = seed;
    const SearchSettings settings{.confirmations = 2, .most_trials = 40};
    const SearchResult result = search(settings, [&](double pps) {
      state = state * 1664525 + 1013904223;
      const double late = 1 - 0.2 * ((state >> 8) % 100) / 100.0;
      return second_at(pps, state >> 31 ? 1e9 : 1e5, sender_pps * late);
    });
    if (result.end == SearchEnd::gave_up || result.end == SearchEnd::always_lost) {
      EXPECT_EQ(result.rate_pps, 0);
    }
    expect_sound(result, settings);
  }
}

}  // namespace
}  // namespace engine::bench
