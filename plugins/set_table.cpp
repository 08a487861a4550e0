#include "plugins/set_table.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "plugins/prefetch.h"
#include "plugins/saturate.h"

namespace plugins {

SetPart::SetPart(KeySpec key, std::uint32_t max_keys, bool listed, std::string given)
    : key_(std::move(key)),
      max_keys_(max_keys),
      listed_(listed),
      given_(std::move(given)),
      keys_(key_.words(), max_keys_) {}

void SetPart::merge(const Part& other) {
  const auto& from = dynamic_cast<const SetPart&>(other);
  if (keys_.capacity() - keys_.size() < from.keys_.size()) {
    keys_.reserve(std::max(2 * keys_.capacity(), keys_.size() + from.keys_.size()));
  }
  for (std::uint32_t i = 0; i < from.keys_.size(); ++i) add(from.keys_.row(i).key(), from.keys_.row(i).words);
  saturating_add(refused_, from.refused_);
}

void SetPart::carry(const Part& interval) {
  first_new_ = keys_.size();
  refused_ = 0;
  merge(interval);
}

void SetPart::clear() noexcept {
  keys_.clear();
  first_new_ = 0;
  refused_ = 0;
}

void SetPart::publish(Visitor& visitor) const {
  const std::uint32_t fresh = keys_.size() - first_new_;
  visitor.unsigned_number("members", keys_.size());
  visitor.unsigned_number("new", fresh);
  if (refused_ != 0) visitor.unsigned_number("refused", refused_);
  if (!listed_) return;
  std::vector<std::uint32_t> order(fresh);
  std::iota(order.begin(), order.end(), first_new_);
  const std::size_t shown = std::min(fresh, kSetListed);
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(),
      [&](std::uint32_t a, std::uint32_t b) { return key_.less(keys_.row(a).key(), keys_.row(b).key()); });
  order.resize(shown);
  visitor.begin_list("entries");
  for (const std::uint32_t row : order) {
    visitor.begin_item();
    key_.visit(keys_.row(row).key(), visitor);
    visitor.end_item();
  }
  visitor.end_list();
  if (shown < fresh) visitor.unsigned_number("more", fresh - shown);
}

std::unique_ptr<Part> SetPart::make_empty() const {
  return std::make_unique<SetPart>(key_, max_keys_, listed_, given_);
}

std::string SetPart::shape() const {
  return "set of " + key_.text() + ", max " + std::to_string(max_keys_) + (listed_ ? ", listed" : "") + ", " + given_;
}

SetTable::SetTable(KeySpec key, std::uint32_t max_keys, double ttl_ns, bool published)
    : key_(std::move(key)), published_(published), rows_(key_.words(), 0, max_keys, ttl_ns) {}

bool SetTable::give(const std::uint64_t* key, std::uint32_t words) noexcept {
  return rows_.find_or_insert(key, words, rows_.clock_ns()).row != RowTable::kNone;
}

void SetTable::advance(double now_ns) noexcept {
  rows_.set_clock(now_ns);
  rows_.expire(RowTable::kNone);
}

void SetTable::before_batch(const engine_packet* packets, const std::uint16_t* index, std::uint32_t count) noexcept {
  prepare(rows_, key_, packets, index, count, lookups_);
}

}  // namespace plugins
