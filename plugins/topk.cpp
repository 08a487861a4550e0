#include "plugins/topk.h"

#include <algorithm>
#include <array>

#include "plugins/entries.h"
#include "plugins/saturate.h"

namespace plugins {
namespace {

constexpr std::uint32_t kLeastTracked = 4096;
constexpr std::uint32_t kTrackedPerResult = 64;
constexpr std::uint32_t kSamples = 255;  // of the counts, for the median; odd

std::uint32_t tracked_keys(const KeySpec& key, std::uint32_t k, std::uint32_t tracked) {
  if (tracked == 0) tracked = std::max(kLeastTracked, k * kTrackedPerResult);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(std::max(tracked, k), key.possible_keys()));
}

}  // namespace

TopK::TopK(KeySpec key, std::uint32_t k, std::uint32_t tracked)
    : key_(std::move(key)), k_(k), tracked_(tracked_keys(key_, k, tracked)), table_(key_.words(), tracked_) {}

inline void TopK::count(const std::uint64_t* key, std::uint32_t words, std::uint64_t n, std::uint64_t bytes) noexcept {
  auto [row, fresh] = table_.find_or_insert(key, words);
  if (row == nullptr) {
    evict();
    row = table_.find_or_insert(key, words).first;
  }
  if (fresh) {
    row->tally.packets = floor_;
    row->tally.error = floor_;
  }
  saturating_add(row->tally.packets, n);
  saturating_add(row->tally.bytes, bytes);
}

void TopK::add(const engine_packet& packet) noexcept {
  key_.with_key(
      packet, [&](const std::uint64_t* key, std::uint32_t words)
                  __attribute__((always_inline)) { count(key, words, 1, packet.len); });
}

void TopK::add_value(const ValueKey& key, std::uint64_t n) noexcept { count(key.data, key.words, n, 0); }

// Frees at least one row: raises the floor to the median of a sample of the counts. The sample is taken at fixed
// distances, so that the same packets give the same result in every run.
void TopK::evict() noexcept {
  std::array<std::uint64_t, kSamples> sample{};
  const std::uint32_t samples = std::min(kSamples, table_.size());
  for (std::uint32_t i = 0; i < samples; ++i) {
    const auto at = static_cast<std::uint32_t>(std::uint64_t{i} * table_.size() / samples);
    sample[i] = table_.row(at).tally.packets;
  }
  const auto middle = sample.begin() + samples / 2;
  std::nth_element(sample.begin(), middle, sample.begin() + samples);
  floor_ = std::max(floor_, *middle);
  table_.filter([floor = floor_](const Tally& tally) { return tally.packets > floor; });
}

// A key that only one side holds may have been seen by the other up to that side's floor times: it gets the floor as
// count and as error. All keys are kept, so that the order of merging does not matter.
void TopK::merge(const Part& other) {
  const auto& from = dynamic_cast<const TopK&>(other);
  table_.reserve(table_.size() + from.table_.size());
  for (std::uint32_t i = 0; i < table_.size(); ++i) {
    auto& row = table_.row(i);
    if (from.table_.find(row.key(), row.words) != nullptr) continue;
    saturating_add(row.tally.packets, from.floor_);
    saturating_add(row.tally.error, from.floor_);
  }
  for (std::uint32_t i = 0; i < from.table_.size(); ++i) {
    const auto& row = from.table_.row(i);
    const auto [mine, fresh] = table_.find_or_insert(row.key(), row.words);
    if (fresh) mine->tally.packets = mine->tally.error = floor_;
    saturating_add(mine->tally.packets, row.tally.packets);
    saturating_add(mine->tally.error, row.tally.error);
    saturating_add(mine->tally.bytes, row.tally.bytes);
  }
  saturating_add(floor_, from.floor_);
}

void TopK::clear() noexcept {
  table_.clear();
  floor_ = 0;
}

void TopK::publish(Visitor& visitor) const {
  visitor.begin_list("entries");
  for (const std::uint32_t i : largest_first(table_, key_, k_)) {
    const auto& row = table_.row(i);
    visitor.begin_item();
    key_.visit(row.key(), visitor);
    visitor.unsigned_number(key_.by_value() ? "count" : "packets", row.tally.packets);
    if (!key_.by_value()) visitor.unsigned_number("bytes", row.tally.bytes);
    visitor.unsigned_number("error", row.tally.error);
    visitor.end_item();
  }
  visitor.end_list();
}

bool TopK::empty() const noexcept { return table_.size() == 0; }

std::unique_ptr<Part> TopK::make_empty() const { return std::make_unique<TopK>(key_, k_, tracked_); }

std::string TopK::shape() const {
  return "topk by " + key_.text() + ", k " + std::to_string(k_) + ", tracked " + std::to_string(tracked_);
}

}  // namespace plugins
