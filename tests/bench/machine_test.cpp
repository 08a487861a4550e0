// The machine's description over a made-up /proc and /sys, and over this machine's.
#include "engine/bench/machine.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "engine/thread_meter.h"

namespace engine::bench {
namespace {

class MadeUp : public testing::Test {
 protected:
  MadeUp() {
    char name[] = "/tmp/machine_test.XXXXXX";
    root_ = mkdtemp(name);
  }
  ~MadeUp() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = root_ + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text << "\n";
  }

  std::string root_;
};

TEST_F(MadeUp, IsReadAsItStands) {
  write("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Xeon 8592+\nmodel name\t: another");
  for (const int cpu : {0, 1, 2, 3}) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
    write(folder + "/topology/thread_siblings_list", cpu % 2 == 0 ? "0,2" : "1,3");
    write(folder + "/cpufreq/scaling_governor", "performance");
  }
  write("/sys/devices/system/cpu/vulnerabilities/spectre_v2", "Mitigation: Retpolines");
  write("/sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected");
  write("/sys/hypervisor/type", "xen");
  const Machine machine = read_machine(root_);
  EXPECT_EQ(machine.cpu, "Xeon 8592+");
  EXPECT_EQ(machine.cores, 2u);
  EXPECT_EQ(machine.threads_per_core, 2u);
  EXPECT_EQ(machine.governor, "performance");
  EXPECT_EQ(machine.hypervisor, "xen");
  ASSERT_EQ(machine.mitigations.size(), 2u);
  EXPECT_EQ(machine.mitigations[1].second, "Mitigation: Retpolines");
  const std::string text = to_text(machine);
  EXPECT_NE(text.find("2 cores of 2 threads"), text.npos) << text;
  EXPECT_NE(text.find("spectre_v2: Mitigation: Retpolines"), text.npos) << text;
  EXPECT_EQ(text.find("meltdown"), text.npos) << text;
}

TEST_F(MadeUp, CoresOfDifferentGovernorsAreAllNamed) {
  write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave");
  write("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance");
  EXPECT_EQ(read_machine(root_).governor, "performance,powersave");
}

TEST_F(MadeUp, WhatIsNotToldIsNotMadeUp) {
  const Machine machine = read_machine(root_);
  EXPECT_EQ(machine.cpu, "unknown");
  EXPECT_FALSE(machine.governor);
  EXPECT_FALSE(machine.hypervisor);
  EXPECT_TRUE(machine.mitigations.empty());
  std::string text;
  JsonWriter json(text);
  json.begin_object({});
  add_machine(json, machine);
  json.end_object();
  EXPECT_NE(text.find("\"governor\":null"), text.npos) << text;
  EXPECT_NE(text.find("\"hypervisor\":null"), text.npos) << text;
}

TEST(Machine, ThisOneHasCoresMemoryAndAKernel) {
  const Machine machine = read_machine();
  EXPECT_GE(machine.cores, 1u);
  EXPECT_GE(machine.threads_per_core, 1u);
  EXPECT_GT(machine.memory_bytes, 1u << 20);
  EXPECT_FALSE(machine.kernel.empty());
  EXPECT_EQ(machine.counters, CycleCounter().works());
}

TEST(ThreadMeter, TellsWhatThisThreadUsed) {
  const ThreadMeter meter;
  volatile std::uint64_t sink = 0;
  // At least some clock ticks, of which user time is told.
  while (meter.cost().user_ns < 30'000'000) sink = sink + 1;
  const ThreadCost cost = meter.cost();
  EXPECT_GE(cost.cpu_ns, cost.user_ns);
  ASSERT_TRUE(cost.user_share());
  EXPECT_GT(*cost.user_share(), 0);
  EXPECT_LE(*cost.user_share(), 1);
  EXPECT_EQ(cost.cycles.has_value(), CycleCounter().works());
  EXPECT_EQ(CycleCounter().reason().empty(), CycleCounter().works());
}

TEST(ThreadCost, AddsAndSubtractsAndDoesNotMakeUpAShare) {
  const ThreadCost one{100, 60, 40, std::nullopt}, two{50, 10, 30, 7};
  ThreadCost sum = one;
  sum += two;
  EXPECT_EQ(sum.cpu_ns, 150u);
  EXPECT_EQ(sum.user_share(), 0.5);
  EXPECT_EQ(sum.cycles, 7u);
  sum -= two;
  EXPECT_EQ(sum.cpu_ns, one.cpu_ns);
  EXPECT_EQ(sum.user_share(), 0.6);
  EXPECT_FALSE((ThreadCost{100, 0, 0, std::nullopt}).user_share());
}

}  // namespace
}  // namespace engine::bench
