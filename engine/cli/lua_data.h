// A Lua file read as data: run once in a sandbox, its blocks handed over as plain values.
//
// Main thread, set-up. The Lua state lives inside read_lua_blocks() only; nothing of Lua leaves it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace engine::cli {

struct LuaData;

struct LuaTable {
  std::vector<LuaData> items;                           // [1], [2], ...
  std::vector<std::pair<std::string, LuaData>> fields;  // by name, sorted: Lua's own order is not stable
};

struct LuaData {
  std::variant<bool, double, std::string, LuaTable> value;
};

// `kind { … }` or `kind "name" { … }`, as written at `line`.
struct LuaBlock {
  std::string kind;
  std::string name;
  int line = 0;
  LuaTable content;
};

struct LuaBlockKind {
  std::string_view kind;
  bool named;
};

struct LuaBlocks {
  std::string file;
  std::string source;
  std::vector<LuaBlock> blocks;
};

// Throws SetupError(bad_usage): the file is missing, does not compile, fails (file:line), runs for too long, or uses a
// block that is neither in `known` nor in `later` (not available yet, said so).
LuaBlocks read_lua_blocks(const std::string& path, std::span<const LuaBlockKind> known,
                          std::span<const std::string_view> later);

// The same from text; `path` is only for messages.
LuaBlocks run_lua_blocks(const std::string& path, std::string source, std::span<const LuaBlockKind> known,
                         std::span<const std::string_view> later);

// The line that sets `key` in the block whose brace opens at or after `line`; `line` itself if it is computed.
int line_of_key(std::string_view source, int line, std::string_view key);

}  // namespace engine::cli
