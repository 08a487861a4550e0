#include "engine/enforce/rate_limits.h"

#include <utility>

namespace engine {

RateLimits::RateLimits(Kernel kernel, std::uint8_t by, const RateWish& first)
    : kernel_(std::move(kernel)), in_force_(first) {
  if (first.max_pps != 0) wanted_.insert({by, {first, kForGood}});
}

int RateLimits::put() {
  RateWish lowest;
  for (const auto& [by, wanted] : wanted_)
    if (lowest.max_pps == 0 || wanted.wish.max_pps < lowest.max_pps) lowest = wanted.wish;
  if (lowest == in_force_) return 0;
  if (const int error = kernel_(lowest); error != 0) return error;
  in_force_ = lowest;
  return 0;
}

int RateLimits::want(std::uint8_t by, const RateWish& wish, std::uint64_t until_ns) {
  const std::map<std::uint8_t, Wanted> before = wanted_;
  wanted_.erase(by);
  if (wish.max_pps != 0) wanted_.insert({by, {wish, until_ns}});
  const int error = put();
  if (error != 0) wanted_ = before;
  return error;
}

void RateLimits::expire(std::uint64_t now_ns, const std::function<void(std::uint8_t)>& gone) {
  for (auto it = wanted_.begin(); it != wanted_.end();) {
    if (it->second.until_ns > now_ns) {
      ++it;
      continue;
    }
    const auto over = wanted_.extract(it++);
    if (put() == 0) {
      gone(over.key());
    } else {
      wanted_.insert({over.key(), {over.mapped().wish, now_ns + kRetry_ns}});
    }
  }
}

}  // namespace engine
