#include "engine/cli/lua_data.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "engine/base/error.h"
#include "engine/cli/lua_sandbox.h"
#include "engine/cli/options.h"

extern "C" {
#include <lauxlib.h>
}

namespace engine::cli {
namespace {

constexpr int max_depth = 8;

// Registry keys: the addresses count, not the contents.
const char blocks_key = 0;

// Everything below runs inside Lua, where an error is a longjmp: no C++ object with a destructor lives here.

// blocks[#blocks + 1] = {kind, name, line, content}; the content is at `content_index`, 0 for none.
int remember_block(lua_State* state, const char* kind, const char* name, int content_index) {
  lua_Debug caller{};
  if (lua_getstack(state, 1, &caller) == 1) lua_getinfo(state, "l", &caller);
  lua_pushlightuserdata(state, const_cast<char*>(&blocks_key));
  lua_rawget(state, LUA_REGISTRYINDEX);
  lua_createtable(state, 4, 0);
  lua_pushstring(state, kind);
  lua_rawseti(state, -2, 1);
  lua_pushstring(state, name);
  lua_rawseti(state, -2, 2);
  lua_pushinteger(state, caller.currentline);
  lua_rawseti(state, -2, 3);
  if (content_index != 0) {
    lua_pushvalue(state, content_index);
  } else {
    lua_newtable(state);
  }
  lua_rawseti(state, -2, 4);
  const int place = static_cast<int>(lua_objlen(state, -2)) + 1;
  lua_rawseti(state, -2, place);
  lua_pop(state, 1);
  return place;
}

int plain_block(lua_State* state) {
  const char* const kind = lua_tostring(state, lua_upvalueindex(1));
  if (lua_type(state, 1) != LUA_TTABLE) return luaL_error(state, "%s: write %s { key = value, ... }", kind, kind);
  remember_block(state, kind, "", 1);
  return 0;
}

// The second half of `plugin "file" { … }`: fills the block that the first half remembered.
int fill_block(lua_State* state) {
  const char* const kind = lua_tostring(state, lua_upvalueindex(1));
  if (lua_type(state, 1) != LUA_TTABLE) return luaL_error(state, "%s: what follows the name must be a table", kind);
  lua_Debug caller{};
  if (lua_getstack(state, 1, &caller) == 1) lua_getinfo(state, "l", &caller);
  lua_pushlightuserdata(state, const_cast<char*>(&blocks_key));
  lua_rawget(state, LUA_REGISTRYINDEX);
  lua_rawgeti(state, -1, static_cast<int>(lua_tointeger(state, lua_upvalueindex(2))));
  lua_pushinteger(state, caller.currentline);
  lua_rawseti(state, -2, 3);
  lua_pushvalue(state, 1);
  lua_rawseti(state, -2, 4);
  return 0;
}

int named_block(lua_State* state) {
  const char* const kind = lua_tostring(state, lua_upvalueindex(1));
  if (lua_type(state, 1) != LUA_TSTRING) return luaL_error(state, "%s: needs a name: %s \"...\" { ... }", kind, kind);
  const int place = remember_block(state, kind, lua_tostring(state, 1), 0);
  lua_pushstring(state, kind);
  lua_pushinteger(state, place);
  lua_pushcclosure(state, fill_block, 2);
  return 1;
}

int later_block(lua_State* state) {
  return luaL_error(state, "%s: is not available yet", lua_tostring(state, lua_upvalueindex(1)));
}

// Reading or setting a global that does not exist; the upvalue is the words that do exist, one a line.
int unknown_global(lua_State* state) {
  const char* const name = lua_type(state, 2) == LUA_TSTRING ? lua_tostring(state, 2) : "?";
  const std::string_view word = name;
  const char* words = lua_tostring(state, lua_upvalueindex(1));
  const std::string_view setting = lua_toboolean(state, lua_upvalueindex(2)) ? "set" : "";
  std::string_view candidates[16];
  std::size_t n = 0;
  for (std::string_view rest = words; !rest.empty() && n < 16;) {
    const std::size_t end = rest.find('\n');
    candidates[n++] = rest.substr(0, end);
    rest.remove_prefix(std::min(end, rest.size() - 1) + 1);
  }
  const std::string_view near = closest(word, {candidates, n});
  if (setting == "set") {
    if (near == word) return luaL_error(state, "%s: is a block; write %s { ... } without '='", name, name);
    return luaL_error(state, "%s: setting a global does nothing here; write local %s = ...", name, name);
  }
  if (near.empty()) return luaL_error(state, "%s: unknown block or name", name);
  char suggestion[64] = {};
  near.copy(suggestion, sizeof suggestion - 1);
  return luaL_error(state, "%s: unknown block or name; did you mean %s?", name, suggestion);
}

// C++ again: reading values raises no Lua error once the memory cap is lifted, so C++ objects may live here.
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

void push_environment(const LuaSandbox& sandbox, std::span<const LuaBlockKind> known,
                      std::span<const std::string_view> later) {
  lua_State* const state = sandbox.state();
  sandbox.push_library();
  std::string words;
  for (const LuaBlockKind& block : known) {
    lua_pushlstring(state, block.kind.data(), block.kind.size());
    lua_pushvalue(state, -1);
    lua_pushcclosure(state, block.named ? named_block : plain_block, 1);
    lua_rawset(state, -3);
    words.append(block.kind).append("\n");
  }
  for (const std::string_view kind : later) {
    lua_pushlstring(state, kind.data(), kind.size());
    lua_pushvalue(state, -1);
    lua_pushcclosure(state, later_block, 1);
    lua_rawset(state, -3);
  }
  // The environment proper is an empty proxy: reads fall through to the library, and each write is seen.
  lua_newtable(state);
  lua_newtable(state);
  lua_pushlstring(state, words.data(), words.size());
  lua_pushboolean(state, 1);
  lua_pushcclosure(state, unknown_global, 2);
  lua_setfield(state, -2, "__newindex");
  lua_pushvalue(state, -3);
  lua_setfield(state, -2, "__index");
  lua_newtable(state);
  lua_pushlstring(state, words.data(), words.size());
  lua_pushboolean(state, 0);
  lua_pushcclosure(state, unknown_global, 2);
  lua_setfield(state, -2, "__index");
  lua_setmetatable(state, -4);
  lua_setmetatable(state, -2);
  lua_remove(state, -2);
}

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
  lua_pushlightuserdata(state, const_cast<char*>(&blocks_key));
  lua_newtable(state);
  lua_rawset(state, LUA_REGISTRYINDEX);
  // LuaJIT does not verify bytecode, which could do anything: text only.
  if (source.starts_with('\x1b')) throw SetupError(ExitCode::bad_usage, path, "is bytecode", "give Lua text");
  if (luaL_loadbufferx(state, source.data(), source.size(), "=config", "t") != 0) refuse(state, path);
  push_environment(sandbox, known, later);
  lua_setfenv(state, -2);
  if (lua_pcall(state, 0, 0, 0) != 0) refuse(state, path);
  sandbox.lift_memory_cap();

  LuaBlocks result{path, std::move(source), {}};
  lua_pushlightuserdata(state, const_cast<char*>(&blocks_key));
  lua_rawget(state, LUA_REGISTRYINDEX);
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
