// What the watchdog and the threads it watches share; also built with ThreadSanitizer.
#include "plugins/watchdog.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <chrono>
#include <ctime>
#include <functional>
#include <lua.hpp>
#include <thread>
#include <vector>

namespace {

using plugins::this_post;
using plugins::Turn;

constexpr std::uint64_t kDeadline_ns = 1'000'000;

bool comes_true(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    poll(nullptr, 0, 1);
  }
  return true;
}

void use_cpu_ms(double wanted_ms) {
  const auto used_ms = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
  };
  const double until_ms = used_ms() + wanted_ms;
  while (used_ms() < until_ms) {
  }
}

TEST(Watchdog, SleepsUntilSomebodyTakesATurn) {
  plugins::start_watchdog(kDeadline_ns);
  for (int i = 0; i < 3; ++i) {
    { const Turn turn(kDeadline_ns); }
    EXPECT_TRUE(comes_true([] { return plugins::detail::watchdog_sleeps.load(); }));
    const Turn turn(kDeadline_ns);
    EXPECT_FALSE(plugins::detail::watchdog_sleeps);
    use_cpu_ms(20);
    EXPECT_FALSE(plugins::detail::watchdog_sleeps) << "while a turn is under way";
  }
}

TEST(Watchdog, WatchesThreadsThatComeAndGo) {
  plugins::start_watchdog(kDeadline_ns);
  std::vector<std::thread> threads;
  for (int i = 0; i < 32; ++i) {
    threads.emplace_back([i] {
      lua_State* L = luaL_newstate();
      ASSERT_EQ(luaL_loadstring(L, "local n = 0 for i = 1, 100 do n = n + i end"), 0);
      for (int k = 0; k < 2000; ++k) {
        const Turn turn(kDeadline_ns);
        const Turn nested(60 * kDeadline_ns);
        EXPECT_EQ(this_post.turn % 2, 1u);
        lua_pushvalue(L, 1);
        lua_call(L, 0, 0);
        if (k % 1000 == i) use_cpu_ms(0.3);
      }
      EXPECT_EQ(this_post.turn, 4000u);
      lua_close(L);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// A turn that is not in Lua, or has C++ objects between Lua's frames, goes on however long it takes.
TEST(Watchdog, CutsNothingOutsideOfLua) {
  plugins::start_watchdog(kDeadline_ns);
  for (int i = 0; i < 5; ++i) {
    const Turn turn(kDeadline_ns);
    use_cpu_ms(10);
    poll(nullptr, 0, 5);
  }
  volatile std::uint32_t expired = 0;
  std::jmp_buf way_out;
  ASSERT_EQ(_setjmp(way_out), 0);
  {
    const Turn turn(kDeadline_ns);
    const plugins::Hold hold;
    this_post.expired = &expired;
    this_post.way_out = &way_out;
    EXPECT_TRUE(comes_true([&] { return expired != 0; }));
    this_post.way_out = nullptr;
  }
  expired = 0;
  {
    const Turn turn(60'000 * kDeadline_ns);
    this_post.way_out = &way_out;
    use_cpu_ms(10);
    this_post.way_out = nullptr;
  }
  EXPECT_EQ(expired, 0u) << "the deadline of the turn before";
}

// While its thread does not get to run its handler, as on a machine with too much to do, no second one is sent.
TEST(Watchdog, HasOneSignalOnItsWayAtMost) {
  plugins::start_watchdog(kDeadline_ns);
  std::thread([] {
    { const Turn turn(kDeadline_ns); }  // the thread is known, the signal unblocked
    sigset_t cut_signals;
    sigemptyset(&cut_signals);
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) sigaddset(&cut_signals, signal);
    pthread_sigmask(SIG_BLOCK, &cut_signals, nullptr);
    const Turn turn(kDeadline_ns);
    EXPECT_TRUE(comes_true([] {
      use_cpu_ms(2);
      return this_post.signalled.load();
    }));
    use_cpu_ms(50);
    const timespec at_once{};
    EXPECT_GT(sigtimedwait(&cut_signals, nullptr, &at_once), 0);
    EXPECT_EQ(sigtimedwait(&cut_signals, nullptr, &at_once), -1) << "another one is queued";
  }).join();
}

// Of a turn that sleeps, the deadline is fifty times as long.
TEST(Watchdog, DoesNotWaitForEverForATurnThatSleeps) {
  plugins::start_watchdog(kDeadline_ns);
  volatile std::uint32_t expired = 0;
  std::jmp_buf way_out;
  ASSERT_EQ(_setjmp(way_out), 0);
  const Turn turn(kDeadline_ns);
  const plugins::Hold hold;
  this_post.expired = &expired;
  this_post.way_out = &way_out;
  const auto start = std::chrono::steady_clock::now();
  while (expired == 0 && std::chrono::steady_clock::now() - start < std::chrono::seconds(20)) poll(nullptr, 0, 1);
  this_post.way_out = nullptr;
  EXPECT_EQ(expired, 1u);
}

}  // namespace
