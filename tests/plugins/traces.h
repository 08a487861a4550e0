// What the JIT compiler does in a state.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "plugins/impl.h"

namespace lab {

// Counts what the JIT compiler does, from inside the state.
class Traces {
 public:
  explicit Traces(plugins::State::Impl& impl) : impl_(impl) {
    run("trace_events = {}; jit.attach(function(what) trace_events[what] = (trace_events[what] or 0) + 1 end, "
        "'trace')");
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

}  // namespace lab
