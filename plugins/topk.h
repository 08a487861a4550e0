// The heaviest keys of a stream in bounded memory, each with a bound on its error.
//
// Like Space-Saving (Metwally et al., 2005), but evicting in batches as in Anderson et al., "A High-Performance
// Algorithm for Identifying Frequent Items in Data Streams" (2017): when the table is full, the floor rises to a median
// of the counts and every key at or below it goes; a key that comes in starts at the floor, with the floor as its
// error. Constant amortised time per add, weights allowed. true count <= published count <= true count + error.
//
// One part belongs to one worker at a time (add) or to the collector (merge, publish, clear); see structure.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plugins/key.h"
#include "plugins/key_table.h"
#include "plugins/structure.h"

namespace plugins {

inline constexpr std::uint32_t kTopKDefault = 20;

// Published: "entries":[{key fields, "packets", "bytes", "error"}] or [{"key", "count", "error"}], k of them, largest
// first. Ranked by packets; "bytes" are those seen since the key came in (never too many).
class TopK final : public Part {
 public:
  // `tracked`: keys kept while counting; 0: 64 k, at least 4096. Below so many keys the result is exact.
  explicit TopK(KeySpec key, std::uint32_t k = kTopKDefault, std::uint32_t tracked = 0);

  void add(const engine_packet& packet) noexcept;
  void add_value(const ValueKey& key, std::uint64_t n) noexcept;

  void merge(const Part& other) override;
  void clear() noexcept override;
  void publish(Visitor& visitor) const override;
  bool empty() const noexcept override;
  std::unique_ptr<Part> make_empty() const override;
  std::string shape() const override;

  std::uint32_t size() const noexcept { return table_.size(); }
  std::uint64_t floor() const noexcept { return floor_; }

 private:
  struct Tally {
    std::uint64_t packets = 0;  // upper bound: what was counted since it came in, plus the floor at that time
    std::uint64_t bytes = 0;
    std::uint64_t error = 0;
  };
  void count(const std::uint64_t* key, std::uint32_t words, std::uint64_t n, std::uint64_t bytes) noexcept;
  void evict() noexcept;

  KeySpec key_;
  std::uint32_t k_;
  std::uint32_t tracked_;
  KeyTable<Tally> table_;
  std::uint64_t floor_ = 0;
};

}  // namespace plugins
