// Who wants what limit on the packets of a source, and the one that is in force: the lowest. So a plugin can tighten
// the operator's limit for a time, and nobody can loosen another's. One thread at a time (see enforcement.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace engine {

struct RateWish {
  std::uint32_t max_pps = 0;  // of each source address; 0: no limit
  std::uint32_t burst = 0;    // 0: a default

  friend bool operator==(const RateWish&, const RateWish&) = default;
};

class RateLimits {
 public:
  static constexpr std::uint64_t kForGood = UINT64_MAX;
  static constexpr std::uint64_t kRetry_ns = 1'000'000'000;

  using Kernel = std::function<int(const RateWish&)>;  // returns 0 or the errno
  // `first` is in force already.
  RateLimits(Kernel kernel, std::uint8_t by, const RateWish& first);

  // Takes the place of what the same one wanted before. 0, or the kernel's errno: then nothing has changed.
  int want(std::uint8_t by, const RateWish& wish, std::uint64_t until_ns);
  // Calls gone(who) for each whose time is over. What the kernel refuses is tried again after a while.
  void expire(std::uint64_t now_ns, const std::function<void(std::uint8_t)>& gone);

  const RateWish& in_force() const noexcept { return in_force_; }

 private:
  struct Wanted {
    RateWish wish;
    std::uint64_t until_ns;
  };

  int put();

  Kernel kernel_;
  RateWish in_force_;
  std::map<std::uint8_t, Wanted> wanted_;
};

}  // namespace engine
