// Looks into a state for `engine check`: what the JIT compiler gave up, what the plugin keeps of packets, how much of
// its memory is garbage. Give it to the state's Binding; it must outlive the state. Between the state's crossings, on
// the thread that uses the state, and never after the state has died.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "plugins/observer.h"

namespace plugins {

class MachineCode;

// One place in a plugin that LuaJIT did not compile.
struct TraceAbort {
  std::string place;  // "file:line"
  std::string reason;
  std::string advice;       // may be empty
  std::uint64_t times = 0;  // in all
  std::uint64_t late = 0;   // of these after the warm-up
  bool given_up = false;    // it will not be tried again
};

// Something of a packet that was still held when its callback had returned.
struct Kept {
  std::string what;  // "packet" or "address"
  std::string name;  // where, as the author knows it
  bool is_key = false;
};

class Inspector final : public Observer {
 public:
  void library_loaded(lua_State* L) override;

  void warmed_up();  // what the compiler does from here on counts as late
  std::vector<TraceAbort> aborts();
  std::uint64_t traces(const char* what);  // "start", "stop", "abort", "flush": since warmed_up()

  bool has_hook(const char* name) { return number("has_hook", name, 0) != 0; }
  double start_ns();  // what the last on_start took; negative if there is none

  // Finds what the plugin kept and puts something in its place that raises an error when it is used. For a state that
  // serves nothing else.
  void seize();
  std::vector<Kept> kept();

  void collect_garbage();  // all of it, at once
  std::size_t own_bytes() const noexcept {
    return own_bytes_;
  }  // what the inspector itself holds of the state's memory

 private:
  void call(const char* function, const char* argument, int results);
  double number(const char* function, const char* argument, double if_nil);

  lua_State* L_ = nullptr;
  MachineCode* machine_code_ = nullptr;  // the state's
  std::size_t own_bytes_ = 0;
  int inspect_ = 0;  // the registry's reference to inspect.lua's table
};

}  // namespace plugins
