#include "plugins/map_table.h"

#include "plugins/prefetch.h"

namespace plugins {
void MapPart::merge(const Part& other) {
  const auto& from = dynamic_cast<const MapPart&>(other);
  entries += from.entries;
  added += from.added;
  expired += from.expired;
  deleted += from.deleted;
  refused += from.refused;
}

void MapPart::publish(Visitor& visitor) const {
  visitor.unsigned_number("entries", entries);
  visitor.unsigned_number("added", added);
  visitor.unsigned_number("expired", expired);
  visitor.unsigned_number("deleted", deleted);
  visitor.unsigned_number("refused", refused);
}

MapTable::MapTable(KeySpec key, std::uint32_t payload_bytes, std::uint32_t max_entries, double ttl_ns)
    : key_(std::move(key)), rows_(key_.words(), payload_bytes, max_entries, ttl_ns) {}

bool MapTable::remove_row(std::uint32_t row) noexcept {
  if (row == RowTable::kNone) return false;
  rows_.erase(row);
  ++part_->deleted;
  return true;
}

void MapTable::advance(double now_ns) noexcept {
  rows_.set_clock(now_ns);
  rows_.expire(RowTable::kNone);
  part_->entries = rows_.size();
  part_->expired += rows_.expired() - expired_told_;
  expired_told_ = rows_.expired();
}

void MapTable::before_batch(const engine_packet* packets, const std::uint16_t* index, std::uint32_t count) noexcept {
  prepare(rows_, key_, packets, index, count, lookups_);
}

}  // namespace plugins
