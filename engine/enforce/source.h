// A source that is blocked, or must not be: an address or a network. A plain value.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bpf/block_list.h"
#include "plugins/abi.h"

namespace engine {

struct Source {
  std::array<std::uint8_t, 16> bytes{};  // IPv4 as ::ffff:a.b.c.d
  std::uint8_t bits = 128;               // of 128 that count; those behind them are 0

  static Source of(const engine_block& request) noexcept;
  static Source of(const root_block_address& address) noexcept;
  static Source of(const root_block_network& network) noexcept;

  bool is_address() const noexcept { return bits == 128; }
  bool is_v4() const noexcept;
  // As keys of the root program's maps; the one or the other, by is_address().
  root_block_address address() const noexcept;
  root_block_network network() const noexcept;
  std::string text() const;  // 10.0.0.1, 10.0.0.0/8

  friend auto operator<=>(const Source&, const Source&) = default;
};

// Whether an address lies in both. IPv6 networks, ::/0 too, hold no IPv4.
bool overlap(const Source& a, const Source& b) noexcept;

std::vector<Source> sources_of(const bpf::BlockList& list);

}  // namespace engine
