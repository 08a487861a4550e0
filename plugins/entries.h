// The order in which a structure's rows are published: largest count first, then by key, so that it depends on the
// content alone. Called by the collector only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "plugins/key.h"
#include "plugins/key_table.h"

namespace plugins {

template <typename Tally>
std::vector<std::uint32_t> largest_first(const KeyTable<Tally>& table, const KeySpec& key, std::uint32_t at_most) {
  std::vector<std::uint32_t> order(table.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    const auto &x = table.row(a), &y = table.row(b);
    if (x.tally.packets != y.tally.packets) return x.tally.packets > y.tally.packets;
    return key.less(x.key(), y.key());
  };
  const std::size_t wanted = std::min<std::size_t>(at_most, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted), order.end(), before);
  order.resize(wanted);
  return order;
}

}  // namespace plugins
