// A flow that is bypassed: both directions of a connection. A plain value.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "bpf/root_abi.h"
#include "plugins/abi.h"

namespace engine {

// Which end is the lower one is the engine's own order, the same for both directions.
struct Flow {
  std::array<std::uint8_t, 16> low{};  // IPv4 as ::ffff:a.b.c.d
  std::array<std::uint8_t, 16> high{};
  std::uint16_t low_port = 0;  // 0: the protocol has none
  std::uint16_t high_port = 0;
  std::uint16_t proto = 0;

  static Flow of(const engine_bypass& request) noexcept;
  // "tcp 10.0.0.1:80 [2001:db8::1]:443" or "icmp 10.0.0.1 10.0.0.2", blanks apart. Throws SetupError(bad_usage) that
  // begins with `where`.
  static Flow parse(std::string_view text, std::string_view where);

  root_flow key() const noexcept;
  std::string text() const;

  friend bool operator==(const Flow&, const Flow&) = default;
};

}  // namespace engine
