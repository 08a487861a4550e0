// The description of the interface against the library as it runs, in both directions; and what is made of it.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <lua.hpp>
#include <memory>

#include "plugins/author.h"
#include "plugins/embedded.h"
#include "plugins/runtime.h"
#include "tests/plugins/lab.h"

namespace {

// Runs a check, written in Lua, in a real state: `core` is the library's table, `api` the description, `env` what a
// plugin finds as its globals. It gives a text: what is wrong, one a line.
class CompareWithApi final : public plugins::Observer {
 public:
  explicit CompareWithApi(std::string code) : code_(std::move(code)) {}
  std::string wrong;

  void library_loaded(lua_State* L) override {
    const int top = lua_gettop(L);
    luaopen_debug(L);
    lua_settop(L, top);
    lua_newtable(L);
    const int api = lua_gettop(L);
    for (const plugins::EmbeddedChunk& chunk : plugins::embedded_tools()) {
      if (!chunk.name.starts_with("api/") || chunk.name == "api/reference" || chunk.name == "api/definitions" ||
          chunk.name == "api/editor")
        continue;
      ASSERT_EQ(luaL_loadbuffer(L, chunk.code.data(), chunk.code.size(), "=api"), 0);
      lua_pushvalue(L, api);
      ASSERT_EQ(lua_pcall(L, 1, 0, 0), 0) << lua_tostring(L, -1);
    }
    lua_getfield(L, api, "finish");
    ASSERT_EQ(lua_pcall(L, 0, 0, 0), 0);
    ASSERT_EQ(luaL_loadstring(L, code_.c_str()), 0) << lua_tostring(L, -1);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, api);
    ASSERT_EQ(lua_pcall(L, 2, 1, 0), 0) << lua_tostring(L, -1);
    wrong = lua_tostring(L, -1);
    lua_settop(L, top);
  }

 private:
  std::string code_;
};

// Gives what is said by `code`; `env` is what a plugin finds as its globals.
std::string compare(const std::string& code) {
  std::vector<engine_packet> packets(257);
  std::vector<std::uint8_t> memory(65536);
  engine_outbox outbox{memory.data(), 0, 65536, 0, 0};
  CompareWithApi observer(R"(
    local core, api = ...
    local wrong = {}
    local function say(...) wrong[#wrong + 1] = table.concat({ ... }) end
    local function both(what, described, present)
      for name in pairs(described) do
        if not present[name] then say(what, ': ', name, ' is described but not there') end
      end
      for name in pairs(present) do
        if not described[name] then say(what, ': ', name, ' is there but not described') end
      end
    end
    local function set(names)
      local result = {}
      for _, name in ipairs(names) do result[name] = true end
      return result
    end
    local function upvalue(func, wanted)
      for i = 1, 60 do
        local name, value = debug.getupvalue(func, i)
        if name == wanted then return value end
      end
      error('no upvalue ' .. wanted)
    end
    local chunk = loadstring('on_tick = print; engine.record { name = "x", { "a", "u8" } }')
    core.instantiate(chunk, 0)
    local env = getfenv(chunk)
    )" + code + "\nreturn table.concat(wrong, '\\n')");
  plugins::PluginSpec spec;
  spec.name = "api";
  spec.code = "function on_tick() end";
  plugins::Binding binding;
  binding.packets = packets.data();
  binding.outbox = &outbox;
  binding.observer = &observer;
  const plugins::State state(spec, binding);
  return observer.wrong;
}

TEST(Api, SettingsAndHooksAreThoseThatAPluginMaySet) {
  EXPECT_EQ(compare(R"lua(
    local described = {}
    for name in pairs(api.settings) do described[name] = true end
    for name in pairs(api.hooks) do described[name] = true end
    both('settings', described, upvalue(upvalue(core.instantiate, 'set_global'), 'settings'))
  )lua"),
            "");
}

TEST(Api, OnStartGetsWhatIsDescribed) {
  lab::Lab lab;
  const std::string error = lab.load_error(
      "function on_start(info) local names = {} for name in pairs(info) do names[#names + 1] = name end\n"
      "table.sort(names) error('has ' .. table.concat(names, ' '), 0) end");
  const std::string told = compare(R"lua(
    local names = {}
    for name in pairs(api.classes['engine.info'].members) do
      if name ~= 'saved' then names[#names + 1] = name end -- only after a reload
    end
    table.sort(names)
    say('has ', table.concat(names, ' '))
  )lua");
  EXPECT_NE(error.find(told), std::string::npos) << error << "\n" << told;
}

TEST(Api, GlobalsAreThoseOfAPluginsEnvironment) {
  EXPECT_EQ(compare(R"lua(
    local described = {}
    for _, list in ipairs { api.globals, api.libraries, api.base[''] } do
      for name in pairs(list) do described[name] = true end
    end
    for name in pairs(api.base) do
      if name ~= '' then described[name] = true end
    end
    both('globals', described, env)
    for name, members in pairs(api.base) do
      if name ~= '' then both(name, members, env[name]) end
    end
    for name, members in pairs(api.libraries) do both(name, members, env[name]) end
  )lua"),
            "");
}

TEST(Api, MembersAreThoseOfTheLibrarysObjects) {
  EXPECT_EQ(compare(R"lua(
    local of = {}
    for _, class in pairs(api.classes) do
      if class.what then of[class.what] = class.members end
    end
    -- A plugin has its own copy of string; the metatable of strings has another.
    of['a string'] = api.base.string
    for name, members in pairs(api.libraries) do
      if name ~= 'engine' then of[name] = members end
    end
    for what in pairs(core.members) do
      if not of[what] then say(what, ' is not described') end
    end
    for what, members in pairs(of) do
      if core.members[what] then both(what, members, set(core.members[what])) else say(what, ' is not there') end
    end
  )lua"),
            "");
}

TEST(Api, OptionsAreThoseThatDeclarationsTake) {
  EXPECT_EQ(compare(R"lua(
    for name, entry in pairs(api.libraries.engine) do
      local class = entry.call and entry.returns and api.classes[entry.returns]
      if class and class.takes_options and name ~= 'record' then
        pcall(env.engine[name], {}) -- fails without its name, after it has said what it knows
        if core.option_names[name] then both(name .. ' options', class.options, set(core.option_names[name]))
        else say(name, ' does not check its options') end
      end
    end
  )lua"),
            "");
}

TEST(Api, KeyFieldsAreThoseThatTheEngineKnows) {
  EXPECT_EQ(compare(R"lua(
    local described = {}
    for _, alias in ipairs(api.aliases) do
      if alias.name == 'engine.key_field' then
        for name in alias.type:gmatch('"([%w_]+)"') do described[name] = true end
      end
    end
    both('key fields', described, set(core.key_field_names))
  )lua"),
            "");
}

TEST(Api, TheComparisonFindsWhatIsMissing) {
  EXPECT_EQ(compare("both('x', { a = 1, b = 1 }, { b = 1, c = 1 })"),
            "x: a is described but not there\nx: c is there but not described");
}

std::string content_of(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(Api, TheReferenceInTheRepositoryIsTheGeneratedOne) {
  EXPECT_EQ(content_of(ENGINE_ROOT "/plugins/REFERENCE.md"), plugins::reference())
      << "make it anew: engine check --reference > plugins/REFERENCE.md";
}

// What the plugin for LuaLS inserts, as LuaLS would apply it.
TEST(Api, TheEditorsPluginTypesTheHooksParameters) {
  const std::unique_ptr<lua_State, void (*)(lua_State*)> state(luaL_newstate(), lua_close);
  lua_State* L = state.get();
  luaL_openlibs(L);
  const std::string code = plugins::editor_plugin() + R"lua(
    local text = 'local x\nfunction on_packet(packet) end\nfunction on_tick() end\n---@param now number\n'
      .. 'function on_tick(now) end\nfunction on_batch ( b ) end\nlocal function on_stop(p) end\nfunction other(p) end'
    local diffs = OnSetText('', text)
    for i = #diffs, 1, -1 do
      local d = diffs[i]
      assert(d.finish == d.start - 1)
      text = text:sub(1, d.start - 1) .. d.text .. text:sub(d.start)
    end
    return text)lua";
  ASSERT_EQ(luaL_dostring(L, code.c_str()), 0) << lua_tostring(L, -1);
  EXPECT_STREQ(lua_tostring(L, -1),
               "local x\n---@param packet engine.packet\nfunction on_packet(packet) end\nfunction on_tick() end\n"
               "---@param now number\nfunction on_tick(now) end\n---@param b engine.batch\nfunction on_batch ( b ) "
               "end\nlocal function on_stop(p) end\nfunction other(p) end");
}

TEST(Api, TheDefinitionsNameEverything) {
  EXPECT_EQ(compare("local text = [=====[" + plugins::definitions() + R"lua(]=====]
    local function find(what, name, ...)
      for _, form in ipairs { ... } do
        if text:find(form, 1, true) then return end
      end
      say(what, ' lacks ', name)
    end
    for _, list in ipairs { api.settings, api.hooks, api.globals } do
      for name in pairs(list) do find('globals', name, '\n' .. name .. ' = ', '\nfunction ' .. name .. '(') end
    end
    for library, members in pairs(api.libraries) do
      find('globals', library, '\n' .. library .. ' = {}')
      for name in pairs(members) do find(library, name, 'function ' .. library .. '.' .. name .. '(', '---@field ' .. name) end
    end
    for _, class in pairs(api.classes) do
      local variable = class.name:gsub('%.', '_')
      find('classes', class.name, '---@class ' .. class.name .. '\n')
      for name, entry in pairs(class.members) do
        if entry.call then find(class.name, name, 'function ' .. variable .. ':' .. name .. '(')
        else find(class.name, name, '---@field ' .. name .. ' ', '---@field ' .. name .. '? ') end
      end
      for name in pairs(class.options) do find(class.name, name, '---@field ' .. name .. ' ', '---@field ' .. name .. '? ') end
    end
  )lua"),
            "");
}

// LuaLS is in no package: it is not run here.
TEST(Api, TheDefinitionsAreLuaThatNamesEverything) {
  const std::string text = plugins::definitions();
  const std::unique_ptr<lua_State, void (*)(lua_State*)> state(luaL_newstate(), lua_close);
  lua_State* L = state.get();
  ASSERT_EQ(luaL_loadbuffer(L, text.data(), text.size(), "=definitions"), 0) << lua_tostring(L, -1);
  lua_newtable(L);
  lua_newtable(L);
  lua_setfield(L, -2, "table");
  lua_setfenv(L, -2);
  EXPECT_EQ(lua_pcall(L, 0, 0, 0), 0) << lua_tostring(L, -1);
  for (const char* expected :
       {"---@meta\n", "---@type fun(p: engine.packet)\non_packet = nil\n", "---@class engine.packet\n",
        "---@field src engine.address ", "---@param off integer\n---@param len? integer\n---@return engine.view?\n",
        "function engine_packet:view(off, len) end\n", "function engine.topk(options) end\n",
        "---@overload fun(self: engine.counter, key: engine.key, n?: integer)\nfunction engine_counter:add(p) end\n",
        "---@field k? integer ", "---@alias engine.key_field \"src\"|", "function net(text) end\n",
        "---@overload fun(text: string): engine.address\nip = {}\n", "function ip.parse(p) end\n"}) {
    EXPECT_NE(text.find(expected), std::string::npos) << expected;
  }
}

}  // namespace
