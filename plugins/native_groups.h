// The tables of native functions beside the base (plugins/native.h), one for each family of structures or parsers:
// Lua finds them, cast to their type, as core.groups.NAME.
#pragma once

#include <span>

namespace plugins {

struct NativeGroup {
  const char* name;
  const char* type;  // as declared to LuaJIT: "struct engine_NAME_natives"
  const void* table;
};

std::span<const NativeGroup> native_groups() noexcept;

}  // namespace plugins
