#include "plugins/rate_table.h"

#include <algorithm>
#include <cstring>

#include "plugins/entries.h"
#include "plugins/prefetch.h"

namespace plugins {

RatePart::RatePart(KeySpec key, std::uint32_t max_keys, double window_ns, double above, bool told)
    : key_(std::move(key)),
      max_keys_(max_keys),
      window_ns_(window_ns),
      above_(above),
      told_(told),
      keys_(key_.words(), max_keys_) {}

void RatePart::start(double span_ns) noexcept {
  keys_.clear();
  span_ns_ = span_ns;
}

void RatePart::add(const std::uint64_t* key, std::uint32_t words, std::uint64_t events) noexcept {
  if (const auto row = keys_.find_or_insert(key, words).first) saturating_add(row->tally.packets, events);
}

void RatePart::merge(const Part& other) {
  const auto& from = dynamic_cast<const RatePart&>(other);
  if (keys_.capacity() - keys_.size() < from.keys_.size()) {
    keys_.reserve(std::max(2 * keys_.capacity(), keys_.size() + from.keys_.size()));
  }
  for (std::uint32_t i = 0; i < from.keys_.size(); ++i) {
    const auto& row = from.keys_.row(i);
    add(row.key(), row.words, row.tally.packets);
  }
  span_ns_ = std::max(span_ns_, from.span_ns_);
  saturating_add(refused_, from.refused_);
  saturating_add(untold_, from.untold_);
}

void RatePart::clear() noexcept {
  keys_.clear();
  span_ns_ = 0;
  refused_ = untold_ = 0;
}

std::size_t RatePart::lines() const {
  if (refused_ != 0 || untold_ != 0) return 1;
  for (std::uint32_t i = 0; i < keys_.size(); ++i) {
    if (is_above(keys_.row(i).tally.packets)) return 1;
  }
  return 0;
}

void RatePart::publish(Visitor& visitor) const {
  std::uint32_t above = 0;
  for (std::uint32_t i = 0; i < keys_.size(); ++i) above += is_above(keys_.row(i).tally.packets) ? 1 : 0;
  const std::uint32_t shown = std::min(above, kRateListed);
  visitor.begin_list("entries");
  for (const std::uint32_t i : largest_first(keys_, key_, shown)) {
    const auto& row = keys_.row(i);
    visitor.begin_item();
    key_.visit(row.key(), visitor);
    visitor.real("rate", static_cast<double>(row.tally.packets) * 1e9 / span_ns_);
    visitor.end_item();
  }
  visitor.end_list();
  if (shown < above) visitor.unsigned_number("more", above - shown);
  if (refused_ != 0) visitor.unsigned_number("refused", refused_);
  if (untold_ != 0) visitor.unsigned_number("untold", untold_);
}

std::unique_ptr<Part> RatePart::make_empty() const {
  return std::make_unique<RatePart>(key_, max_keys_, window_ns_, above_, told_);
}

std::string RatePart::shape() const {
  return "rate by " + key_.text() + ", max " + std::to_string(max_keys_) + ", window " + std::to_string(window_ns_) +
         " ns, above " + std::to_string(above_) + (told_ ? ", told" : "");
}

RateTable::RateTable(KeySpec key, std::uint32_t max_keys, double window_ns, double above, bool told)
    : key_(std::move(key)),
      slot_ns_(window_ns / kSlots),
      above_(above),
      told_(told),
      rows_(key_.words(), sizeof(Window), max_keys, window_ns),
      queue_(told ? kQueued : 0) {}

// Slots are numbered from the epoch, so that all workers cut them alike.
void RateTable::move_to_now(double now_ns) noexcept {
  now_ns_ = std::max(now_ns_, now_ns);
  if (now_ns_ < slot_end_ns_) return;
  slot_ = static_cast<std::int64_t>(std::floor(now_ns_ / slot_ns_));
  slot_begin_ns_ = static_cast<double>(slot_) * slot_ns_;
  slot_end_ns_ = slot_begin_ns_ + slot_ns_;
}

void RateTable::forget_old_slots(Window& window) const noexcept {
  const std::int64_t passed = std::min(slot_ - window.slot, kSlots);
  for (std::int64_t i = 1; i <= passed; ++i) {
    std::uint64_t& old = window.events[static_cast<std::uint64_t>(window.slot + i) % kSlots];
    window.total -= old;
    old = 0;
  }
  window.slot = slot_;
}

bool RateTable::add_key(const std::uint64_t* key, std::uint32_t words, std::uint64_t n, double now_ns) noexcept {
  move_to_now(now_ns);
  const auto [row, fresh] = rows_.find_or_insert(key, words, now_ns);
  if (row == RowTable::kNone) {
    part_->refuse();
    return false;
  }
  Window& counted = window(row);
  if (fresh) counted.slot = slot_;
  if (counted.slot != slot_) forget_old_slots(counted);
  // The total stays the sum of the slots: what would not fit into it is not counted.
  n = std::min(n, UINT64_MAX - counted.total);
  counted.events[static_cast<std::uint64_t>(slot_) % kSlots] += n;
  counted.total += n;
  const double wanted = above_ * span_ns();
  const double have = static_cast<double>(counted.total) * 1e9;
  if (!counted.above) {
    if (have < wanted) return false;
    counted.above = true;
    return told_ && tell(key, words, have / span_ns());
  }
  if (have < 0.9 * wanted) counted.above = false;
  return false;
}

double RateTable::rate_of(const std::uint64_t* key, std::uint32_t words, double now_ns) noexcept {
  move_to_now(now_ns);
  const std::uint32_t row = rows_.peek(key, words, now_ns);
  if (row == RowTable::kNone) return 0;
  Window& counted = window(row);
  if (counted.slot != slot_) forget_old_slots(counted);
  return static_cast<double>(counted.total) * 1e9 / span_ns();
}

bool RateTable::tell(const std::uint64_t* key, std::uint32_t words, double rate) noexcept {
  if (queued_ == kQueued) {
    part_->lose();
    return false;
  }
  Event& event = queue_[(first_ + queued_++) % kQueued];
  event.rate = rate;
  event.time_ns = now_ns_;
  event.words = words;
  std::memcpy(event.key, key, words * 8);
  return true;
}

bool RateTable::take(Event& event) noexcept {
  if (queued_ == 0) return false;
  event = queue_[first_];
  first_ = (first_ + 1) % kQueued;
  --queued_;
  return true;
}

void RateTable::advance(double now_ns) noexcept {
  move_to_now(now_ns);
  rows_.set_clock(now_ns);
  rows_.expire(RowTable::kNone);
  part_->start(span_ns());
  rows_.for_each([&](std::uint32_t row) {
    Window& counted = window(row);
    if (counted.slot != slot_) forget_old_slots(counted);
    if (counted.total != 0) part_->add(rows_.key(row), rows_.at(row).words, counted.total);
  });
}

void RateTable::before_batch(const engine_packet* packets, const std::uint16_t* index, std::uint32_t count) noexcept {
  prepare(rows_, key_, packets, index, count, lookups_);
}

}  // namespace plugins
