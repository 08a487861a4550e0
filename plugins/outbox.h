// What C++ puts into an outbox beside what Lua does: one message at its end, whole or not at all. Worker's thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string_view>

#include "plugins/abi.h"

namespace plugins {

// `head` with its length filled in, then the pieces one behind the other, zero padded. False, uncounted: there is no
// room.
inline bool append_message(engine_outbox& outbox, engine_message head,
                           std::initializer_list<std::string_view> pieces) noexcept {
  std::size_t used_bytes = sizeof head;
  for (const std::string_view piece : pieces) used_bytes += piece.size();
  head.length = static_cast<std::uint32_t>((used_bytes + 7) / 8 * 8);
  if (outbox.limit - outbox.used < head.length) return false;
  std::uint8_t* to = outbox.data + outbox.used;
  std::memset(to, 0, head.length);
  std::memcpy(to, &head, sizeof head);
  to += sizeof head;
  for (const std::string_view piece : pieces) {
    if (!piece.empty()) std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }
  outbox.used += head.length;
  return true;
}

// The bytes of a value, as a piece.
template <typename Value>
std::string_view bytes_of(const Value& value) noexcept {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace plugins
