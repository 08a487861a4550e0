#include "plugins/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace plugins {
namespace {

// The fewest bits with 2^-bits <= 10^-digits.
constexpr std::uint32_t bits_for(std::uint32_t digits) {
  constexpr std::uint32_t bits[] = {0, 4, 7, 10, 14};
  return bits[digits];
}

}  // namespace

Histogram::Histogram(double max, std::uint32_t digits)
    : max_(max),
      digits_(digits),
      bits_(bits_for(digits)),
      size_(bucket_of(max) + 1),
      buckets_(allocate_pages<std::uint64_t>(size_)) {}

double Histogram::middle_of(std::uint32_t bucket) const noexcept {
  if (bucket == 0) return 0;
  const std::uint64_t first = (std::uint64_t{kLeastExponent} << bits_) + bucket - 1;
  const double low = std::bit_cast<double>(first << (52 - bits_));
  const double high = std::bit_cast<double>((first + 1) << (52 - bits_));
  return (low + high) / 2;
}

double Histogram::percentile(double share) const noexcept {
  if (count_ == 0) return 0;
  const auto rank =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  std::uint32_t at = lowest_;
  for (; at < highest_; ++at) {
    seen += buckets_[at];
    if (seen >= rank) break;
  }
  return std::clamp(middle_of(at), least_, largest_);
}

void Histogram::merge(const Part& other) {
  const auto& from = dynamic_cast<const Histogram&>(other);
  for (std::uint32_t i = from.lowest_; i <= from.highest_; ++i) buckets_[i] += from.buckets_[i];
  lowest_ = std::min(lowest_, from.lowest_);
  highest_ = std::max(highest_, from.highest_);
  count_ += from.count_;
  clamped_ += from.clamped_;
  least_ = std::min(least_, from.least_);
  largest_ = std::max(largest_, from.largest_);
  sum_ += from.sum_;
}

void Histogram::clear() noexcept {
  if (count_ == 0) return;
  std::memset(buckets_.get() + lowest_, 0, (highest_ - lowest_ + std::size_t{1}) * sizeof(std::uint64_t));
  lowest_ = UINT32_MAX;
  highest_ = 0;
  count_ = clamped_ = 0;
  least_ = kHistogramMost;
  largest_ = 0;
  sum_ = 0;
}

void Histogram::publish(Visitor& visitor) const {
  visitor.unsigned_number("count", count_);
  visitor.real("min", count_ == 0 ? 0 : least_);
  visitor.real("p50", percentile(0.5));
  visitor.real("p90", percentile(0.9));
  visitor.real("p99", percentile(0.99));
  visitor.real("p999", percentile(0.999));
  visitor.real("max", largest_);
  const double total = static_cast<double>(sum_) / (1u << kFractionBits);
  visitor.real("mean", count_ == 0 ? 0 : total / static_cast<double>(count_));
  if (clamped_ != 0) visitor.unsigned_number("clamped", clamped_);
}

std::unique_ptr<Part> Histogram::make_empty() const { return std::make_unique<Histogram>(max_, digits_); }

std::string Histogram::shape() const {
  return "histogram, max " + std::to_string(max_) + ", digits " + std::to_string(digits_);
}

}  // namespace plugins
