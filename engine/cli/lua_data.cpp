#include "engine/cli/lua_data.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "engine/base/error.h"
#include "engine/cli/lua_blocks.h"
#include "engine/cli/lua_sandbox.h"

extern "C" {
#include <lauxlib.h>
}

namespace engine::cli {
namespace {

constexpr int max_depth = 8;

// Reading values raises no Lua error once the memory cap is lifted, so C++ objects may live here.
class Reader {
 public:
  explicit Reader(lua_State* state) : state_(state) {}

  LuaTable table(int index, const std::string& where, int depth) {
    if (depth > max_depth) {
      throw SetupError(ExitCode::bad_usage, where, "tables are nested more than " + std::to_string(max_depth) + " deep",
                       "does a table contain itself?");
    }
    luaL_checkstack(state_, 4, nullptr);
    LuaTable result;
    const int count = static_cast<int>(lua_objlen(state_, index));
    for (int i = 1; i <= count; ++i) {
      lua_rawgeti(state_, index, i);
      result.items.push_back(value(lua_gettop(state_), where, depth));
      lua_pop(state_, 1);
    }
    lua_pushnil(state_);
    while (lua_next(state_, index) != 0) {
      take_field(result, lua_gettop(state_), count, where, depth);
      lua_pop(state_, 1);
    }
    std::sort(result.fields.begin(), result.fields.end(), [](auto& a, auto& b) { return a.first < b.first; });
    return result;
  }

 private:
  void take_field(LuaTable& result, int at, int count, const std::string& where, int depth) {
    if (lua_type(state_, at - 1) == LUA_TSTRING) {
      const std::string key = lua_tostring(state_, at - 1);
      result.fields.emplace_back(key, value(at, where + "." + key, depth));
      return;
    }
    const double key = lua_type(state_, at - 1) == LUA_TNUMBER ? lua_tonumber(state_, at - 1) : 0;
    if (!(key >= 1 && key <= count)) throw SetupError(ExitCode::bad_usage, where, "has a key that is not a name");
  }

  LuaData value(int index, const std::string& where, int depth) {
    if (values_left_-- == 0) throw SetupError(ExitCode::bad_usage, where, "holds too many values", "at most 100000");
    switch (lua_type(state_, index)) {
      case LUA_TBOOLEAN:
        return {lua_toboolean(state_, index) != 0};
      case LUA_TNUMBER:
        return {lua_tonumber(state_, index)};
      case LUA_TSTRING: {
        std::size_t size = 0;
        const char* const text = lua_tolstring(state_, index, &size);
        return {std::string(text, size)};
      }
      case LUA_TTABLE:
        return {table(index, where, depth + 1)};
      default:
        throw SetupError(ExitCode::bad_usage, where,
                         std::string("holds a ") + lua_typename(state_, lua_type(state_, index)),
                         "write true, false, a number, a string or a table");
    }
  }

  lua_State* state_;
  // One table may be named many times by others: what a small file says can unfold without bound.
  unsigned values_left_ = 100'000;
};

// LuaJIT's messages read "chunk:line: message", with a long chunk name cut short: so the chunk has a short one, and the
// path takes its place here.
constexpr std::string_view chunk_prefix = "config:";

[[noreturn]] void refuse(lua_State* state, const std::string& path) {
  const char* const raw = lua_tostring(state, -1);
  const std::string_view message = raw != nullptr ? raw : "failed with an error that is not text";
  if (message.starts_with(chunk_prefix)) {
    const std::size_t digits = message.find_first_not_of("0123456789", chunk_prefix.size());
    if (digits != message.npos && message.substr(digits, 2) == ": ") {
      const std::string line(message.substr(chunk_prefix.size(), digits - chunk_prefix.size()));
      throw SetupError(ExitCode::bad_usage, path + ":" + line, message.substr(digits + 2));
    }
  }
  throw SetupError(ExitCode::bad_usage, path, message);
}

}  // namespace

LuaBlocks run_lua_blocks(const std::string& path, std::string source, std::span<const LuaBlockKind> known,
                         std::span<const std::string_view> later) {
  const LuaSandbox sandbox;
  lua_State* const state = sandbox.state();
  // LuaJIT does not verify bytecode, which could do anything: text only.
  if (source.starts_with('\x1b')) throw SetupError(ExitCode::bad_usage, path, "is bytecode", "give Lua text");
  if (luaL_loadbufferx(state, source.data(), source.size(), "=config", "t") != 0) refuse(state, path);
  push_block_environment(sandbox, known, later);
  lua_setfenv(state, -2);
  if (lua_pcall(state, 0, 0, 0) != 0) refuse(state, path);
  sandbox.lift_memory_cap();

  LuaBlocks result{path, std::move(source), {}};
  push_blocks(state);
  const int list = lua_gettop(state);
  Reader reader(state);
  for (int i = 1; i <= static_cast<int>(lua_objlen(state, list)); ++i) {
    lua_rawgeti(state, list, i);
    const int entry = lua_gettop(state);
    for (int field = 1; field <= 4; ++field) lua_rawgeti(state, entry, field);
    LuaBlock block{lua_tostring(state, entry + 1),
                   lua_tostring(state, entry + 2),
                   static_cast<int>(lua_tointeger(state, entry + 3)),
                   {}};
    block.content = reader.table(entry + 4, path + ":" + std::to_string(block.line) + ": " + block.kind, 1);
    result.blocks.push_back(std::move(block));
    lua_settop(state, list);
  }
  return result;
}

LuaBlocks read_lua_blocks(const std::string& path, std::span<const LuaBlockKind> known,
                          std::span<const std::string_view> later) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw SetupError(ExitCode::bad_usage, "configuration " + path, std::strerror(errno));
  std::string source{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) throw SetupError(ExitCode::bad_usage, "configuration " + path, "cannot be read");
  return run_lua_blocks(path, std::move(source), known, later);
}

}  // namespace engine::cli
