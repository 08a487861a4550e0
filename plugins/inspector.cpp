#include "plugins/inspector.h"

#include <ctime>
#include <lua.hpp>
#include <memory>
#include <stdexcept>

#include "plugins/embedded.h"
#include "plugins/files.h"
#include "plugins/machine_code.h"

namespace plugins {
namespace {

void check(lua_State* L, int status) {
  if (status != 0) throw std::runtime_error(std::string("inspect: ") + lua_tostring(L, -1));
}

std::string text_of(lua_State* L, const char* field) {
  lua_getfield(L, -1, field);
  const char* text = lua_tostring(L, -1);
  std::string result = text != nullptr ? text : "";
  lua_pop(L, 1);
  return result;
}

std::uint64_t number_of(lua_State* L, const char* field) {
  lua_getfield(L, -1, field);
  const auto result = static_cast<std::uint64_t>(lua_tonumber(L, -1));
  lua_pop(L, 1);
  return result;
}

bool truth_of(lua_State* L, const char* field) {
  lua_getfield(L, -1, field);
  const bool result = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return result;
}

int clock_ns(lua_State* L) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec));
  return 1;
}

// LuaJIT's texts, from where its own `require` finds them: they belong to the installed library (libluajit-5.1-common).
std::string texts_path() {
  const std::unique_ptr<lua_State, void (*)(lua_State*)> state(luaL_newstate(), lua_close);
  if (state == nullptr) throw std::bad_alloc();
  luaL_openlibs(state.get());
  check(state.get(), luaL_dostring(state.get(), "return package.searchpath('jit.vmdef', package.path) or ''"));
  return lua_tostring(state.get(), -1);
}

// Pushes the table of LuaJIT's texts, or nil.
void push_texts(lua_State* L) {
  std::string text;
  const std::string path = texts_path();
  if (path.empty() || read_text(path, text) != 0) return lua_pushnil(L);
  check(L, luaL_loadbufferx(L, text.data(), text.size(), "=jit/vmdef", "t"));
  check(L, lua_pcall(L, 0, 1, 0));
}

// Pushes what a library's opening function leaves, without the global that it makes.
void push_debug(lua_State* L) {
  lua_pushcfunction(L, luaopen_debug);
  lua_pushstring(L, LUA_DBLIBNAME);
  check(L, lua_pcall(L, 1, 1, 0));
  lua_pushnil(L);
  lua_setglobal(L, LUA_DBLIBNAME);
}

// luaopen_jit leaves jit.util for require (lj_lib_prereg in lib_jit.c).
void push_jit_util(lua_State* L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
  lua_getfield(L, -1, "jit.util");
  lua_remove(L, -2);
  check(L, lua_pcall(L, 0, 1, 0));
}

std::size_t held_bytes(lua_State* L) {
  lua_gc(L, LUA_GCCOLLECT, 0);
  return static_cast<std::size_t>(lua_gc(L, LUA_GCCOUNT, 0)) * 1024 +
         static_cast<std::size_t>(lua_gc(L, LUA_GCCOUNTB, 0));
}

}  // namespace

void Inspector::library_loaded(lua_State* L) {
  L_ = L;
  machine_code_ = current_machine_code;
  const std::size_t before_bytes = held_bytes(L);
  for (const EmbeddedChunk& chunk : embedded_tools()) {
    if (chunk.name != "inspect/inspect") continue;
    check(L, luaL_loadbuffer(L, chunk.code.data(), chunk.code.size(), "=engine/inspect"));
    lua_pushvalue(L, 1);
    push_debug(L);
    push_jit_util(L);
    lua_pushcfunction(L, clock_ns);
    push_texts(L);
    check(L, lua_pcall(L, 5, 1, 0));
    inspect_ = luaL_ref(L, LUA_REGISTRYINDEX);
    own_bytes_ = held_bytes(L) - before_bytes;
    return;
  }
}

// Leaves the results on the stack. Lua that runs may make or flush machine code, which is the state's.
void Inspector::call(const char* function, const char* argument, int results) {
  const InState inside(*machine_code_);
  lua_rawgeti(L_, LUA_REGISTRYINDEX, inspect_);
  lua_getfield(L_, -1, function);
  lua_remove(L_, -2);
  if (argument != nullptr) lua_pushstring(L_, argument);
  check(L_, lua_pcall(L_, argument != nullptr ? 1 : 0, results, 0));
}

void Inspector::warmed_up() { call("warmed_up", nullptr, 0); }

std::vector<TraceAbort> Inspector::aborts() {
  call("aborts", nullptr, 1);
  std::vector<TraceAbort> found;
  for (std::size_t i = 1; i <= lua_objlen(L_, -1); ++i) {
    lua_rawgeti(L_, -1, static_cast<int>(i));
    found.push_back({text_of(L_, "place"), text_of(L_, "reason"), text_of(L_, "advice"), number_of(L_, "times"),
                     number_of(L_, "late"), truth_of(L_, "given_up")});
    lua_pop(L_, 1);
  }
  lua_pop(L_, 1);
  return found;
}

double Inspector::number(const char* function, const char* argument, double if_nil) {
  call(function, argument, 1);
  const double result = lua_isnil(L_, -1) ? if_nil : lua_tonumber(L_, -1);
  lua_pop(L_, 1);
  return result;
}

std::uint64_t Inspector::traces(const char* what) { return static_cast<std::uint64_t>(number("count", what, 0)); }
double Inspector::start_ns() { return number("start_ns", nullptr, -1); }

void Inspector::seize() { call("seize", nullptr, 0); }

std::vector<Kept> Inspector::kept() {
  call("kept", nullptr, 1);
  std::vector<Kept> found;
  for (std::size_t i = 1; i <= lua_objlen(L_, -1); ++i) {
    lua_rawgeti(L_, -1, static_cast<int>(i));
    found.push_back({text_of(L_, "what"), text_of(L_, "name"), truth_of(L_, "is_key")});
    lua_pop(L_, 1);
  }
  lua_pop(L_, 1);
  return found;
}

void Inspector::collect_garbage() {
  const InState inside(*machine_code_);
  lua_gc(L_, LUA_GCCOLLECT, 0);
  lua_gc(L_, LUA_GCSTOP, 0);
}

}  // namespace plugins
