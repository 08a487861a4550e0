// A NIC's own clock, by which it stamps packets, against the system's.
//
// Main thread: it measures every second, because the two drift. Workers read the difference.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/base/unique_fd.h"

namespace engine {

class HardwareClock {
 public:
  // Nothing where the device has no clock that can be read (ethtool -T), or /dev/ptpN cannot be opened.
  static std::optional<HardwareClock> open(std::string_view interface);

  // What to add to a time stamp of the NIC's for UTC, in ns; nothing if the clock cannot be read.
  std::optional<std::int64_t> to_utc_ns() const noexcept;

 private:
  explicit HardwareClock(UniqueFd device) noexcept : device_(std::move(device)) {}

  UniqueFd device_;
};

// Of a row of readings: the one in whose middle both clocks were read closest together.
struct ClockReading {
  std::int64_t before_ns = 0;  // system
  std::int64_t device_ns = 0;
  std::int64_t after_ns = 0;  // system
};
std::optional<std::int64_t> offset_of(const ClockReading* readings, std::size_t count) noexcept;

}  // namespace engine
