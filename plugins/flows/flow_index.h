// From a key's hash to the flow's row: buckets of one cache line with eight short tags and row numbers.
//
// A lookup costs one cache line, mostly: tags are compared eight at a time, and a row is touched only where its tag
// fits (one false one in 8,192 lookups). A key that finds its bucket full goes to the next one, and every bucket
// counts those that passed it by, so that a lookup knows where to stop and nothing is left behind when a flow goes
// (the idea is F14's: engineering.fb.com, "Open-sourcing F14", 2019). One worker's thread; nothing allocates.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "plugins/flows/flow_memory.h"

namespace plugins {

inline constexpr std::uint32_t kNoRow = UINT32_MAX;

class FlowIndex {
 public:
  explicit FlowIndex(std::uint32_t rows)
      : buckets_(rows / kFilled + 2), pages_(buckets_ * sizeof(Bucket)), memory_(static_cast<Bucket*>(pages_.data())) {}

  void touch() noexcept { pages_.touch(pages_.size_bytes()); }
  void prefetch(std::uint64_t hash) const noexcept { __builtin_prefetch(&memory_[bucket_of(hash)], 1); }

  // The first row with this tag for which `match(row)` holds, or kNoRow.
  template <class Match>
  std::uint32_t find(std::uint64_t hash, const Match& match) const noexcept {
    const std::uint16_t tag = tag_of(hash);
    std::uint32_t at = bucket_of(hash);
    // In a small table every bucket can have been passed by: once around is all there is.
    for (std::uint64_t left = buckets_; left > 0; --left, at = next(at)) {
      const Bucket& bucket = memory_[at];
      for (Hits hits = hits_of(bucket, tag); hits.any(); hits.drop()) {
        const std::uint32_t row = bucket.rows[hits.first()];
        if (match(row)) return row;
      }
      if (bucket.passed_by == 0) break;
    }
    return kNoRow;
  }

  // The row of this tag in the key's own bucket, if any: for fetching, mostly the right one.
  std::uint32_t guess(std::uint64_t hash) const noexcept {
    const Bucket& bucket = memory_[bucket_of(hash)];
    const Hits hits = hits_of(bucket, tag_of(hash));
    return hits.any() ? bucket.rows[hits.first()] : kNoRow;
  }

  // There is always room: there are more places than rows.
  void insert(std::uint64_t hash, std::uint32_t row) noexcept {
    for (std::uint32_t at = bucket_of(hash);; at = next(at)) {
      Bucket& bucket = memory_[at];
      if (const Hits free = hits_of(bucket, 0); free.any()) {
        bucket.tags[free.first()] = tag_of(hash);
        bucket.rows[free.first()] = row;
        return;
      }
      ++bucket.passed_by;
    }
  }

  // The row must be there.
  void erase(std::uint64_t hash, std::uint32_t row) noexcept {
    const std::uint16_t tag = tag_of(hash);
    for (std::uint32_t at = bucket_of(hash);; at = next(at)) {
      Bucket& bucket = memory_[at];
      for (Hits hits = hits_of(bucket, tag); hits.any(); hits.drop()) {
        // The tag too: a false hit may be a free place that held this row before.
        if (bucket.rows[hits.first()] != row || bucket.tags[hits.first()] != tag) continue;
        bucket.tags[hits.first()] = 0;
        return;
      }
      --bucket.passed_by;
    }
  }

 private:
  static constexpr std::uint32_t kPlaces = 8;
  static constexpr std::uint32_t kFilled = 6;  // on average, with all rows in use: few keys leave their bucket

  struct alignas(64) Bucket {
    std::uint16_t tags[kPlaces];  // 0: free
    std::uint32_t rows[kPlaces];
    std::uint32_t passed_by;
  };
  static_assert(sizeof(Bucket) == 64, "one cache line");

  // The places of a bucket whose tag is the one asked for: bit 16 i + 15 of the first or second word for place i. The
  // lowest bit is exact; those above it may be false (a borrow runs upwards), which the caller's comparison finds.
  struct Hits {
    std::uint64_t low;
    std::uint64_t high;
    bool any() const noexcept { return (low | high) != 0; }
    unsigned first() const noexcept {
      return low != 0 ? static_cast<unsigned>(std::countr_zero(low)) / 16
                      : 4 + static_cast<unsigned>(std::countr_zero(high)) / 16;
    }
    void drop() noexcept {
      if (low != 0) {
        low &= low - 1;
      } else {
        high &= high - 1;
      }
    }
  };
  static Hits hits_of(const Bucket& bucket, std::uint16_t tag) noexcept {
    std::uint64_t words[2];
    std::memcpy(words, bucket.tags, sizeof words);
    return {zero_lanes(words[0] ^ tag * kLanes), zero_lanes(words[1] ^ tag * kLanes)};
  }
  static constexpr std::uint64_t kLanes = 0x0001000100010001u;
  static std::uint64_t zero_lanes(std::uint64_t word) noexcept { return (word - kLanes) & ~word & (kLanes << 15); }

  // The bucket by the upper half of the hash, the tag by the lower: they are independent.
  std::uint32_t bucket_of(std::uint64_t hash) const noexcept {
    return static_cast<std::uint32_t>((hash >> 32) * buckets_ >> 32);
  }
  std::uint32_t next(std::uint32_t bucket) const noexcept { return bucket + 1 == buckets_ ? 0 : bucket + 1; }
  static std::uint16_t tag_of(std::uint64_t hash) noexcept {
    const auto tag = static_cast<std::uint16_t>(hash);
    return tag != 0 ? tag : 1;
  }

  std::uint64_t buckets_;
  FlowMemory pages_;
  Bucket* memory_;
};

}  // namespace plugins
