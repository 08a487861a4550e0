// How a state comes to be: libraries, the runtime's own Lua code, the plugin, the warm-up, on_start. All of it is
// set-up on the main thread and throws engine::SetupError.
#include <cerrno>
#include <cstring>
#include <exception>

#include "engine/base/error.h"
#include "plugins/embedded.h"
#include "plugins/files.h"
#include "plugins/impl.h"
#include "plugins/key.h"
#include "plugins/native_groups.h"
#include "plugins/watchdog.h"

namespace plugins {
namespace {

constexpr std::size_t kLeastMemory_bytes = 1u << 20;

struct OutOfMemory {};

// What runs outside of a protected call can still meet the memory's cap. LuaJIT would exit the process after this
// function; it is compiled with unwind tables, so leaving by an exception is sound here.
int panic(lua_State*) { throw OutOfMemory{}; }

// load_module(name) -> chunk | nil, problem
int load_module(lua_State* L) {
  auto& state = *static_cast<State::Impl*>(lua_touserdata(L, lua_upvalueindex(1)));
  const std::string path = file_beside(state.spec.path, lua_tostring(L, 1));
  std::string text;
  const int error = read_source(state.spec, path, text);
  if (error != 0) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path.c_str(), std::strerror(error));
    return 2;
  }
  if (luaL_loadbufferx(L, text.data(), text.size(), ("@" + path).c_str(), "t") == 0) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

// Chunks are loaded once per state: each instance runs the same prototypes.
constexpr char kCacheModules[] =
    "local core, load = ... local chunks = {} "
    "core.load_module = function(name) "
    "  if chunks[name] then return chunks[name] end "
    "  local chunk, problem = load(name) chunks[name] = chunk return chunk, problem end";

}  // namespace

State::Impl::Impl(const PluginSpec& given, const Binding& binding)
    : spec(given), bound(binding), arena(given.memory_bytes) {
  if (bound.packets == nullptr) {
    own_packets = std::make_unique<engine_packet[]>(bound.capacity + 1);
    bound.packets = own_packets.get();
  }
  shared.packets = bound.packets;
  shared.capacity = bound.capacity;
  shared.plugin = bound.plugin_index;
  shared.epoch_ns = bound.epoch_ns;
  shared.cell.frames = bound.frames;
  shared.marks = reinterpret_cast<engine_marks*>(bound.marks);
  shared.requests = reinterpret_cast<engine_requests*>(bound.requests);
  for (std::uint32_t i = 0; i < std::size(shared.index); ++i) shared.index[i] = static_cast<std::uint16_t>(i);
  if (bound.capacity > std::size(shared.index)) fail("a batch holds at most 256 packets");
  // LuaJIT crashes when its own first blocks are refused (lj_state.c, close_state of a half-made state).
  if (spec.memory_bytes < kLeastMemory_bytes) fail("needs at least 1 MiB of memory");
  start_watchdog(spec.deadline_ns);
  const InState inside(machine_code);  // an observer runs Lua of its own
  arena.watch(&shared.expired);
  L = lua_newstate(Arena::allocate, &arena);
  if (L == nullptr) fail("not enough memory for a Lua state");
  lua_atpanic(L, panic);
  try {
    loading = true;
    open_libraries();
    load_library();
    if (bound.observer != nullptr) bound.observer->library_loaded(L);
    compile();
    warm_up();
    instantiate(false);
    if (bound.outbox != nullptr) {
      const Loan loan(*this);
      call_on_start();
      if (spec.trusted) log(1, "is trusted: with ffi it can read and write all of the engine's memory");
    }
    // From here on garbage is collected between batches only; see collect_garbage_step.
    const bool alive = guarded([&] {
      lua_gc(L, LUA_GCCOLLECT, 0);
      lua_gc(L, LUA_GCSTOP, 0);
      lua_gc(L, LUA_GCSETSTEPMUL, 1000);
    });
    if (!alive) fail_for_memory();
    loading = false;
  } catch (const std::exception&) {
    close();
    throw;
  } catch (...) {  // the panic's, or LuaJIT's own: it looks for whoever catches anything before it panics
    close();
    fail_for_memory();
  }
  collect_above_bytes = collected_at_bytes = arena.used_bytes() + (256u << 10);
}

State::Impl::~Impl() { close(); }

// The arena and the machine code are given back as a whole, whatever condition they are in. Closing only serves what
// finalizers do outside of them, which without ffi nobody has; and it is the plugin's code that runs then.
void State::Impl::close() noexcept {
  if (L == nullptr || !spec.trusted) return;
  loading = true;
  entered = "a finalizer";
  guarded([this] { lua_close(L); });
}

void State::Impl::fail(std::string_view reason) const {
  throw engine::SetupError(engine::ExitCode::bad_usage, "plugin " + spec.name, reason);
}

void State::Impl::fail_for_memory() const {
  fail("needs more than its " + std::to_string(spec.memory_bytes >> 20) + " MiB to load");
}

void State::Impl::run_text(const char* code) {
  check(luaL_loadstring(L, code));
  check(protected_call(0, 0));
}

// Throws what the failed call left on the stack, as one line.
void State::Impl::check(int status) {
  if (death == Death::deadline) fail(death_text());
  if (dead || status == LUA_ERRMEM) fail_for_memory();
  if (status == 0) return;
  std::string reason = error_text();
  for (char& c : reason) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  fail(reason);
}

// Only what the library needs: no io, os, debug or package is ever there to be found.
void State::Impl::open_libraries() {
  constexpr struct {
    const char* name;
    lua_CFunction open;
  } libraries[] = {{"", luaopen_base},
                   {LUA_TABLIBNAME, luaopen_table},
                   {LUA_STRLIBNAME, luaopen_string},
                   {LUA_MATHLIBNAME, luaopen_math},
                   {LUA_BITLIBNAME, luaopen_bit},
                   {LUA_JITLIBNAME, luaopen_jit}};
  for (const auto& library : libraries) {
    lua_pushcfunction(L, library.open);
    lua_pushstring(L, library.name);
    check(protected_call(1, 0));
  }
  // Many states share the 2 GiB around libluajit that machine code can be reached in; 2 MiB are plenty for one.
  run_text("jit.opt.start('maxmcode=2048', 'maxtrace=4000')");
  lua_settop(L, 0);
  lua_newtable(L);  // kCore
  lua_pushcfunction(L, luaopen_ffi);
  check(protected_call(0, 1));
  lua_setfield(L, kCore, "ffi");
  // table.new and table.clear are kept for require (lj_lib_prereg in lib_table.c).
  lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
  for (const char* name : {"new", "clear"}) {
    lua_getfield(L, -1, (std::string("table.") + name).c_str());
    check(protected_call(0, 1));
    lua_setfield(L, kCore, (std::string("table_") + name).c_str());
  }
  lua_settop(L, kCore);
}

void State::Impl::load_library() {
  const auto set_address = [&](const char* name, const void* address) {
    lua_pushlightuserdata(L, const_cast<void*>(address));
    lua_setfield(L, kCore, name);
  };
  lua_newtable(L);
  for (const NativeGroup& group : native_groups()) {
    lua_newtable(L);
    lua_pushstring(L, group.type);
    lua_setfield(L, -2, "type");
    lua_pushlightuserdata(L, const_cast<void*>(group.table));
    lua_setfield(L, -2, "address");
    lua_setfield(L, -2, group.name);
  }
  lua_setfield(L, kCore, "native_groups");
  set_address("binding_address", &shared);
  lua_pushboolean(L, spec.trusted);
  lua_setfield(L, kCore, "trusted");
  lua_pushstring(L, file_name());
  lua_setfield(L, kCore, "plugin");
  lua_newtable(L);
  int place = 0;
  for (const std::string& name : KeySpec::known_fields()) {
    lua_pushstring(L, name.c_str());
    lua_rawseti(L, -2, ++place);
  }
  lua_setfield(L, kCore, "key_field_names");
  register_host_functions();
  push_args(L, spec.args);
  lua_setfield(L, kCore, "args");

  lua_getfield(L, kCore, "ffi");
  lua_getfield(L, -1, "cdef");
  lua_pushlstring(L, embedded_cdef().data(), embedded_cdef().size());
  check(protected_call(1, 0));
  lua_settop(L, kCore);
  for (const EmbeddedChunk& chunk : embedded_chunks()) {
    const std::string name = "=engine/" + std::string(chunk.name);
    check(luaL_loadbufferx(L, chunk.code.data(), chunk.code.size(), name.c_str(), "t"));
    lua_pushvalue(L, kCore);
    check(protected_call(1, 0));
  }
  check(luaL_loadstring(L, kCacheModules));
  lua_pushvalue(L, kCore);
  lua_pushlightuserdata(L, this);
  lua_pushcclosure(L, held<load_module>, 1);
  check(protected_call(2, 0));
  for (const char* loop : {"run", "run_index", "run_batch"}) lua_getfield(L, kCore, loop);
}

void State::Impl::compile() {
  std::string text = spec.code;
  if (spec.code.empty()) {
    const int error = read_source(spec, spec.path, text);
    if (error != 0) {
      throw engine::SetupError(engine::ExitCode::bad_usage, "plugin " + spec.path, std::strerror(error));
    }
  }
  const std::string name = spec.code.empty() ? "@" + spec.path : "=eval";
  check(luaL_loadbufferx(L, text.data(), text.size(), name.c_str(), "t"));  // kChunk
}

// A fresh instance of the plugin, with its hook at kHook.
void State::Impl::instantiate(bool as_dry) {
  dry = as_dry;
  entered = "the load";
  instance = Instance{};
  lua_settop(L, kChunk);
  lua_getfield(L, kCore, "instantiate");
  lua_pushvalue(L, kChunk);
  lua_pushnumber(L, bound.worker);
  check(protected_call(2, 1));  // kInstance
  lua_getfield(L, kInstance, "settings");
  const int settings = lua_gettop(L);
  lua_getfield(L, settings, "filter");
  if (lua_isstring(L, -1)) instance.filter = lua_tostring(L, -1);
  lua_getfield(L, settings, "interval");
  if (lua_isnumber(L, -1)) instance.interval_ns = static_cast<std::uint64_t>(lua_tonumber(L, -1) * 1e9 + 0.5);
  lua_getfield(L, settings, "on_batch");
  by_batch = !lua_isnil(L, -1);
  if (!by_batch) lua_getfield(L, settings, "on_packet");
  has_packet_hook = !lua_isnil(L, -1);
  lua_replace(L, settings);  // kHook
  lua_settop(L, kHook);
}

void State::Impl::call_on_start() {
  begin_crossing(0);
  shared.cell.next = bound.capacity;
  lua_getfield(L, kInstance, "settings");
  lua_getfield(L, -1, "on_start");
  lua_remove(L, -2);
  if (lua_isnil(L, -1)) return lua_pop(L, 1);
  entered = "on_start";
  push_info(L, bound);
  check(protected_call(1, 0));
}

}  // namespace plugins
