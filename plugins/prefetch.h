// What tables of rows do before a batch. Worker's thread.
#pragma once

#include <cstdint>

#include "plugins/key.h"
#include "plugins/row_table.h"

namespace plugins {

// A little of what is due goes with each batch, so that little is left for the end of an interval. `lookups`, by packet
// in the last batch, is started again. Prefetching pays where the plugin looked up at least every other packet, in a
// table that is larger than the second-level cache.
inline void prepare(RowTable& rows, const KeySpec& key, const engine_packet* packets, const std::uint16_t* index,
                    std::uint32_t count, std::uint32_t& lookups) noexcept {
  constexpr std::uint32_t kExpiredPerBatch = 64;
  constexpr std::uint32_t kLargeTable = 16384;
  rows.expire(kExpiredPerBatch);
  const bool busy = lookups >= count / 2;
  lookups = 0;
  if (!busy || rows.size() < kLargeTable || key.by_value()) return;
  std::uint64_t words[kMaxFieldWords];
  for (std::uint32_t i = 0; i < count; ++i) {
    key.pack(packets[index != nullptr ? index[i] : i], words);
    rows.prefetch_index(words, key.words());
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    key.pack(packets[index != nullptr ? index[i] : i], words);
    rows.prefetch_row(words, key.words());
  }
}

}  // namespace plugins
