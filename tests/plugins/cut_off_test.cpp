// The cut-off: every kind of runaway, in every place that a plugin runs in, compiled and interpreted.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "plugins/impl.h"
#include "tests/plugins/lab.h"
#include "tests/plugins/runaways.h"

namespace {

using lab::Lab;

constexpr std::uint64_t kDeadline_ns = 2'000'000;
constexpr double kDeadline_ms = 2;
constexpr double kLoadDeadline_ms = 100;
// Beyond the deadline. For shared and instrumented machines; what is usual is printed.
constexpr double kLatest_ms = 5000;

// Of this thread's CPU time, as the deadline is.
double cpu_ms() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

using Latency = std::pair<double, std::string>;  // ms, of what
std::vector<Latency>& latencies() {
  static std::vector<Latency> all;
  return all;
}

class PrintLatencies : public testing::Environment {
 public:
  void TearDown() override {
    std::vector<Latency>& all = latencies();
    if (all.empty()) return;
    std::sort(all.begin(), all.end());
    const auto share = [&](double of) {
      return all[static_cast<std::size_t>(of * static_cast<double>(all.size() - 1))].first;
    };
    std::printf("%zu cuts, ms of CPU time behind the deadline: p50 %.1f, p90 %.1f, p99 %.1f, longest %.1f\n",
                all.size(), share(0.5), share(0.9), share(0.99), all.back().first);
    for (std::size_t i = all.size(); i > 0 && i + 5 > all.size(); --i) {
      std::printf("  %.1f %s\n", all[i - 1].first, all[i - 1].second.c_str());
    }
  }
};
const auto* const print_latencies = testing::AddGlobalTestEnvironment(new PrintLatencies);

class Interpreter : public plugins::Observer {
 public:
  void library_loaded(lua_State* L) override { luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF); }
};

struct Cell {
  lab::Runaway runaway;
  lab::Place place;
  bool compiled;
};

std::vector<Cell> cells() {
  std::vector<Cell> all;
  for (const lab::Place& place : lab::kPlaces) {
    for (const lab::Runaway& runaway : lab::kRunaways) {
      for (const bool compiled : {true, false}) all.push_back({runaway, place, compiled});
    }
  }
  return all;
}

// A reload: the state has to save what it has for another. When that began.
double save(Lab& lab, std::string_view told) {
  Lab next;
  plugins::Binding without_a_seat = next.binding();
  without_a_seat.packets = nullptr;
  next.spec.code = "function on_packet(p) end";
  plugins::State fresh(next.spec, without_a_seat);
  std::string problem;
  const double start_ms = cpu_ms();
  EXPECT_FALSE(fresh.take_seat(next.binding(), lab.state.get(), problem));
  EXPECT_EQ(problem, std::string(told) + " ran longer than its deadline of 2 ms; cut off");
  EXPECT_EQ(fresh.condition(), "running");
  return start_ms;
}

class CutOff : public testing::TestWithParam<Cell> {};

TEST_P(CutOff, ComesAtTheRightPlaceAndInTime) {
  const Cell& cell = GetParam();
  Lab other;
  other.load("local t = {} function on_packet(p) t[p.src4] = (t[p.src4] or 0) + 1 end");
  Lab lab;
  lab.spec.deadline_ns = kDeadline_ns;
  lab.spec.trusted = cell.runaway.trusted;
  Interpreter interpreter;
  if (!cell.compiled) lab.observer = &interpreter;
  const std::string code = lab::runaway_in(cell.place, cell.runaway);
  const std::string_view told = cell.place.told;
  const bool loads = told == "the load" || told == "on_start";
  double start_ms = cpu_ms();
  if (loads) {
    EXPECT_EQ(lab.load_error(code),
              "plugin test: " + std::string(told) + " ran longer than its deadline of 100 ms; cut off");
  } else {
    lab.load(code);
    start_ms = cpu_ms();
    if (told == "on_tick") {
      lab.state->tick(0);
    } else if (told == "on_stop") {
      lab.state->stop();
    } else if (told == "on_save") {
      start_ms = save(lab, told);
    } else {
      lab.run(3);
    }
  }
  const double late_ms = cpu_ms() - start_ms - (loads ? kLoadDeadline_ms : kDeadline_ms);
  EXPECT_LT(late_ms, kLatest_ms);
  latencies().emplace_back(late_ms, testing::UnitTest::GetInstance()->current_test_info()->name());
  if (!loads) {
    EXPECT_EQ(lab.state->condition(), "cut off");
    EXPECT_EQ(lab.state->statistics().cutoffs, 1u);
    const auto messages = lab.messages();
    ASSERT_EQ(messages.size(), cell.runaway.trusted && told != "on_save" ? 2u : 1u);
    EXPECT_EQ(messages.back().text(), std::string(told) + " ran longer than its deadline of 2 ms; cut off");
    lab.run(256);
    EXPECT_TRUE(lab.messages().empty());
  }
  other.run();
  EXPECT_EQ(other.state->statistics().errors, 0u);
}

INSTANTIATE_TEST_SUITE_P(Runaways, CutOff, testing::ValuesIn(cells()), [](const auto& info) {
  return std::string(info.param.runaway.name) + "In" + info.param.place.name +
         (info.param.compiled ? "Compiled" : "Interpreted");
});

}  // namespace
