// What the Lua library calls that is too rare for FFI: declarations, logs, JSON text.
//
// Lua C functions with the state as upvalue; called on the thread that the state belongs to. A problem is returned, not
// raised: the library knows at which level of the plugin it belongs.
#include <cstring>
#include <limits>

#include "engine/base/error.h"
#include "plugins/counter.h"
#include "plugins/impl.h"
#include "plugins/json_text.h"
#include "plugins/topk.h"

namespace plugins {
namespace {

State::Impl& self(lua_State* L) { return *static_cast<State::Impl*>(lua_touserdata(L, lua_upvalueindex(1))); }

std::string_view text_at(lua_State* L, int place) {
  std::size_t length = 0;
  const char* text = lua_tolstring(L, place, &length);
  return text != nullptr ? std::string_view(text, length) : std::string_view();
}

std::unique_ptr<Part> make_part(bool counter, const KeySpec& key, std::uint32_t size) {
  if (counter) return std::make_unique<Counter>(key, size);
  return std::make_unique<TopK>(key, size);
}

// The new structure, or nullptr with what is wrong.
Structure* declare(State::Impl& state, bool counter, std::string_view name, std::uint32_t size,
                   const std::vector<std::string>& fields, std::string& problem) {
  Instance& instance = state.instance;
  for (const Structure* known : instance.structures) {
    if (known->name() == name) {
      problem = "the name " + std::string(name) + " is taken";
      return nullptr;
    }
  }
  if (instance.structures.size() == std::numeric_limits<std::uint16_t>::max()) {
    problem = "too many structures";
    return nullptr;
  }
  try {
    const KeySpec key = fields.empty() ? KeySpec::values() : KeySpec::of(fields);
    // A dry instance is never swapped: no spare.
    auto spare = state.dry ? nullptr : make_part(counter, key, size);
    instance.owned.push_back(
        std::make_unique<Structure>(std::string(name), make_part(counter, key, size), std::move(spare)));
    instance.structures.push_back(instance.owned.back().get());
    return instance.structures.back();
  } catch (const engine::SetupError& error) {
    problem = error.what();
  } catch (const std::bad_alloc&) {
    problem = "not enough memory";
  }
  return nullptr;
}

// declare_structure(kind, name, size, fields or nil) -> handle | nil, problem
int declare_structure(lua_State* L) {
  std::vector<std::string> fields;
  if (lua_istable(L, 4)) {
    for (std::size_t i = 1; i <= lua_objlen(L, 4); ++i) {
      lua_rawgeti(L, 4, static_cast<int>(i));
      fields.emplace_back(text_at(L, -1));
      lua_pop(L, 1);
    }
  }
  std::string problem;
  State::Impl& state = self(L);
  if (!state.loading) problem = "structures are declared while the plugin loads or in on_start";
  Structure* structure = problem.empty() ? declare(state, text_at(L, 1) == "counter", text_at(L, 2),
                                                   static_cast<std::uint32_t>(lua_tonumber(L, 3)), fields, problem)
                                         : nullptr;
  if (structure == nullptr) {
    lua_pushnil(L);
    lua_pushlstring(L, problem.data(), problem.size());
    return 2;
  }
  lua_pushlightuserdata(L, structure);
  return 1;
}

FieldType type_of(std::string_view name) {
  constexpr std::string_view names[] = {"u8", "u16", "u32", "u64", "i64", "f64", "bool", "ip", "mac", "time", "string"};
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if (names[i] == name) return static_cast<FieldType>(i);
  }
  return FieldType::string;
}

// declare_record(name, {{name=, type=, optional=}...}) -> schema | nil, problem
int declare_record(lua_State* L) {
  State::Impl& state = self(L);
  auto& schemas = state.instance.schemas;
  const std::string_view name = text_at(L, 1);
  const char* problem = nullptr;
  if (!state.loading) problem = "records are declared while the plugin loads or in on_start";
  for (const RecordSchema& known : schemas) {
    if (known.name == name) problem = "its name is taken";
  }
  if (schemas.size() == std::numeric_limits<std::uint16_t>::max()) problem = "too many records";
  if (problem != nullptr) {
    lua_pushnil(L);
    lua_pushstring(L, problem);
    return 2;
  }
  RecordSchema schema{std::string(name), {}};
  for (std::size_t i = 1; i <= lua_objlen(L, 2); ++i) {
    lua_rawgeti(L, 2, static_cast<int>(i));
    lua_getfield(L, -1, "name");
    lua_getfield(L, -2, "type");
    lua_getfield(L, -3, "optional");
    schema.fields.push_back({std::string(text_at(L, -3)), type_of(text_at(L, -2)), lua_toboolean(L, -1) != 0});
    lua_pop(L, 4);
  }
  schemas.push_back(std::move(schema));
  lua_pushinteger(L, static_cast<lua_Integer>(schemas.size() - 1));
  return 1;
}

int log_message(lua_State* L) {
  self(L).log(static_cast<int>(lua_tointeger(L, 1)), text_at(L, 2));
  return 0;
}

int quote(lua_State* L) {
  std::string& quoted = self(L).quoted;
  quoted = json_quoted(text_at(L, 1));
  lua_pushlstring(L, quoted.data(), quoted.size());
  return 1;
}

}  // namespace

void State::Impl::register_host_functions() {
  constexpr luaL_Reg functions[] = {{"declare_structure", declare_structure},
                                    {"declare_record", declare_record},
                                    {"log", log_message},
                                    {"quote", quote}};
  lua_newtable(L);
  for (const luaL_Reg& function : functions) {
    lua_pushlightuserdata(L, this);
    lua_pushcclosure(L, function.func, 1);
    lua_setfield(L, -2, function.name);
  }
  lua_setfield(L, kCore, "host");
}

}  // namespace plugins
