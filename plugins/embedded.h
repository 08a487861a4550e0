// What plugins/embed.py makes at build time: the FFI declarations and the runtime's own Lua source.
#pragma once

#include <span>
#include <string_view>

namespace plugins {

struct EmbeddedChunk {
  std::string_view name;  // file name without .lua; a tool's with its folder
  std::string_view code;
};

std::string_view embedded_cdef();
// In the order in which they are loaded.
std::span<const EmbeddedChunk> embedded_chunks();  // the library of every state
std::span<const EmbeddedChunk> embedded_tools();   // what an author is told about it

}  // namespace plugins
