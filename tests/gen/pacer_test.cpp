// Pacing arithmetic against a simulated clock.
#include "engine/gen/pacer.h"

#include <gtest/gtest.h>

namespace engine::gen::test {
namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;

TEST(Pacer, KeepsTheRateHoweverUnevenlyItIsAsked) {
  for (double rate : {1.0, 999.0, 33'333.0, 1e6, 7'654'321.0}) {
    const Pacer pacer({rate, 0, 0}, 5 * second_ns);
    std::uint64_t sent = 0, now = 5 * second_ns, step = 1;
    while (now < 15 * second_ns) {
      sent += pacer.due(now, sent);
      step = (step * 6364136223846793005U + 1442695040888963407U);
      now += 1 + (step >> 33) % 3'000'000;
    }
    sent += pacer.due(15 * second_ns, sent);
    EXPECT_NEAR(static_cast<double>(sent), rate * 10, 1 + rate * 1e-9) << rate;
  }
}

TEST(Pacer, NeverSendsAPacketBeforeItsTime) {
  const Pacer pacer({123'456.0, 0, 0}, 0);
  for (std::uint64_t n = 1; n < 200'000; n += 997) {
    EXPECT_EQ(pacer.due(pacer.time_of(n) - 2, n), 0U);
    EXPECT_GE(pacer.due(pacer.time_of(n) + 1, n), 1U);
  }
}

TEST(Pacer, ACountIsExact) {
  const Pacer pacer({0, 1000, 0}, 0);
  EXPECT_EQ(pacer.due(0, 0), 1000U);
  EXPECT_EQ(pacer.due(0, 999), 1U);
  EXPECT_EQ(pacer.due(0, 1000), 0U);
  EXPECT_TRUE(pacer.over(0, 1000));
}

TEST(Pacer, RateTimesDurationIsTheNumberOfPackets) {
  const Pacer pacer({50'000, 0, second_ns / 2}, 0);
  EXPECT_EQ(pacer.limit(), 25'000U);
  EXPECT_FALSE(pacer.over(second_ns / 2 - 1, 25'000));
  EXPECT_TRUE(pacer.over(second_ns / 2, 25'000));
}

TEST(Pacer, TheDurationEndsARunThatCannotKeepUp) {
  const Pacer pacer({1e9, 0, second_ns}, 0);
  EXPECT_FALSE(pacer.over(second_ns, 5));
  EXPECT_TRUE(pacer.over(second_ns + 20'000'000, 5));
  EXPECT_EQ(pacer.due(second_ns + 20'000'000, 5), 0U);
}

TEST(Pacer, FullSpeedIsBoundedByTheDurationAlone) {
  const Pacer pacer({0, 0, second_ns}, 0);
  EXPECT_GT(pacer.due(second_ns - 1, 1'000'000'000), 1'000'000U);
  EXPECT_TRUE(pacer.over(second_ns, 0));
}

}  // namespace
}  // namespace engine::gen::test
