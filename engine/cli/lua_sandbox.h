// A LuaJIT state for running untrusted set-up code once: no I/O, bounded memory, bounded instructions.
//
// Main thread, set-up; not the analyzers' runtime (plugins/), which has to be fast as well. Interpreted only: the
// instruction count comes from a hook, which compiled code does not call.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>

extern "C" {
#include <lua.h>
}

namespace engine::cli {

class LuaSandbox {
 public:
  LuaSandbox();  // throws SetupError

  lua_State* state() const noexcept { return state_.get(); }

  // Leaves a table on the stack that holds what set-up code may use of Lua's library.
  void push_library() const;

  // For reading the results: the API calls outside a protected call must not run out of memory.
  void lift_memory_cap() const noexcept { budget_->memory_left_bytes = std::numeric_limits<std::size_t>::max() / 2; }

 private:
  struct Budget {
    std::size_t memory_left_bytes;
    unsigned hooks_left;
  };
  struct Close {
    void operator()(lua_State* state) const noexcept { lua_close(state); }
  };

  static void* allocate(void* budget, void* block, std::size_t old_bytes, std::size_t new_bytes) noexcept;
  static void count_instructions(lua_State* state, lua_Debug*);

  std::unique_ptr<Budget> budget_;  // before state_: closing the state gives blocks back to the budget
  std::unique_ptr<lua_State, Close> state_;
};

}  // namespace engine::cli
