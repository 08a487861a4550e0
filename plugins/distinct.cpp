#include "plugins/distinct.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace plugins {
namespace {

// The same for all workers of the process; see the head of distinct.h.
const HashSecret& common_secret() noexcept {
  static const HashSecret secret = HashSecret::draw();
  return secret;
}

// Ertl's sigma: registers that are still zero, as a share of all. Infinite for 1.
double sigma(double share) noexcept {
  if (share == 1) return INFINITY;
  double weight = 1, sum = share;
  for (double before = 0; sum != before; weight += weight) {
    before = sum;
    share *= share;
    sum += share * weight;
  }
  return sum;
}

// Ertl's tau: registers that are not at the highest rank, as a share of all.
double tau(double share) noexcept {
  if (share == 0 || share == 1) return 0;
  double weight = 1, sum = 1 - share;
  for (double before = 0; sum != before;) {
    before = sum;
    share = std::sqrt(share);
    weight *= 0.5;
    sum -= (1 - share) * (1 - share) * weight;
  }
  return sum / 3;
}

}  // namespace

Distinct::Distinct(KeySpec key, bool reproducible)
    : key_(std::move(key)),
      reproducible_(reproducible),
      secret_(reproducible ? HashSecret{kOddHash, kOddHash} : common_secret()),
      registers_(std::make_unique<std::uint8_t[]>(kRegisters)) {}

double Distinct::estimate() const noexcept {
  double of_rank[kRankBits + 2] = {};
  for (std::uint32_t i = 0; i < kRegisters; ++i) of_rank[registers_[i]] += 1;
  constexpr double kAll = kRegisters;
  double z = kAll * tau(1 - of_rank[kRankBits + 1] / kAll);
  for (std::uint32_t rank = kRankBits; rank >= 1; --rank) z = 0.5 * (z + of_rank[rank]);
  z += kAll * sigma(of_rank[0] / kAll);
  return kAll * kAll / (2 * std::log(2.0) * z);
}

void Distinct::merge(const Part& other) {
  const auto& from = dynamic_cast<const Distinct&>(other);
  for (std::uint32_t i = 0; i < kRegisters; ++i) registers_[i] = std::max(registers_[i], from.registers_[i]);
  touched_ |= from.touched_;
}

void Distinct::clear() noexcept {
  if (touched_) std::memset(registers_.get(), 0, kRegisters);
  touched_ = false;
}

void Distinct::publish(Visitor& visitor) const {
  visitor.unsigned_number("estimate", static_cast<std::uint64_t>(estimate() + 0.5));
}

std::unique_ptr<Part> Distinct::make_empty() const { return std::make_unique<Distinct>(key_, reproducible_); }

std::string Distinct::shape() const { return "distinct by " + key_.text(); }

}  // namespace plugins
