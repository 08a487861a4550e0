// What the JIT compiler does in a state.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "plugins/impl.h"

namespace lab {

// Counts what the JIT compiler does, from inside the state.
class Traces {
 public:
  explicit Traces(plugins::State::Impl& impl) : impl_(impl) {
    lua_getfield(impl_.L, LUA_REGISTRYINDEX, "_PRELOAD");
    lua_getfield(impl_.L, -1, "jit.util");
    lua_call(impl_.L, 0, 1);
    lua_setglobal(impl_.L, "jit_util");
    lua_pop(impl_.L, 1);
    run("trace_events, trace_list = {}, ''; local util = jit_util\n"
        "jit.attach(function(what, trace, func, pc, parent, exit)\n"
        "  trace_events[what] = (trace_events[what] or 0) + 1\n"
        "  local at = func and util.funcinfo(func, pc)\n"
        "  trace_list = trace_list .. what .. ' ' .. tostring(trace) .. (at and ' at ' .. tostring(at.loc) or '') ..\n"
        "    (what == 'start' and parent and ' from exit ' .. tostring(exit) .. ' of ' .. tostring(parent) or '') .. "
        "'\\n'\n"
        "end, 'trace')");
  }
  // What happened, one line each.
  std::string text() {
    lua_getfield(impl_.L, LUA_GLOBALSINDEX, "trace_list");
    const std::string result = lua_tostring(impl_.L, -1);
    lua_pop(impl_.L, 1);
    return result;
  }
  int count(const char* what) {
    run("trace_result = trace_events['" + std::string(what) + "'] or 0");
    lua_getfield(impl_.L, LUA_GLOBALSINDEX, "trace_result");
    const int result = static_cast<int>(lua_tointeger(impl_.L, -1));
    lua_pop(impl_.L, 1);
    return result;
  }

 private:
  void run(const std::string& code) { ASSERT_EQ(luaL_dostring(impl_.L, code.c_str()), 0) << lua_tostring(impl_.L, -1); }
  plugins::State::Impl& impl_;
};

// A million packets in batches of 64, 256 and 16, as a worker offers them; `Rig` has an outbox and fills its packets
// anew.
template <typename Rig>
void run_a_million(plugins::State::Impl& impl, Rig& rig) {
  std::uint32_t packets = 0;
  for (std::uint32_t batch = 0; packets < 1'000'000; ++batch) {
    const std::uint32_t count = std::array{64, 256, 16}[batch % 3];
    if (batch % 512 == 0) rig.fill(batch / 512);
    rig.outbox.used = 0;
    const plugins::Loan loan(impl);
    impl.begin_crossing(count);
    impl.offer(plugins::kRun, 0, count - 1, false);
    packets += count;
  }
}

}  // namespace lab
