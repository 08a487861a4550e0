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

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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
      for (std::uint32_t hits = hits_of(bucket, tag); hits != 0; hits &= hits - 1) {
        const std::uint32_t row = bucket.rows[first(hits)];
        if (match(row)) return row;
      }
      if (bucket.passed_by == 0) break;
    }
    return kNoRow;
  }

  // The row of this tag in the key's own bucket, if any: for fetching, mostly the right one.
  std::uint32_t guess(std::uint64_t hash) const noexcept {
    const Bucket& bucket = memory_[bucket_of(hash)];
    const std::uint32_t hits = hits_of(bucket, tag_of(hash));
    return hits != 0 ? bucket.rows[first(hits)] : kNoRow;
  }

  // There is always room: there are more places than rows.
  void insert(std::uint64_t hash, std::uint32_t row) noexcept {
    for (std::uint32_t at = bucket_of(hash);; at = next(at)) {
      Bucket& bucket = memory_[at];
      if (const std::uint32_t free = hits_of(bucket, 0); free != 0) {
        bucket.tags[first(free)] = tag_of(hash);
        bucket.rows[first(free)] = row;
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
      for (std::uint32_t hits = hits_of(bucket, tag); hits != 0; hits &= hits - 1) {
        if (bucket.rows[first(hits)] != row) continue;
        bucket.tags[first(hits)] = 0;
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

  // The places of a bucket with this tag, a bit each.
  static std::uint32_t hits_of(const Bucket& bucket, std::uint16_t tag) noexcept {
#ifdef __SSE2__
    const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tags));
    const __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16(static_cast<short>(tag)));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())));
#else
    std::uint32_t hits = 0;
    for (std::uint32_t place = 0; place < kPlaces; ++place) hits |= std::uint32_t{bucket.tags[place] == tag} << place;
    return hits;
#endif
  }
  static std::uint32_t first(std::uint32_t hits) noexcept { return static_cast<std::uint32_t>(std::countr_zero(hits)); }

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
