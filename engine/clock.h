// The two clocks of a run. One read of the wall clock per batch stamps its packets.
#pragma once

#include <time.h>

#include <cstdint>

namespace engine {

inline std::uint64_t read_clock_ns(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

inline std::uint64_t wall_ns() noexcept { return read_clock_ns(CLOCK_REALTIME); }
inline std::uint64_t monotonic_ns() noexcept { return read_clock_ns(CLOCK_MONOTONIC); }
inline std::uint64_t thread_cpu_ns() noexcept { return read_clock_ns(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace engine
