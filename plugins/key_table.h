// An open-addressing table of packed keys: dense rows in order of arrival, and an index of row numbers.
//
// Rows and index are reserved at once but touched only as far as they are used: a table for 65,536 keys costs memory
// for those it holds, on the node of the thread that adds (first touch). No allocation in find_or_insert.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "plugins/hash.h"
#include "plugins/pages.h"

namespace plugins {

template <typename Tally>
class KeyTable {
 public:
  struct Row {
    std::uint32_t hash;
    std::uint32_t words;  // of the key: values differ in length
    Tally tally;
    const std::uint64_t* key() const noexcept { return reinterpret_cast<const std::uint64_t*>(this + 1); }
    std::uint64_t* key() noexcept { return reinterpret_cast<std::uint64_t*>(this + 1); }
  };

  KeyTable(std::uint32_t key_words, std::uint32_t max_rows)
      : stride_bytes_(sizeof(Row) + key_words * 8u), secret_(HashSecret::draw()) {
    reserve(max_rows);  // results don't depend on the secret
  }

  std::uint32_t size() const noexcept { return size_; }
  std::uint32_t capacity() const noexcept { return capacity_; }
  Row& row(std::uint32_t i) noexcept { return *reinterpret_cast<Row*>(rows_.get() + i * stride_bytes_); }
  const Row& row(std::uint32_t i) const noexcept {
    return *reinterpret_cast<const Row*>(rows_.get() + i * stride_bytes_);
  }

  // The row of this key and whether it is new; nullptr if it is new and the table is full.
  [[gnu::always_inline]] std::pair<Row*, bool> find_or_insert(const std::uint64_t* key, std::uint32_t words) noexcept {
    const std::uint32_t hash = hash_of(key, words);
    std::uint32_t at = hash & mask_;
    for (; index_[at] != 0; at = (at + 1) & mask_) {
      Row& candidate = row(index_[at] - 1);
      if (candidate.hash == hash && candidate.words == words && equal_words(candidate.key(), key, words))
        return {&candidate, false};
    }
    if (size_ == capacity_) return {nullptr, true};
    Row& fresh = row(size_);
    fresh.hash = hash;
    fresh.words = words;
    fresh.tally = Tally{};
    std::memcpy(fresh.key(), key, words * 8);
    index_[at] = ++size_;
    return {&fresh, true};
  }

  const Row* find(const std::uint64_t* key, std::uint32_t words) const noexcept {
    const std::uint32_t hash = hash_of(key, words);
    for (std::uint32_t at = hash & mask_; index_[at] != 0; at = (at + 1) & mask_) {
      const Row& candidate = row(index_[at] - 1);
      if (candidate.hash == hash && candidate.words == words && equal_words(candidate.key(), key, words))
        return &candidate;
    }
    return nullptr;
  }

  // Keeps the rows for which keep(row) holds, in their order.
  template <typename Keep>
  void filter(Keep keep) noexcept {
    clear_index();
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < size_; ++i) {
      if (!keep(row(i).tally)) continue;
      if (kept != i) std::memcpy(&row(kept), &row(i), sizeof(Row) + row(i).words * 8);
      ++kept;
    }
    size_ = kept;
    for (std::uint32_t i = 0; i < size_; ++i) link(i);
  }

  void clear() noexcept {
    clear_index();
    size_ = 0;
  }

  // Room for so many rows; keeps the content. The only call that allocates.
  void reserve(std::uint32_t max_rows) {
    max_rows = std::max(max_rows, 1u);
    if (max_rows <= capacity_) return;
    std::uint32_t slots = 4;
    while (slots < 2 * std::uint64_t{max_rows}) slots *= 2;
    auto rows = allocate_pages<std::byte>(max_rows * stride_bytes_);
    auto index = allocate_pages<std::uint32_t>(slots);
    if (size_ != 0) std::memcpy(rows.get(), rows_.get(), size_ * stride_bytes_);
    rows_ = std::move(rows);
    index_ = std::move(index);
    capacity_ = max_rows;
    mask_ = slots - 1;
    for (std::uint32_t i = 0; i < size_; ++i) link(i);
  }

 private:
  std::uint32_t hash_of(const std::uint64_t* key, std::uint32_t words) const noexcept {
    const std::uint64_t h = hash_words(key, words, secret_);
    return static_cast<std::uint32_t>(h ^ (h >> 32));
  }

  void link(std::uint32_t i) noexcept {
    std::uint32_t at = row(i).hash & mask_;
    while (index_[at] != 0) at = (at + 1) & mask_;
    index_[at] = i + 1;
  }

  // Slot by slot when few are used, so that clearing does not touch what was never used.
  void clear_index() noexcept {
    if (size_ > (mask_ + 1) / 16) {
      std::memset(index_.get(), 0, (mask_ + std::size_t{1}) * sizeof(std::uint32_t));
      return;
    }
    for (std::uint32_t i = 0; i < size_; ++i) {
      std::uint32_t at = row(i).hash & mask_;
      // Every row's own slot lies in the run that starts here; the whole run goes, its other rows go anyway.
      while (index_[at] != 0) {
        index_[at] = 0;
        at = (at + 1) & mask_;
      }
    }
  }

  std::size_t stride_bytes_;
  HashSecret secret_;
  Pages<std::byte> rows_;
  Pages<std::uint32_t> index_;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;
  std::uint32_t mask_ = 0;
};

}  // namespace plugins
