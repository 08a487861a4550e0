// Entries that are in a list until their time is over: what is blocked, what is bypassed. Pure data, one thread at a
// time (see enforcement.h).
//
// A hash table of the entries, and a heap of their ends. An end that was put off stays where it is in the heap and is
// looked at again when it comes up; so is the end of an entry that was taken out. The table's hash has a secret: keys
// are addresses that strangers choose.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plugins/hash.h"

namespace engine {

// Who asked: a plugin by its index, or the operator. Plugins are fewer (plugins/abi.h: engine_message).
constexpr std::uint8_t kByOperator = 0xff;

// Of plain values without padding.
struct SecretHash {
  plugins::HashSecret secret = plugins::HashSecret::draw();

  template <class Key>
  std::size_t operator()(const Key& key) const noexcept {
    static_assert(std::has_unique_object_representations_v<Key>);
    std::uint64_t words[(sizeof(Key) + 7) / 8] = {};
    std::memcpy(words, &key, sizeof key);
    return plugins::hash_words(words, static_cast<std::uint32_t>(std::size(words)), secret);
  }
};

template <class Key>
class TimedList {
 public:
  static constexpr std::uint64_t kForGood = UINT64_MAX;
  static constexpr std::uint64_t kRetry_ns = 1'000'000'000;  // of a removal that failed

  struct Entry {
    std::uint64_t until_ns = kForGood;
    std::uint8_t by = kByOperator;
  };

  void reserve(std::size_t count) { entries_.reserve(count); }
  std::size_t size() const noexcept { return entries_.size(); }
  std::size_t ends() const noexcept { return ends_.size(); }  // what the heap holds

  const Entry* find(const Key& key) const noexcept {
    const auto it = entries_.find(key);
    return it == entries_.end() ? nullptr : &it->second;
  }

  // One that is not in yet.
  void insert(const Key& key, Entry entry) {
    entries_.emplace(key, entry);
    if (entry.until_ns != kForGood) push(key, entry.until_ns);
  }

  // False: it stays in at least as long already.
  bool put_off(const Key& key, std::uint64_t until_ns) {
    Entry& entry = entries_.at(key);
    if (until_ns <= entry.until_ns) return false;
    entry.until_ns = until_ns;
    return true;
  }

  void erase(const Key& key) {
    entries_.erase(key);
    if (ends_.size() > 2 * entries_.size() + kSpareEnds) forget_stale_ends();
  }

  // Takes out those that are over, looking at `limit` ends. gone(key, entry) says whether it is: else it is tried again
  // after a while.
  template <class Gone>
  void expire(std::uint64_t now_ns, std::size_t limit, Gone&& gone) {
    for (; limit > 0 && !ends_.empty() && ends_.front().first <= now_ns; --limit) {
      std::pop_heap(ends_.begin(), ends_.end(), later);
      const Key key = ends_.back().second;
      ends_.pop_back();
      const auto entry = entries_.find(key);
      if (entry == entries_.end() || entry->second.until_ns == kForGood) continue;
      if (entry->second.until_ns > now_ns) {
        push(key, entry->second.until_ns);
      } else if (gone(key, entry->second)) {
        entries_.erase(entry);
      } else {
        entry->second.until_ns = now_ns + kRetry_ns;
        push(key, entry->second.until_ns);
      }
    }
  }

  // Calls visit(key, entry) for some `limit` of them from `cursor` on; returns where to go on, 0 at the end. While
  // entries come and go one may be left out or come twice.
  template <class Visit>
  std::size_t page(std::size_t cursor, std::size_t limit, Visit&& visit) const {
    std::size_t bucket = cursor;
    for (; bucket < entries_.bucket_count() && limit > 0; ++bucket) {
      for (auto it = entries_.begin(bucket); it != entries_.end(bucket); ++it) {
        visit(it->first, it->second);
        limit -= limit > 0 ? 1 : 0;
      }
    }
    return bucket < entries_.bucket_count() ? bucket : 0;
  }

 private:
  using End = std::pair<std::uint64_t, Key>;
  static constexpr std::size_t kSpareEnds = 1024;

  static bool later(const End& a, const End& b) noexcept { return a.first > b.first; }

  void push(const Key& key, std::uint64_t until_ns) {
    ends_.emplace_back(until_ns, key);
    std::push_heap(ends_.begin(), ends_.end(), later);
  }

  void forget_stale_ends() {
    ends_.clear();
    for (const auto& [key, entry] : entries_)
      if (entry.until_ns != kForGood) ends_.emplace_back(entry.until_ns, key);
    std::make_heap(ends_.begin(), ends_.end(), later);
  }

  std::unordered_map<Key, Entry, SecretHash> entries_;
  std::vector<End> ends_;
};

}  // namespace engine
