#include "engine/cli/lua_sandbox.h"

#include <cstdlib>
#include <utility>

#include "engine/base/error.h"

extern "C" {
#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
}

namespace engine::cli {
namespace {

constexpr std::size_t memory_cap_bytes = 16u << 20;
constexpr int instructions_per_hook = 1000;
constexpr unsigned hook_limit = 20'000;  // 20 million instructions: a fraction of a second interpreted

// What set-up code can use. Left out on purpose: everything that reaches files, code or other environments; pcall,
// xpcall and coroutines, which could swallow the instruction limit's error; pattern functions, whose matching runs
// in C where the hook does not count; setmetatable, since data needs none.
struct Allowed {
  const char* library;  // nullptr: the globals themselves
  const char* name;
};
constexpr Allowed allowed[] = {
    {nullptr, "assert"},   {nullptr, "error"},    {nullptr, "ipairs"},   {nullptr, "next"},   {nullptr, "pairs"},
    {nullptr, "select"},   {nullptr, "tonumber"}, {nullptr, "tostring"}, {nullptr, "type"},   {nullptr, "unpack"},
    {"string", "byte"},    {"string", "char"},    {"string", "format"},  {"string", "len"},   {"string", "lower"},
    {"string", "reverse"}, {"string", "sub"},     {"string", "upper"},   {"table", "concat"}, {"table", "insert"},
    {"table", "remove"},   {"math", "abs"},       {"math", "ceil"},      {"math", "floor"},   {"math", "max"},
    {"math", "min"},       {"math", "huge"},      {"math", "fmod"},
};

// The string metatable's __index is reachable from every string ("x"):rep(…): it is given the same short list.
void close_string_metatable(lua_State* state, int library_index) {
  lua_pushliteral(state, "");
  if (lua_getmetatable(state, -1) != 0) {
    lua_getfield(state, library_index, "string");
    lua_setfield(state, -2, "__index");
    lua_pop(state, 1);
  }
  lua_pop(state, 1);
}

}  // namespace

void* LuaSandbox::allocate(void* budget, void* block, std::size_t old_bytes, std::size_t new_bytes) noexcept {
  auto& left = static_cast<Budget*>(budget)->memory_left_bytes;
  if (new_bytes == 0) {
    std::free(block);
    left += old_bytes;
    return nullptr;
  }
  if (new_bytes > old_bytes && new_bytes - old_bytes > left) return nullptr;
  void* const moved = std::realloc(block, new_bytes);
  if (moved != nullptr) left += old_bytes - new_bytes;  // modulo 2^64: right for both directions
  return moved;
}

void LuaSandbox::count_instructions(lua_State* state, lua_Debug* where) {
  void* budget = nullptr;
  lua_getallocf(state, &budget);
  if (static_cast<Budget*>(budget)->hooks_left == 0) {
    lua_getinfo(state, "Sl", where);
    luaL_error(state, "%s:%d: runs for too long: an endless loop?", where->short_src, where->currentline);
  }
  --static_cast<Budget*>(budget)->hooks_left;
}

LuaSandbox::LuaSandbox() : budget_(new Budget{memory_cap_bytes, hook_limit}) {
  state_.reset(lua_newstate(&LuaSandbox::allocate, budget_.get()));
  if (state_ == nullptr) throw SetupError(ExitCode::runtime_failure, "LuaJIT", "no state could be made");
  lua_State* const state = state_.get();
  const std::pair<const char*, lua_CFunction> libraries[] = {
      {"", luaopen_base}, {"string", luaopen_string}, {"table", luaopen_table}, {"math", luaopen_math}};
  for (const auto& [name, open] : libraries) {
    lua_pushcfunction(state, open);
    lua_pushstring(state, name);
    lua_call(state, 1, 0);
  }
  luaJIT_setmode(state, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  lua_sethook(state, &LuaSandbox::count_instructions, LUA_MASKCOUNT, instructions_per_hook);
}

void LuaSandbox::push_library() const {
  lua_State* const state = state_.get();
  lua_newtable(state);
  const int library = lua_gettop(state);
  for (const Allowed& it : allowed) {
    if (it.library == nullptr) {
      lua_getglobal(state, it.name);
      lua_setfield(state, library, it.name);
      continue;
    }
    lua_getfield(state, library, it.library);
    if (lua_isnil(state, -1)) {
      lua_pop(state, 1);
      lua_newtable(state);
      lua_pushvalue(state, -1);
      lua_setfield(state, library, it.library);
    }
    lua_getglobal(state, it.library);
    lua_getfield(state, -1, it.name);
    lua_setfield(state, -3, it.name);
    lua_pop(state, 2);
  }
  close_string_metatable(state, library);
}

}  // namespace engine::cli
