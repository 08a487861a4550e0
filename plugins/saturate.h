// Counts end at 2^64 - 1 instead of starting again.
#pragma once

#include <cstdint>

namespace plugins {

inline void saturating_add(std::uint64_t& sum, std::uint64_t n) noexcept {
  if (__builtin_add_overflow(sum, n, &sum)) sum = UINT64_MAX;
}

}  // namespace plugins
