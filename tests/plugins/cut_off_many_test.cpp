// What thousands of cuts leave behind: nothing. On two threads, while a third throws C++ exceptions; and random plugins
// that run away at random moments.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "plugins/impl.h"
#include "tests/plugins/lab.h"
#include "tests/plugins/runaways.h"

namespace {

using lab::Lab;

constexpr std::uint64_t kDeadline_ns = 1'000'000;

double cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// The best of some: what else the machine does only adds.
template <typename Work>
double best_ns(int times, const Work& work) {
  double best = 1e18;
  for (int i = 0; i < times; ++i) {
    const double start = cpu_ns();
    work();
    best = std::min(best, cpu_ns() - start);
  }
  return best;
}

void throw_some() {
  for (int i = 0; i < 1000; ++i) {
    try {
      throw std::runtime_error("x");
    } catch (const std::exception&) {
    }
  }
}

// A new state that compiles a loop and raises errors, which the unwinder handles.
void use_a_fresh_state() {
  Lab lab;
  lab.spec.deadline_ns = 60'000'000'000;
  lab.load(
      "local n = 0 function on_packet(p) for i = 1, 10000 do n = n + i % 7 end for i = 1, 100 do pcall(error) end end");
  for (int i = 0; i < 20; ++i) lab.run(10);
  ASSERT_EQ(lab.state->condition(), "running");
}

struct Memory {
  std::size_t mapped_bytes = 0;
  std::size_t resident_bytes = 0;
};

Memory memory() {
  Memory result;
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (std::fscanf(file, "%zu %zu", &result.mapped_bytes, &result.resident_bytes) != 2) result = {};
  std::fclose(file);
  const auto page_bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return {result.mapped_bytes * page_bytes, result.resident_bytes * page_bytes};
}

// One cut after the other; returns how many.
int cut_many(int rounds, std::size_t first) {
  int cuts = 0;
  for (int i = 0; i < rounds; ++i) {
    const lab::Runaway& runaway = lab::kRunaways[(first + static_cast<std::size_t>(i)) % std::size(lab::kRunaways)];
    Lab lab;
    lab.spec.deadline_ns = kDeadline_ns;
    lab.spec.trusted = runaway.trusted;
    lab.load(lab::runaway_in({"", "function on_packet(p) % end", ""}, runaway));
    lab.run(1);
    cuts += lab.state->condition() == "cut off" ? 1 : 0;
  }
  return cuts;
}

int cut_many_on_two_threads(int rounds) {
  std::array<int, 2> cuts{};
  std::thread other([&] { cuts[0] = cut_many(rounds / 2, 0); });
  cuts[1] = cut_many(rounds / 2, std::size(lab::kRunaways) / 2);
  other.join();
  return cuts[0] + cuts[1];
}

TEST(ManyCuts, LeaveNothingBehind) {
  constexpr int kCuts = 2400;
  mallopt(M_ARENA_MAX, 1);  // else each new thread maps 64 MiB
  ASSERT_EQ(cut_many_on_two_threads(200), 200);
  const double throw_before_ns = best_ns(20, throw_some);
  const double fresh_before_ns = best_ns(5, use_a_fresh_state);
  const Memory before = memory();

  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> thrown = 0;
  std::thread thrower([&] {
    for (; !stop; ++thrown) throw_some();
  });
  EXPECT_EQ(cut_many_on_two_threads(kCuts), kCuts);
  stop = true;
  thrower.join();
  EXPECT_GT(thrown, 0u);

  const Memory after = memory();
  const double throw_after_ns = best_ns(20, throw_some);
  const double fresh_after_ns = best_ns(5, use_a_fresh_state);
  std::printf("%d cuts: a throw %.0f -> %.0f ns, a fresh state %.1f -> %.1f ms, mapped %+.1f MiB, resident %+.1f MiB\n",
              kCuts, throw_before_ns / 1000, throw_after_ns / 1000, fresh_before_ns / 1e6, fresh_after_ns / 1e6,
              (static_cast<double>(after.mapped_bytes) - static_cast<double>(before.mapped_bytes)) / (1u << 20),
              (static_cast<double>(after.resident_bytes) - static_cast<double>(before.resident_bytes)) / (1u << 20));
  EXPECT_LE(throw_after_ns, throw_before_ns * 1.5);
  EXPECT_LE(fresh_after_ns, fresh_before_ns * 1.5);
#ifndef __SANITIZE_ADDRESS__  // it keeps freed blocks for a while
  EXPECT_LT(after.mapped_bytes, before.mapped_bytes + (32u << 20));
  EXPECT_LT(after.resident_bytes, before.resident_bytes + (16u << 20));
#endif
}

// Whatever a plugin is doing when its time is up; a neighbour on the same thread goes on.
TEST(ManyCuts, OfRandomPluginsAtRandomMoments) {
  constexpr const char* kSteps[] = {
      "x = (x or 0) + 1",
      "t[#t % 500 + 1] = { n }",
      "t['k' .. n % 300] = n",
      "pcall(error, 'x')",
      "pcall(function() local a = nil; return a.b end)",
      "s = ('ab'):rep(n % 200) .. n",
      "string.find(s, '(a*)b(.-)$')",
      "string.gsub(s, 'a', { a = 'b' })",
      "table.sort({ n % 3, n % 5, n % 7, 2 })",
      "for i = 1, n % 50 do t[i] = i end",
      "local c = coroutine.wrap(function(a) coroutine.yield(a) error('c') end) c(1) pcall(c)",
      "xpcall(error, function(e) return tostring(e) .. n end)",
      "engine.emit('e', { n = n, s = s })",
      "r:emit(n % 65536, s)",
      "c:add('k' .. n % 100)",
      "local f = function(a, ...) return select('#', ...) + a end x = f(1, n, s)",
      "local a = p.src == ip('10.0.0.1') or tostring(p.src)",
      "setmetatable({}, { __index = function(_, k) return k end })[n] = nil",
      "math.floor(n / 3) string.format('%5.2f %s', n, s)",
      "t = n % 997 == 0 and {} or t",
  };
  std::mt19937 random(20260101);
  Lab neighbour;
  neighbour.load("local c = engine.counter{ name = 'c', key = 'src' } function on_packet(p) c:add(p) end");
  std::uint64_t emitted = 0;
  for (int round = 0; round < 300; ++round) {
    std::string code =
        "local t, s, x, n = {}, '', 0, 0\n"
        "local r = engine.record{ name = 'r', { 'a', 'u16' }, { 'b', 'string' } }\n"
        "local c = engine.counter{ name = 'c' }\n"
        "function on_packet(p) while true do n = n + 1\n";
    for (std::uint32_t i = 0; i <= random() % 6; ++i) {
      code += std::string("do ") + kSteps[random() % std::size(kSteps)] + " end\n";
    }
    code += "end end";
    Lab lab;
    lab.spec.deadline_ns = 200'000 + random() % 3'000'000;
    lab.load(code);
    lab.run(1);
    const bool cut = lab.state->condition() == "cut off";
    EXPECT_TRUE(cut || lab.state->statistics().errors > 0) << code;
    // Whole messages only, and as many as are counted.
    std::uint64_t found = 0;
    for (const auto& message : lab.messages()) {
      found += message.head.kind == ENGINE_MESSAGE_RECORD || message.head.kind == ENGINE_MESSAGE_JSON ? 1 : 0;
      if (message.head.kind == ENGINE_MESSAGE_JSON) {
        ASSERT_EQ(message.text().substr(2, 5), "e\"n\":") << code;
      }
    }
    EXPECT_EQ(found, lab.outbox.emitted) << code;
    emitted += found;
    neighbour.run();
  }
  EXPECT_GT(emitted, 0u);
  EXPECT_EQ(neighbour.state->statistics().errors, 0u);
  EXPECT_EQ(neighbour.state->condition(), "running");
}

}  // namespace
