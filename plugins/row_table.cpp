#include "plugins/row_table.h"

#include <algorithm>

namespace plugins {
namespace {

std::uint32_t slots_for(std::uint32_t rows) {
  std::uint32_t slots = 4;
  while (slots < 2 * std::uint64_t{rows}) slots *= 2;
  return slots;
}

}  // namespace

RowTable::RowTable(std::uint32_t key_words, std::uint32_t payload_bytes, std::uint32_t max_rows, double ttl_ns)
    : stride_bytes_(sizeof(Row) + key_words * 8u + (payload_bytes + 7u) / 8 * 8),
      payload_at_(sizeof(Row) + key_words * 8u),
      capacity_(std::max(max_rows, 1u)),
      ttl_ns_(ttl_ns),
      secret_(HashSecret::draw()),
      rows_(allocate_pages<std::byte>(capacity_ * stride_bytes_)),
      index_(allocate_pages<std::uint64_t>(slots_for(capacity_))),
      mask_(slots_for(capacity_) - 1) {}

std::uint32_t RowTable::insert(std::uint32_t slot, const std::uint64_t* key, std::uint32_t words,
                               std::uint32_t hash) noexcept {
  std::uint32_t row = free_;
  if (row != kNone) {
    free_ = at(row).newer;
  } else {
    row = used_++;
  }
  Row& fresh = at(row);
  fresh.hash = hash;
  fresh.words = words;
  fresh.touched_ns = clock_ns_;
  fresh.stamp += 1;
  std::memcpy(&fresh + 1, key, words * 8);
  std::memset(payload(row), 0, stride_bytes_ - payload_at_);
  if (ttl_ns_ != 0) join_list(row);
  index_[slot] = std::uint64_t{hash} << 32 | (row + 1);
  ++size_;
  return row;
}

void RowTable::erase(std::uint32_t row) noexcept {
  Row& gone = at(row);
  std::uint32_t slot = gone.hash & mask_;
  while (row_of(index_[slot]) != row) slot = (slot + 1) & mask_;
  close_gap(slot);
  if (ttl_ns_ != 0) leave_list(row);
  gone.stamp += 1;
  gone.newer = free_;
  free_ = row;
  --size_;
}

// Linear probing without tombstones: what stands behind the gap and may stand in it moves up.
void RowTable::close_gap(std::uint32_t gap) noexcept {
  for (std::uint32_t slot = (gap + 1) & mask_; index_[slot] != 0; slot = (slot + 1) & mask_) {
    const auto home = static_cast<std::uint32_t>(index_[slot] >> 32) & mask_;
    if (((slot - home) & mask_) < ((slot - gap) & mask_)) continue;
    index_[gap] = index_[slot];
    gap = slot;
  }
  index_[gap] = 0;
}

void RowTable::leave_list(std::uint32_t row) noexcept {
  const std::uint32_t newer = at(row).newer, older = at(row).older;
  (newer == kNone ? newest_ : at(newer).older) = older;
  (older == kNone ? oldest_ : at(older).newer) = newer;
}

void RowTable::join_list(std::uint32_t row) noexcept {
  at(row).newer = kNone;
  at(row).older = newest_;
  (newest_ == kNone ? oldest_ : at(newest_).newer) = row;
  newest_ = row;
}

}  // namespace plugins
