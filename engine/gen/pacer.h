// When packets fall due, on the absolute clock: packet n at start + n/rate. What is late is made up for, so the
// average over the run is exact however coarse the slices are in which it is sent. Arithmetic only; the clock is the
// caller's. (A busy core makes bursts of what it missed; the run's report shows the rate that came of it.)
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace engine::gen {

struct Load {
  double rate_pps = 0;            // 0: as fast as possible
  std::uint64_t count = 0;        // 0: no limit
  std::uint64_t duration_ns = 0;  // 0: no limit
};

class Pacer {
 public:
  Pacer(const Load& load, std::uint64_t start_ns) noexcept : load_(load), start_ns_(start_ns) {
    if (load.count != 0) limit_ = load.count;
    if (load.rate_pps > 0 && load.duration_ns != 0) {
      const double in_time = std::floor(load.rate_pps * (static_cast<double>(load.duration_ns) * 1e-9) + 1e-6);
      limit_ = std::min(limit_, std::max<std::uint64_t>(1, static_cast<std::uint64_t>(in_time)));
    }
  }

  // Packets that may be sent at `now_ns`, `sent` being gone.
  std::uint64_t due(std::uint64_t now_ns, std::uint64_t sent) const noexcept {
    if (sent >= limit_ || out_of_time(now_ns)) return 0;
    const std::uint64_t left = limit_ - sent;
    if (load_.rate_pps <= 0) return left;
    const std::uint64_t fallen_due = slot(now_ns) + 1;
    return fallen_due > sent ? std::min(left, fallen_due - sent) : 0;
  }

  // The moment packet number `n` falls due.
  std::uint64_t time_of(std::uint64_t n) const noexcept {
    if (load_.rate_pps <= 0) return start_ns_;
    return start_ns_ + static_cast<std::uint64_t>(std::ceil(static_cast<double>(n) * (1e9 / load_.rate_pps)));
  }

  // The last packet has its slot too: a run of N packets at rate R lasts N/R.
  bool over(std::uint64_t now_ns, std::uint64_t sent) const noexcept {
    return out_of_time(now_ns) || (sent >= limit_ && now_ns >= time_of(sent));
  }

  std::uint64_t limit() const noexcept { return limit_; }

  // When the run ends even if packets are left. A paced run knows its last packet: that may come as late as a slice of
  // sending is long.
  std::uint64_t deadline_ns() const noexcept {
    if (load_.duration_ns == 0) return std::numeric_limits<std::uint64_t>::max();
    return start_ns_ + load_.duration_ns + (load_.rate_pps > 0 ? 10'000'000 : 0);
  }

 private:
  bool out_of_time(std::uint64_t now_ns) const noexcept { return now_ns >= deadline_ns(); }
  std::uint64_t slot(std::uint64_t now_ns) const noexcept {
    return static_cast<std::uint64_t>(static_cast<double>(now_ns - start_ns_) * (load_.rate_pps * 1e-9));
  }

  Load load_;
  std::uint64_t start_ns_;
  std::uint64_t limit_ = std::numeric_limits<std::uint64_t>::max();
};

}  // namespace engine::gen
