// What way of receiving was asked for, and what way was obtained. The two are kept apart because a NIC may fall back.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace xsk {

// --mode. `automatic` takes the best that works; the others fail where they are not to be had.
enum class RequestedMode { automatic, zerocopy, copy, skb, afpacket };

// `mode` in outputs, for sources that are interfaces. The best first.
enum class ObtainedMode { zerocopy, copy, skb, afpacket };

// With native XDP; generic XDP has none.
constexpr bool asks_for_zero_copy(RequestedMode mode) noexcept {
  return mode == RequestedMode::automatic || mode == RequestedMode::zerocopy;
}

namespace detail {
struct ModeName {
  std::string_view name;
  RequestedMode mode;
};
inline constexpr std::array<ModeName, 5> mode_names{{{"auto", RequestedMode::automatic},
                                                     {"zerocopy", RequestedMode::zerocopy},
                                                     {"copy", RequestedMode::copy},
                                                     {"skb", RequestedMode::skb},
                                                     {"afpacket", RequestedMode::afpacket}}};
}  // namespace detail

constexpr std::optional<RequestedMode> parse_mode(std::string_view text) noexcept {
  for (const auto& entry : detail::mode_names)
    if (entry.name == text) return entry.mode;
  return std::nullopt;
}

constexpr std::string_view to_string(RequestedMode mode) noexcept {
  for (const auto& entry : detail::mode_names)
    if (entry.mode == mode) return entry.name;
  return "auto";
}

constexpr std::string_view to_string(ObtainedMode mode) noexcept {
  switch (mode) {
    case ObtainedMode::zerocopy:
      return "zerocopy";
    case ObtainedMode::copy:
      return "copy";
    case ObtainedMode::skb:
      return "skb";
    case ObtainedMode::afpacket:
      break;
  }
  return "afpacket";
}

// An AF_XDP socket's mode. Generic XDP hands the socket copies of skbs, whatever the socket's own bit says.
constexpr ObtainedMode obtained_mode(bool attached_generic, bool socket_zero_copy) noexcept {
  if (attached_generic) return ObtainedMode::skb;
  return socket_zero_copy ? ObtainedMode::zerocopy : ObtainedMode::copy;
}

}  // namespace xsk
