#include "engine/cli/lua_blocks.h"

#include <algorithm>

#include "engine/cli/options.h"

extern "C" {
#include <lauxlib.h>
}

namespace engine::cli {
namespace {

// Registry keys: the addresses count, not the contents.
const char blocks_key = 0;

// Everything up to the namespace's end runs inside Lua, where an error is a longjmp: no C++ object with a destructor
// lives here.

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

}  // namespace

void push_block_environment(const LuaSandbox& sandbox, std::span<const LuaBlockKind> known,
                            std::span<const std::string_view> later) {
  lua_State* const state = sandbox.state();
  lua_pushlightuserdata(state, const_cast<char*>(&blocks_key));
  lua_newtable(state);
  lua_rawset(state, LUA_REGISTRYINDEX);
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

void push_blocks(lua_State* state) {
  lua_pushlightuserdata(state, const_cast<char*>(&blocks_key));
  lua_rawget(state, LUA_REGISTRYINDEX);
}

}  // namespace engine::cli
