// The heaviest of many keys by packets, in bounded memory: the summary's top sources and ports.
//
// A hash table counts every key exactly until it is full; then the lighter half is dropped, and `floor_` remembers the
// largest count that was. A key seen (again) afterwards begins at that floor: it cannot have had more. So a key's true
// count lies within [packets - error, packets] (the bound of Metwally et al., "Efficient computation of frequent and
// top-k elements", with eviction by halves, which costs O(1) amortized and no second structure). Up to kMaxKeys keys
// everything is exact, also after a merge. Bytes are counted from when a key was last taken up.
//
// Filled by a worker's thread (no allocation), merged and read by the collector's.
#pragma once

#include <cstdint>
#include <vector>

namespace engine {

class HeavyHitters {
 public:
  static constexpr std::size_t kMaxKeys = 2048;

  struct Key {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    friend bool operator==(const Key&, const Key&) = default;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Entry {
    Key key;
    std::uint64_t packets = 0;  // 0: a free slot
    std::uint64_t bytes = 0;
    std::uint64_t error = 0;
  };

  HeavyHitters() : slots_(2 * kMaxKeys) {}

  void add(const Key& key, std::uint64_t bytes) noexcept {
    Entry& entry = find(key);
    if (entry.packets == 0) return take_up(key, bytes);
    ++entry.packets;
    entry.bytes += bytes;
  }

  // Grows this table as needed: for the collector's merged one.
  void merge(const HeavyHitters& other);
  void clear() noexcept;
  // The `n` largest, ties by key: an order that depends on the content alone.
  std::vector<Entry> top(std::size_t n) const;
  std::size_t size() const noexcept { return used_; }

 private:
  static std::uint64_t hash(const Key& key) noexcept {
    // Two odd multipliers from MurmurHash3's finalizer; the high bits, which are the mixed ones, select the slot.
    std::uint64_t h = (key.high ^ (key.high >> 32)) * 0xff51afd7ed558ccdu;
    h = (h ^ key.low ^ (h >> 29)) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 32);
  }
  Entry& find(const Key& key) noexcept {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash(key) & mask;
    while (slots_[at].packets != 0 && !(slots_[at].key == key)) at = (at + 1) & mask;
    return slots_[at];
  }
  void take_up(const Key& key, std::uint64_t bytes) noexcept;
  void drop_lighter_half() noexcept;
  void rebuild(std::size_t slots, const std::vector<Entry>& entries);

  std::vector<Entry> slots_;           // a power of two, at most half full while a worker fills it
  std::vector<std::uint64_t> counts_;  // room for finding the median
  std::size_t used_ = 0;
  std::uint64_t floor_ = 0;
};

}  // namespace engine
