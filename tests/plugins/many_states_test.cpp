// What 16 workers with 8 plugins each need of one process: machine code for every state, near enough to libluajit.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "plugins/impl.h"
#include "plugins/inspector.h"
#include "tests/plugins/lab.h"

namespace {

constexpr int kWorkers = 16;
constexpr const char* kPlugins[] = {
    "local t = {} function on_packet(p) t[p.src4] = (t[p.src4] or 0) + 1 end",
    "local c = engine.counter { name = 'c', key = 'proto' } function on_packet(p) c:add(p) end",
    "local t = engine.topk { name = 't', key = 'src' } function on_packet(p) if p.proto == 17 then t:add(p) end end",
    "local n = 0 function on_packet(p) if p:u8(3) == 3 and p:u16(4) == 0x0405 then n = n + p.len end end",
    "local m = engine.map { key = 'src', fields = { { 'n', 'u32' } } } function on_packet(p) local e = m:put(p) e.n = "
    "e.n + 1"
    " end",
    "local r = engine.record { name = 'r', { 'src', 'ip' } } function on_packet(p) if p.dst_port == 53 then "
    "r:emit(p.src)"
    " end end",
    "local n = 0 function on_batch(b) for i = 1, #b do n = n + b[i].len end end",
    "local s = engine.set { key = 'src' } function on_packet(p) s:add(p) end"};

class Watch final : public plugins::Observer {
 public:
  void library_loaded(lua_State* state) override {
    L = state;
    inspector.library_loaded(state);
  }
  bool compiles() const {
    lua_getglobal(L, "jit");
    lua_getfield(L, -1, "status");
    lua_call(L, 0, 1);
    const bool on = lua_toboolean(L, -1) != 0;
    lua_pop(L, 2);
    return on;
  }
  // Traces that there are, by what jit.util.traceinfo finds.
  int traces() const {
    lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
    lua_getfield(L, -1, "jit.util");
    lua_call(L, 0, 1);
    lua_getfield(L, -1, "traceinfo");
    int found = 0;
    for (int number = 1; number <= 200; ++number) {
      lua_pushvalue(L, -1);
      lua_pushinteger(L, number);
      lua_call(L, 1, 1);
      if (!lua_isnil(L, -1)) ++found;
      lua_pop(L, 1);
    }
    lua_pop(L, 3);
    return found;
  }

  lua_State* L = nullptr;
  plugins::Inspector inspector;
};

TEST(ManyStates, CompileEachForItself) {
  struct One {
    lab::Lab lab;
    Watch watch;
  };
  std::vector<std::unique_ptr<One>> all;
  for (int worker = 0; worker < kWorkers; ++worker) {
    for (const char* code : kPlugins) {
      One& one = *all.emplace_back(std::make_unique<One>());
      one.lab.observer = &one.watch;
      one.lab.load(code);
    }
  }
  for (int batch = 0; batch < 8; ++batch) {
    for (auto& one : all) one->lab.run(64);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    const char* const code = kPlugins[i % std::size(kPlugins)];
    EXPECT_TRUE(all[i]->watch.compiles()) << code;
    EXPECT_GT(all[i]->watch.traces(), 0) << code;
    EXPECT_EQ(all[i]->watch.inspector.traces("flush"), 0u) << code;
    for (const plugins::TraceAbort& abort : all[i]->watch.inspector.aborts())
      EXPECT_EQ(abort.reason.find("mcode"), std::string::npos) << abort.reason << " in " << abort.place;
    EXPECT_EQ(all[i]->lab.state->statistics().errors, 0u) << code;
    EXPECT_FALSE(all[i]->lab.state->is_dead()) << code;
  }
}

// The copy is native code: nothing cuts it off. Without a look at the clock this took nine seconds.
TEST(ManyStates, WhatOneSavesForTheNextIsNotCopiedBeyondTheDeadline) {
  lab::Lab old, next;
  old.load(
      "local text = ('x'):rep(1000000) text = text .. text .. text .. text local all = {} for i = 1, 100000 do all[i] "
      "= "
      "text end function on_packet(p) end function on_save() return all end");
  next.spec.deadline_ns = 20'000'000;
  next.spec.name = "test";
  next.spec.code = "function on_start(info) end function on_packet(p) end";
  plugins::Binding without_a_seat = next.binding();
  without_a_seat.packets = nullptr;
  plugins::State fresh(next.spec, without_a_seat);
  std::string problem;
  EXPECT_FALSE(fresh.take_seat(next.binding(), old.state.get(), problem));
  EXPECT_EQ(problem, "what on_save returned takes longer to copy than the deadline");
  EXPECT_FALSE(old.state->is_dead()) << "it goes on";
  old.run(64);
  EXPECT_EQ(old.state->statistics().errors, 0u);
}

}  // namespace
