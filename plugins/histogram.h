// How the values of a stream are distributed: percentiles of any numbers that are not negative, whole or not.
//
// Buckets as in HdrHistogram, but cut out of the bits of the double itself: each power of two is divided into 2^n equal
// buckets, with n so that a bucket is never wider than 10^-digits of its values. A percentile is the middle of its
// bucket: at most half of 10^-digits from the value of that rank. "count", "min", "max" and "mean" are exact (the mean
// of values below max; fractions count in steps of 2^-30). What lies below 2^-30 counts as 0, what lies above `max` as
// `max`. Merging adds bucket to bucket and is exact.
//
// One part belongs to one worker at a time (add) or to the collector (merge, publish, clear); see structure.h.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <string>

#include "plugins/pages.h"
#include "plugins/structure.h"

namespace plugins {

inline constexpr double kHistogramMost = 1e15;
inline constexpr std::uint32_t kHistogramMostDigits = 4;

// Published: "count", "min", "p50", "p90", "p99", "p999", "max", "mean"; and "clamped", how many values were above
// `max`, if there were any.
class Histogram final : public Part {
 public:
  Histogram(double max, std::uint32_t digits);  // 0 < max <= kHistogramMost, 1 <= digits <= kHistogramMostDigits

  // value >= 0: not negative, not NaN.
  void add(double value) noexcept {
    if (value > max_) {
      value = max_;
      ++clamped_;
    }
    const std::uint32_t at = bucket_of(value + 0.0);  // -0 becomes 0
    ++buckets_[at];
    ++count_;
    if (at < lowest_) lowest_ = at;
    if (at > highest_) highest_ = at;
    if (value < least_) least_ = value;
    if (value > largest_) largest_ = value;
    const auto whole = static_cast<std::uint64_t>(value);
    sum_ += static_cast<Wide>(whole) << kFractionBits;
    sum_ += static_cast<std::uint64_t>((value - static_cast<double>(whole)) * (1u << kFractionBits));
  }

  // The value below or at which this share of all lies; 0 <= share <= 1.
  double percentile(double share) const noexcept;

  void merge(const Part& other) override;
  void clear() noexcept override;
  void publish(Visitor& visitor) const override;
  bool empty() const noexcept override { return count_ == 0; }
  std::unique_ptr<Part> make_empty() const override;
  std::string shape() const override;

 private:
  __extension__ using Wide = unsigned __int128;
  static constexpr std::uint32_t kFractionBits = 30;
  static constexpr std::uint32_t kLeastExponent = 1023 - kFractionBits;  // of 2^-30, as the double's bits have it

  // 0: below 2^-30; then the exponent and the first bits of the fraction, counted from there.
  std::uint32_t bucket_of(double value) const noexcept {
    const std::uint64_t bits = std::bit_cast<std::uint64_t>(value) >> (52 - bits_);
    const std::uint64_t first = std::uint64_t{kLeastExponent} << bits_;
    return bits < first ? 0 : static_cast<std::uint32_t>(bits - first + 1);
  }
  double middle_of(std::uint32_t bucket) const noexcept;

  double max_;
  std::uint32_t digits_;
  std::uint32_t bits_;  // 2^bits_ buckets for each power of two
  std::uint32_t size_;
  Pages<std::uint64_t> buckets_;
  std::uint32_t lowest_ = UINT32_MAX;
  std::uint32_t highest_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t clamped_ = 0;
  double least_ = kHistogramMost;
  double largest_ = 0;
  Wide sum_ = 0;  // in steps of 2^-30: whole numbers add up to the same in any order
};

}  // namespace plugins
