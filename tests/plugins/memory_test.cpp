// A plugin's memory: garbage between batches, and what happens at the cap.
#include <gtest/gtest.h>

#include <utility>

#include "tests/plugins/lab.h"

using lab::Lab;

namespace {

TEST(Garbage, IsCollectedBetweenBatchesAsFastAsItIsMade) {
  Lab lab;
  lab.spec.memory_bytes = 16u << 20;
  // About 300 bytes a packet: 75 KiB a batch.
  lab.load("local last function on_packet(p) last = { p.time, { p.len }, { p.proto }, { a = p.time, b = p.len } } end");
  for (int i = 0; i < 4000; ++i) {
    lab.run(256);
    lab.state->collect_garbage_step();
  }
  EXPECT_EQ(lab.state->statistics().errors, 0u);
  EXPECT_LT(lab.state->statistics().peak_memory_bytes, std::size_t{4u << 20});
}

TEST(Garbage, FillsTheCapWithoutSteps) {
  Lab lab;  // the control of the test above
  lab.spec.memory_bytes = 16u << 20;
  lab.load("local last function on_packet(p) last = { p.time, { p.len }, { p.proto }, { a = p.time, b = p.len } } end");
  for (int i = 0; i < 20000 && lab.state->statistics().errors == 0; ++i) lab.run(64);
  EXPECT_GT(lab.state->statistics().errors, 0u);
}

// Each is over the cap in machine code, in one way. Another state on the same thread goes on.
TEST(Memory, ThatRunsOutTakesTheStateOutOfServiceAndNothingElse) {
  for (const char* code :
       {"local names = {} function on_packet(p) for i = 1, 400 do names[#names + 1] = { p.len } end end",
        "function on_packet(p) pcall(function() local t = {} for i = 1, 1e7 do t[i] = { i } end end) end",
        "function on_packet(p) pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end) end",
        "function on_packet(p) local t = {} for i = 1, 1e7 do t[i] = { i } end end",
        "local s = 'x' function on_packet(p) s = s .. s end",
        "local t = {} function on_packet(p) for i = 1, 400 do t[#t + 1] = 'k' .. #t .. p.len end end",
        "local t = {} function on_packet(p) for i = 1, 100 do t[#t + 1] = p.src:copy() end end",
        "local t = {} function on_packet(p) coroutine.wrap(function() for i = 1, 1e7 do t[i] = { i } end end)() end",
        "function on_batch(b) pcall(function() local t = {} for i = 1, 1e7 do t[i] = { i } end end) end",
        "function on_packet(p) end function on_tick() local t = {} for i = 1, 1e7 do t[i] = { i } end end"}) {
    Lab other;
    other.load("local t = {} function on_packet(p) t[p.src4] = { p.len } end");
    Lab lab;
    lab.spec.memory_bytes = 8u << 20;
    lab.load(code);
    std::uint64_t offered = 0, left = 0;
    std::vector<lab::Message> messages;
    for (int i = 0; i < 80; ++i, offered += 256) {
      left += lab.state->run(lab::kCapacity);
      lab.state->collect_garbage_step();
      lab.state->tick(0);
      for (auto& message : lab.messages()) messages.push_back(message);
      other.run();
    }
    lab.state->stop();
    const plugins::Statistics statistics = lab.state->statistics();
    EXPECT_TRUE(statistics.dead) << code;
    EXPECT_EQ(lab.state->condition(), "out of memory");
    EXPECT_EQ(statistics.packets + left, offered) << code;
    EXPECT_EQ(statistics.errors, 1u);
    EXPECT_GT(left, 0u);
    EXPECT_LE(statistics.peak_memory_bytes, lab.spec.memory_bytes);
    ASSERT_EQ(messages.size(), 1u) << code;
    EXPECT_EQ(messages[0].head.kind, ENGINE_MESSAGE_ERROR);
    EXPECT_EQ(messages[0].text(), "needs more memory than its cap of 8 MiB; taken out of service");
    EXPECT_EQ(other.state->statistics().errors, 0u);
    EXPECT_EQ(other.state->condition(), "running");
  }
}

TEST(Memory, ThatRunsOutIsToldWhenThereIsRoom) {
  Lab lab;
  lab.spec.memory_bytes = 4u << 20;
  lab.load("function on_packet(p) local t = {} for i = 1, 1e7 do t[i] = { i } end end");
  const std::uint32_t limit = std::exchange(lab.outbox.limit, 0);
  lab.run(2);
  EXPECT_TRUE(lab.messages().empty());
  lab.outbox.limit = limit;
  lab.run(2);
  lab.run(2);
  EXPECT_EQ(lab.messages().size(), 1u);
  EXPECT_EQ(lab.state->statistics().errors, 1u);
}

TEST(Memory, ThatRunsOutLeavesNoHalfMessage) {
  Lab lab;
  lab.spec.memory_bytes = 2u << 20;
  lab.load(
      "local t, r = {}, engine.record{ name = 'r', {'a', 'u16'}, {'b', 'string'}, {'c', 'u64'} }\n"
      "function on_packet(p) t[#t + 1] = { p.time } r:emit(7, 'abc', p.len) end");
  bool told = false;
  for (int i = 0; i < 4000 && !told; ++i) {
    lab.run(64);
    for (const auto& message : lab.messages()) {
      told = told || message.head.kind == ENGINE_MESSAGE_ERROR;
      if (message.head.kind == ENGINE_MESSAGE_RECORD) {
        EXPECT_EQ(message.body.substr(0, 7), std::string("\x07\0\x03\0abc", 7));
      }
    }
  }
  EXPECT_TRUE(told);
}

TEST(Memory, ThatRunsOutInTheWarmUpIsAnErrorOfTheLoad) {
  for (const char* code :
       {"local t = {} function on_packet(p) for i = 1, 1e7 do t[i] = { i } end end",
        "function on_packet(p) pcall(function() local t = {} for i = 1, 1e7 do t[i] = i end end) end",
        "function on_tick(p) local t = {} for i = 1, 1e7 do t[i] = { i } end end",
        "function on_start(p) local t = {} for i = 1, 1e7 do t[i] = { i } end end"}) {
    Lab lab;
    lab.warm = true;
    lab.spec.memory_bytes = 4u << 20;
    EXPECT_EQ(lab.load_error(code), "plugin test: needs more than its 4 MiB to load");
  }
}

TEST(Memory, ThatRunsOutAnywhereInTheLoadIsAnError) {
  int loaded = 0, refused = 0;
  for (int entries = 0; entries < 60'000; entries += 300) {
    Lab lab;
    lab.spec.memory_bytes = 1u << 20;
    lab.spec.args = {{"n", static_cast<double>(entries)}};
    const std::string error = lab.load_error(
        "local kept = {} local c = engine.counter{ name = 'c' } for i = 1, args.n do kept[i] = { i } end\n"
        "function on_start(info) kept.info = info end function on_packet(p) c:add(#kept) end");
    ++(error.empty() ? loaded : refused);
  }
  EXPECT_GT(loaded, 0);
  EXPECT_GT(refused, 0);
  Lab lab;
  lab.spec.memory_bytes = (1u << 20) - 1;
  EXPECT_EQ(lab.load_error("function on_packet(p) end"), "plugin test: needs at least 1 MiB of memory");
}

TEST(Memory, OfASmallPluginIsBelowTwoMiB) {
  Lab lab;
  lab.warm = true;
  lab.load("local n = {} function on_packet(p) n[p.proto] = (n[p.proto] or 0) + 1 end");
  lab.run(256);
  EXPECT_LT(lab.state->statistics().memory_bytes, std::size_t{1} << 20);
}

}  // namespace
