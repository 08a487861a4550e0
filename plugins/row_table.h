// The ground of map, set and rate: keys with a fixed-size payload in rows that never move, expired by the time since
// they were last touched.
//
// An open-addressing index of row numbers and hashes beside dense rows; both reserved at once and touched only as far
// as they are used. Nothing allocates after construction, no row is ever handed back to the system: a row number that
// is kept beyond its row's life reads valid memory, and the row's stamp tells that it is another life.
//
// Time is that of the packets and never goes back. Rows stand in a list by their last touch, so that what is due is
// found at its end, and what is due depends on time stamps alone: not on when and how often expire() was called.
//
// Worker's thread alone.
#pragma once

#include <cstdint>
#include <cstring>

#include "plugins/hash.h"
#include "plugins/pages.h"

namespace plugins {

class RowTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // What stands at the front of each row; the key follows, then the payload.
  struct Row {
    double touched_ns;
    std::uint32_t hash;
    std::uint32_t stamp;  // odd while the row is in use; grows whenever that changes
    std::uint32_t words;  // of the key: values differ in length
    std::uint32_t newer;  // neighbours by last touch; of a free row, `newer` is the next free one
    std::uint32_t older;
    std::uint32_t unused;
  };
  static_assert(sizeof(Row) == 32);

  struct Found {
    std::uint32_t row;  // kNone: there is no room
    bool fresh;
  };

  // ttl_ns: 0 for never. Throws std::bad_alloc.
  RowTable(std::uint32_t key_words, std::uint32_t payload_bytes, std::uint32_t max_rows, double ttl_ns);

  std::uint32_t size() const noexcept { return size_; }
  std::uint32_t capacity() const noexcept { return capacity_; }
  std::uint64_t expired() const noexcept { return expired_; }  // since the beginning
  double clock_ns() const noexcept { return clock_ns_; }

  // A find or an insert is a touch. What is due counts as absent.
  std::uint32_t find(const std::uint64_t* key, std::uint32_t words, double now_ns) noexcept {
    set_clock(now_ns);
    const std::uint32_t row = row_of(index_[slot_of(key, words, hash_of(key, words))]);
    if (row == kNone) return kNone;
    if (is_due(at(row))) {
      expire_row(row);
      return kNone;
    }
    touch(row);
    return row;
  }

  // As find(), but no touch.
  std::uint32_t peek(const std::uint64_t* key, std::uint32_t words, double now_ns) noexcept {
    set_clock(now_ns);
    const std::uint32_t row = row_of(index_[slot_of(key, words, hash_of(key, words))]);
    return row == kNone || is_due(at(row)) ? kNone : row;
  }

  Found find_or_insert(const std::uint64_t* key, std::uint32_t words, double now_ns) noexcept {
    set_clock(now_ns);
    const std::uint32_t hash = hash_of(key, words);
    std::uint32_t slot = slot_of(key, words, hash);
    const std::uint32_t row = row_of(index_[slot]);
    if (row != kNone && !is_due(at(row))) {
      touch(row);
      return {row, false};
    }
    if (row != kNone || size_ == capacity_) {
      if (row != kNone) {
        expire_row(row);
      } else if (expire(1) == 0) {
        return {kNone, true};
      }
      slot = slot_of(key, words, hash);  // the index has closed the gap
    }
    return {insert(slot, key, words, hash), true};
  }

  void erase(std::uint32_t row) noexcept;

  // Erases what is due at the clock, the oldest first, and says how many.
  std::uint32_t expire(std::uint32_t at_most) noexcept {
    std::uint32_t count = 0;
    for (; count < at_most && oldest_ != kNone && is_due(at(oldest_)); ++count) expire_row(oldest_);
    return count;
  }
  void set_clock(double now_ns) noexcept {
    if (now_ns > clock_ns_) clock_ns_ = now_ns;
  }

  void prefetch_index(const std::uint64_t* key, std::uint32_t words) const noexcept {
    __builtin_prefetch(&index_[hash_of(key, words) & mask_]);
  }
  // The row that stands first where this key would be looked for: it is the right one more often than not.
  void prefetch_row(const std::uint64_t* key, std::uint32_t words) const noexcept {
    const std::uint32_t row = row_of(index_[hash_of(key, words) & mask_]);
    if (row != kNone) __builtin_prefetch(rows_.get() + row * stride_bytes_);
  }

  Row& at(std::uint32_t row) noexcept { return *reinterpret_cast<Row*>(rows_.get() + row * stride_bytes_); }
  const Row& at(std::uint32_t row) const noexcept {
    return *reinterpret_cast<const Row*>(rows_.get() + row * stride_bytes_);
  }
  const std::uint64_t* key(std::uint32_t row) const noexcept {
    return reinterpret_cast<const std::uint64_t*>(&at(row) + 1);
  }
  std::uint8_t* payload(std::uint32_t row) noexcept { return reinterpret_cast<std::uint8_t*>(&at(row)) + payload_at_; }
  const std::uint8_t* payload(std::uint32_t row) const noexcept {
    return reinterpret_cast<const std::uint8_t*>(&at(row)) + payload_at_;
  }

  // Where a reader without this class finds row i: at rows() + i * stride_bytes().
  std::uint8_t* rows() noexcept { return reinterpret_cast<std::uint8_t*>(rows_.get()); }
  std::size_t stride_bytes() const noexcept { return stride_bytes_; }
  std::size_t payload_at() const noexcept { return payload_at_; }

  // Every row in use, in the order in which they were first filled.
  template <typename Visit>
  void for_each(Visit visit) const noexcept {
    for (std::uint32_t row = 0; row < used_; ++row) {
      if (at(row).stamp % 2 != 0) visit(row);
    }
  }

 private:
  // An index entry: the key's hash above, the row's number + 1 below; 0 is free.
  static std::uint32_t row_of(std::uint64_t entry) noexcept { return static_cast<std::uint32_t>(entry) - 1; }

  std::uint32_t hash_of(const std::uint64_t* key, std::uint32_t words) const noexcept {
    const std::uint64_t h = hash_words(key, words, secret_);
    return static_cast<std::uint32_t>(h ^ (h >> 32));
  }
  // The key's slot, or the free one where it belongs.
  std::uint32_t slot_of(const std::uint64_t* key, std::uint32_t words, std::uint32_t hash) const noexcept {
    std::uint32_t slot = hash & mask_;
    for (; index_[slot] != 0; slot = (slot + 1) & mask_) {
      if (index_[slot] >> 32 != hash) continue;
      const std::uint32_t row = row_of(index_[slot]);
      if (at(row).words == words && equal_words(this->key(row), key, words)) break;
    }
    return slot;
  }
  bool is_due(const Row& row) const noexcept { return ttl_ns_ != 0 && row.touched_ns + ttl_ns_ <= clock_ns_; }
  void expire_row(std::uint32_t row) noexcept {
    ++expired_;
    erase(row);
  }
  void touch(std::uint32_t row) noexcept {
    if (ttl_ns_ == 0) return;
    at(row).touched_ns = clock_ns_;
    if (row == newest_) return;
    leave_list(row);
    join_list(row);
  }
  std::uint32_t insert(std::uint32_t slot, const std::uint64_t* key, std::uint32_t words, std::uint32_t hash) noexcept;
  void close_gap(std::uint32_t slot) noexcept;
  void leave_list(std::uint32_t row) noexcept;
  void join_list(std::uint32_t row) noexcept;

  std::size_t stride_bytes_;
  std::size_t payload_at_;
  std::uint32_t capacity_;
  double ttl_ns_;
  HashSecret secret_;
  Pages<std::byte> rows_;
  Pages<std::uint64_t> index_;
  std::uint32_t mask_ = 0;
  std::uint32_t size_ = 0;
  std::uint32_t used_ = 0;  // rows from here on have never been used
  std::uint32_t free_ = kNone;
  std::uint32_t newest_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::uint64_t expired_ = 0;
  double clock_ns_ = -1e300;
};

}  // namespace plugins
