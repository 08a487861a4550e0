// What plugins/embed.py makes at build time: the FFI declarations and the runtime's own Lua source.
#pragma once

#include <span>
#include <string_view>

namespace plugins {

struct EmbeddedChunk {
  std::string_view name;  // file name without .lua
  std::string_view code;
};

std::string_view embedded_cdef();
std::span<const EmbeddedChunk> embedded_chunks();  // in the order in which they are loaded

}  // namespace plugins
