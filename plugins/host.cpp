// What the Lua library calls that is too rare for FFI: declarations, logs, JSON text.
//
// Lua C functions with the state as upvalue; called on the thread that the state belongs to. A problem is returned, not
// raised: the library knows at which level of the plugin it belongs.
#include <cstring>
#include <new>

#include "engine/base/error.h"
#include "plugins/impl.h"
#include "plugins/json_text.h"
#include "plugins/kinds.h"
#include "plugins/pages.h"
#include "plugins/watchdog.h"

namespace plugins {
namespace {

// Each is a few mappings, of which a process has 65,530 (vm.max_map_count).
constexpr std::size_t kMostStructures = 128;

State::Impl& self(lua_State* L) { return *static_cast<State::Impl*>(lua_touserdata(L, lua_upvalueindex(1))); }

std::string_view text_at(lua_State* L, int place) {
  std::size_t length = 0;
  const char* text = lua_tolstring(L, place, &length);
  return text != nullptr ? std::string_view(text, length) : std::string_view();
}

FieldType type_of(std::string_view name) {
  constexpr std::string_view names[] = {"u8", "u16", "u32", "u64", "i64", "f64", "bool", "ip", "mac", "time", "string"};
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if (names[i] == name) return static_cast<FieldType>(i);
  }
  return FieldType::string;
}

// The string, number or truth under this key of the table on top of the stack.
std::string_view member(lua_State* L, const char* key) {
  lua_getfield(L, -1, key);
  const std::string_view value = text_at(L, -1);
  lua_pop(L, 1);  // the table keeps it alive
  return value;
}
bool member_truth(lua_State* L, const char* key) {
  lua_getfield(L, -1, key);
  const bool value = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return value;
}
double member_number(lua_State* L, const char* key) {
  lua_getfield(L, -1, key);
  const double value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return value;
}

// Calls take() for each entry of the list at this place of the stack, with the entry on top.
template <typename Take>
void each(lua_State* L, int place, const Take& take) {
  if (!lua_istable(L, place)) return;
  for (std::size_t i = 1; i <= lua_objlen(L, place); ++i) {
    lua_rawgeti(L, place, static_cast<int>(i));
    take();
    lua_pop(L, 1);
  }
}

// {{name=, type=, optional=, max_bytes=}...}
std::vector<RecordField> fields_at(lua_State* L, int place) {
  std::vector<RecordField> fields;
  each(L, place, [&] {
    fields.push_back({std::string(member(L, "name")), type_of(member(L, "type")), member_truth(L, "optional"),
                      static_cast<std::uint32_t>(member_number(L, "max_bytes"))});
  });
  return fields;
}

// The options table at place 2; what the library gives under other names than these is an option of the kind.
Declaration declaration_at(lua_State* L, const State::Impl& state) {
  constexpr int kOptions = 2;
  Declaration declaration;
  declaration.plugin = &state.spec;
  declaration.dry = state.dry;
  std::vector<std::string> key;
  lua_pushnil(L);
  while (lua_next(L, kOptions) != 0) {
    const int value = lua_gettop(L);
    const std::string name(text_at(L, -2));
    if (name == "key") {
      each(L, value, [&] { key.emplace_back(text_at(L, -1)); });
    } else if (name == "fields") {
      declaration.fields = fields_at(L, value);
    } else if (name == "items") {
      each(L, value, [&] { declaration.items.emplace_back(member(L, "text"), member(L, "value")); });
    } else if (name == "name") {
      declaration.name = text_at(L, value);
    } else if (lua_type(L, value) == LUA_TNUMBER) {
      declaration.options.emplace_back(name, lua_tonumber(L, value));
    } else if (lua_isboolean(L, value)) {
      declaration.options.emplace_back(name, lua_toboolean(L, value) != 0);
    } else if (lua_type(L, value) == LUA_TSTRING) {
      declaration.options.emplace_back(name, std::string(text_at(L, value)));
    }
    lua_settop(L, value - 1);
  }
  if (!key.empty()) declaration.key = KeySpec::of(key);
  return declaration;
}

// The handle of the new structure; throws what is wrong.
Handle* declare(State::Impl& state, std::string_view kind, const Declaration& declaration) {
  Instance& instance = state.instance;
  if (instance.structures.size() == kMostStructures)
    throw engine::SetupError(engine::ExitCode::bad_usage, "structures",
                             "a plugin has at most " + std::to_string(kMostStructures));
  const Reserving reserving(instance.reservable_bytes);
  for (const Structure* known : instance.structures) {
    if (!declaration.name.empty() && known->name() == declaration.name)
      throw engine::SetupError(engine::ExitCode::bad_usage, "'" + declaration.name + "'", "the name is taken");
  }
  Made made = make_structure(kind, declaration);
  std::uint16_t number = 0;
  if (state.dry) {
    made.spare.reset();  // never swapped
  } else if (!declaration.name.empty()) {
    const auto given = state.registry().structure(declaration.name, made.active->shape());
    if (!given) throw engine::SetupError(engine::ExitCode::bad_usage, declaration.name, "too many structures");
    number = *given;
  }
  instance.owned.push_back(std::make_unique<Structure>(declaration.name, std::move(made.active), std::move(made.spare),
                                                       std::move(made.table), number));
  instance.structures.push_back(instance.owned.back().get());
  instance.handles.push_back(std::make_unique<Handle>());
  Handle* handle = instance.handles.back().get();
  handle->pending = &state.shared.pending;
  if (Table* table = instance.structures.back()->table())
    table->seat(state.shared.epoch_ns, state.bound.directions_split);
  instance.structures.back()->bind(handle);
  return handle;
}

// What is wrong, on the stack behind nil; nothing with a destructor may live when Lua allocates.
int refuse(lua_State* L, const std::string& problem) {
  lua_pushnil(L);
  lua_pushlstring(L, problem.data(), problem.size());
  return 2;
}

// declare_structure(kind, options) -> handle | nil, problem
int declare_structure(lua_State* L) {
  State::Impl& state = self(L);
  if (!state.loading) return refuse(L, "structures are declared while the plugin loads or in on_start");
  try {
    Handle* handle = declare(state, text_at(L, 1), declaration_at(L, state));
    lua_pushlightuserdata(L, handle);
    return 1;
  } catch (const engine::SetupError& error) {
    state.quoted = error.what();
  } catch (const std::bad_alloc&) {
    state.quoted =
        "not enough memory; a plugin's structures may take half of the machine's, by their max, on each worker";
  }
  return refuse(L, state.quoted);
}

// declare_record(name, {{name=, type=, optional=}...}) -> number | nil, problem
int declare_record(lua_State* L) {
  State::Impl& state = self(L);
  auto& schemas = state.instance.schemas;
  if (!state.loading) return refuse(L, "records are declared while the plugin loads or in on_start");
  for (const RecordSchema& known : schemas) {
    if (known.name == text_at(L, 1)) return refuse(L, "its name is taken");
  }
  schemas.push_back({std::string(text_at(L, 1)), fields_at(L, 2)});
  const auto number = state.dry ? std::uint16_t{0} : state.registry().record(schemas.back());
  if (!number) return refuse(L, "too many records");
  lua_pushinteger(L, *number);
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
  constexpr luaL_Reg functions[] = {{"declare_structure", held<declare_structure>},
                                    {"declare_record", held<declare_record>},
                                    {"log", held<log_message>},
                                    {"quote", held<quote>}};
  lua_newtable(L);
  for (const luaL_Reg& function : functions) {
    lua_pushlightuserdata(L, this);
    lua_pushcclosure(L, function.func, 1);
    lua_setfield(L, -2, function.name);
  }
  lua_setfield(L, kCore, "host");
}

}  // namespace plugins
