// Watches a state being made and run: `engine check`, and tests. A state without one pays nothing.
//
// Called on the thread that uses the state, with its Lua stack as it must be left.
#pragma once

struct lua_State;

namespace plugins {

class Observer {
 public:
  virtual ~Observer() = default;
  // The library is there, its table at stack place 1; the plugin is not. Before the warm-up.
  virtual void library_loaded(lua_State* L) = 0;
};

}  // namespace plugins
