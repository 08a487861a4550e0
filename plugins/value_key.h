// A key that Lua gives as a value, as it comes through FFI. Worker's thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "plugins/key.h"
#include "plugins/sketch_native.h"

namespace plugins {

inline ValueKey value_key(std::uint32_t kind, const void* bytes, std::uint32_t length, double number) noexcept {
  if (kind == ENGINE_KEY_NUMBER) return ValueKey(number);
  if (kind == ENGINE_KEY_ADDRESS) return ValueKey(*static_cast<const engine_addr*>(bytes));
  return ValueKey(std::string_view(static_cast<const char*>(bytes), length));
}

}  // namespace plugins
