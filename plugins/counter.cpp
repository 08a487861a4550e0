#include "plugins/counter.h"

#include <algorithm>

#include "plugins/entries.h"
#include "plugins/saturate.h"

namespace plugins {

Counter::Counter(KeySpec key, std::uint32_t max_keys)
    : key_(std::move(key)),
      max_keys_(static_cast<std::uint32_t>(std::min<std::uint64_t>(max_keys, key_.possible_keys()))),
      table_(key_.words(), max_keys_) {}

void Counter::add(const engine_packet& packet) noexcept {
  key_.with_key(
      packet, [&](const std::uint64_t* key, std::uint32_t words) __attribute__((always_inline)) {
        const auto [row, fresh] = table_.find_or_insert(key, words);
        Tally& tally = row != nullptr ? row->tally : overflow_;
        tally.packets += 1;
        tally.bytes += packet.len;
      });
}

void Counter::add_value(const ValueKey& key, std::uint64_t n) noexcept {
  const auto [row, fresh] = table_.find_or_insert(key.data, key.words);
  saturating_add((row != nullptr ? row->tally : overflow_).packets, n);
}

void Counter::merge(const Part& other) {
  const auto& from = dynamic_cast<const Counter&>(other);
  // The merged content is as exact as the parts: it may hold more keys than a worker may.
  if (table_.capacity() - table_.size() < from.table_.size()) {
    table_.reserve(std::max(2 * table_.capacity(), table_.size() + from.table_.size()));
  }
  for (std::uint32_t i = 0; i < from.table_.size(); ++i) {
    const auto& row = from.table_.row(i);
    Tally& tally = table_.find_or_insert(row.key(), row.words).first->tally;
    saturating_add(tally.packets, row.tally.packets);
    saturating_add(tally.bytes, row.tally.bytes);
  }
  saturating_add(overflow_.packets, from.overflow_.packets);
  saturating_add(overflow_.bytes, from.overflow_.bytes);
}

void Counter::clear() noexcept {
  table_.clear();
  overflow_ = {};
}

void Counter::publish(Visitor& visitor) const {
  const auto order = largest_first(table_, key_, table_.size());
  visitor.begin_list("entries");
  for (const std::uint32_t i : order) {
    const auto& row = table_.row(i);
    visitor.begin_item();
    key_.visit(row.key(), visitor);
    visit_tally(row.tally.packets, row.tally.bytes, visitor);
    visitor.end_item();
  }
  visitor.end_list();
  if (overflow_.packets == 0) return;
  visitor.begin_list("overflow");
  visitor.begin_item();
  visit_tally(overflow_.packets, overflow_.bytes, visitor);
  visitor.end_item();
  visitor.end_list();
}

void Counter::visit_tally(std::uint64_t packets, std::uint64_t bytes, Visitor& visitor) const {
  visitor.unsigned_number(key_.by_value() ? "count" : "packets", packets);
  if (!key_.by_value()) visitor.unsigned_number("bytes", bytes);
}

bool Counter::empty() const noexcept { return table_.size() == 0 && overflow_.packets == 0; }

std::unique_ptr<Part> Counter::make_empty() const { return std::make_unique<Counter>(key_, max_keys_); }

std::string Counter::shape() const { return "counter by " + key_.text() + ", max " + std::to_string(max_keys_); }

}  // namespace plugins
