#include "engine/source/hardware_clock.h"

#include <gtest/gtest.h>

namespace engine {
namespace {

TEST(HardwareClock, TakesTheReadingThatWasClosest) {
  const ClockReading readings[] = {{1'000, 50'000, 9'000}, {10'000, 55'200, 10'400}, {20'000, 68'000, 24'000}};
  EXPECT_EQ(offset_of(readings, 3), 10'200 - 55'200);
}

TEST(HardwareClock, AClockThatWasSetWhileItWasReadTellsNothing) {
  const ClockReading back[] = {{5'000, 50'000, 4'000}};
  EXPECT_EQ(offset_of(back, 1), std::nullopt);
  EXPECT_EQ(offset_of(back, 0), std::nullopt);
}

TEST(HardwareClock, IsAbsentWhereTheDeviceHasNone) {
  EXPECT_FALSE(HardwareClock::open("lo"));
  EXPECT_FALSE(HardwareClock::open("nosuch0"));
}

}  // namespace
}  // namespace engine
