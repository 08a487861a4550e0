// Topology, placement and node memory. No root.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>

#include "engine/base/error.h"
#include "numa/memory.h"
#include "numa/topology.h"

namespace numa::test {
namespace {

using engine::ExitCode;
using engine::SetupError;
using Cpus = std::vector<unsigned>;

template <typename Action>
std::string refusal(ExitCode code, Action action) {
  try {
    action();
  } catch (const SetupError& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "no SetupError";
  return "";
}

// Two nodes: cpus 0..near-1 on node 0, the next `far` on node 1.
Topology machine(unsigned near, unsigned far = 0) {
  Topology topology;
  topology.nodes = far == 0 ? 1 : 2;
  for (unsigned cpu = 0; cpu < near + far; ++cpu) topology.cores.push_back({cpu, cpu < near ? 0U : 1U});
  return topology;
}

Cpus cpus_of(const Placement& placement) {
  Cpus cpus;
  for (const WorkerPlacement& worker : placement.workers) cpus.push_back(worker.cpu);
  return cpus;
}

TEST(Place, GivesEachQueueAWorkerAsFarAsTheNodeHasCoresLessOne) {
  EXPECT_EQ(cpus_of(place(machine(8), {.queues = 4})), (Cpus{1, 2, 3, 4}));
  EXPECT_EQ(cpus_of(place(machine(8), {.queues = 16})).size(), 7U);
  EXPECT_EQ(cpus_of(place(machine(2), {.queues = 8})), (Cpus{1}));
  EXPECT_EQ(cpus_of(place(machine(1), {.queues = 8})), (Cpus{0}));
}

TEST(Place, PrefersTheNicsNode) {
  EXPECT_EQ(cpus_of(place(machine(4, 4), {.queues = 2, .nic_node = 1})), (Cpus{5, 6}));
  const Placement placement = place(machine(4, 4), {.queues = 8, .workers = 6, .nic_node = 1});
  EXPECT_EQ(cpus_of(placement), (Cpus{5, 6, 7, 4, 0, 1})) << "then the others";
  EXPECT_EQ(placement.workers[0].node, 1U);
  EXPECT_EQ(placement.workers[4].node, 0U);
  EXPECT_EQ(cpus_of(place(machine(4, 4), {.queues = 8, .nic_node = 1})).size(), 3U);
}

TEST(Place, UsesOtherNodesIfNoneOfTheNicsCoresIsOurs) {
  EXPECT_EQ(cpus_of(place(machine(4), {.queues = 2, .nic_node = 1})), (Cpus{0, 1}));
}

TEST(Place, DealsEveryQueueOnceAndEvenly) {
  for (std::uint32_t queues = 1; queues <= 20; ++queues)
    for (std::uint32_t workers = 1; workers <= std::min(queues, 8U); ++workers) {
      const Placement placement = place(machine(8), {.queues = queues, .workers = workers});
      ASSERT_EQ(placement.workers.size(), workers);
      std::set<std::uint32_t> dealt;
      for (const WorkerPlacement& worker : placement.workers) {
        EXPECT_GE(worker.queues.size(), queues / workers);
        EXPECT_LE(worker.queues.size(), (queues + workers - 1) / workers);
        for (const std::uint32_t queue : worker.queues) EXPECT_TRUE(dealt.insert(queue).second);
      }
      EXPECT_EQ(dealt.size(), queues);
      EXPECT_EQ(*dealt.rbegin(), queues - 1);
    }
  EXPECT_EQ(place(machine(4), {.queues = 5, .workers = 2}).workers[0].queues, (std::vector<std::uint32_t>{0, 2, 4}));
}

TEST(Place, SpinsOnlyIfACoreIsLeftForTheOthers) {
  EXPECT_TRUE(place(machine(2), {.queues = 1}).spins);
  EXPECT_FALSE(place(machine(1), {.queues = 1}).spins);
  EXPECT_FALSE(place(machine(2), {.queues = 2, .workers = 2}).spins);
  EXPECT_TRUE(place(machine(2, 1), {.queues = 2, .workers = 2}).spins);
}

TEST(Place, UsesTheNamedCpusInTheirOrder) {
  EXPECT_EQ(cpus_of(place(machine(8), {.queues = 4, .cpus = {6, 2}})), (Cpus{6, 2}));
  EXPECT_EQ(cpus_of(place(machine(8), {.queues = 1, .cpus = {6, 2}})), (Cpus{6}));
}

TEST(Place, RefusesWhatDoesNotFit) {
  const auto refused = [](const PlacementRequest& request) {
    return refusal(ExitCode::bad_usage, [&] { place(machine(4), request); });
  };
  EXPECT_NE(refused({.queues = 2, .workers = 3}).find("only 2 queues"), std::string::npos);
  EXPECT_NE(refused({.queues = 9, .workers = 5}).find("only 4 cores"), std::string::npos);
  EXPECT_NE(refused({.queues = 9, .workers = 3, .cpus = {1, 2}}).find("only 2 cores"), std::string::npos);
  EXPECT_NE(refused({.queues = 1, .cpus = {4}}).find("cpu 4"), std::string::npos);
  refused({.queues = 0});
}

TEST(Topology, HasTheCoresOfThisProcess) {
  cpu_set_t allowed;
  ASSERT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  Cpus expected;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) expected.push_back(cpu);
  const Topology topology = read_topology();
  Cpus found;
  for (const Core& core : topology.cores) found.push_back(core.cpu);
  EXPECT_EQ(found, expected);
  EXPECT_GE(topology.nodes, 1U);
}

TEST(Topology, LeavesOutCoresThatTheAffinityMaskForbids) {
  const Topology all = read_topology();
  if (all.cores.size() < 2) GTEST_SKIP() << "needs two cores";
  const unsigned kept = all.cores.back().cpu;
  Topology seen;
  std::thread restricted([&] {
    pin_this_thread(kept);
    seen = read_topology();
  });
  restricted.join();
  ASSERT_EQ(seen.cores.size(), 1U);
  EXPECT_EQ(seen.cores[0].cpu, kept);
}

// hwloc reads a machine from this variable instead of the one it runs on (hwloc's manual, "Environment Variables").
TEST(Topology, KnowsEachCoresNode) {
  for (const char* machine : {"numa:2 core:2 pu:1", "pack:2 [numa] core:2 pu:1", "pack:1 numa:2 core:2 pu:1"}) {
    ASSERT_EQ(::setenv("HWLOC_SYNTHETIC", machine, 1), 0);
    const Topology topology = read_topology();
    ::unsetenv("HWLOC_SYNTHETIC");
    EXPECT_EQ(topology.nodes, 2U) << machine;
    ASSERT_EQ(topology.cores.size(), 4U) << machine;
    for (const Core& core : topology.cores) EXPECT_EQ(core.node, core.cpu / 2) << machine << ", cpu " << core.cpu;
  }
}

long resident_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(Topology, IsReadWithinAFewMebibytes) {
  const long before = resident_kib();
  for (int i = 0; i < 20; ++i) (void)read_topology();
  EXPECT_LT(resident_kib() - before, 4096) << "nothing stays behind";
}

TEST(NodeOfInterface, IsUnknownForVirtualOnes) {
  EXPECT_FALSE(node_of_interface("lo"));
  EXPECT_FALSE(node_of_interface("nothere0"));
}

TEST(NodeMemory, IsZeroedWholePages) {
  for (const auto populate : {NodeMemory::Populate::on_first_touch, NodeMemory::Populate::now}) {
    const NodeMemory memory(100'000, 0, populate);
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    ASSERT_GE(memory.bytes().size(), 100'000U);
    EXPECT_EQ(memory.bytes().size() % page, 0U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.bytes().data()) % page, 0U);
    EXPECT_TRUE(std::ranges::all_of(memory.bytes(), [](std::byte byte) { return byte == std::byte{0}; }));
    memory.bytes().back() = std::byte{1};
  }
}

TEST(NodeMemory, MovesItsMapping) {
  NodeMemory first(4096, 0, NodeMemory::Populate::now);
  std::byte* data = first.bytes().data();
  NodeMemory second(std::move(first));
  EXPECT_EQ(second.bytes().data(), data);
  EXPECT_TRUE(first.bytes().empty());  // NOLINT(bugprone-use-after-move): what it holds is the question
  first = std::move(second);
  EXPECT_EQ(first.bytes().data(), data);
}

TEST(NodeMemory, RefusesANodeThatIsNotThereAndAnImpossibleSize) {
  EXPECT_NE(
      refusal(ExitCode::machine_cannot, [] { NodeMemory(4096, 900, NodeMemory::Populate::now); }).find("node 900"),
      std::string::npos);
  refusal(ExitCode::machine_cannot, [] { NodeMemory(4096, 5000, NodeMemory::Populate::now); });
  refusal(ExitCode::machine_cannot, [] { NodeMemory(0, 0, NodeMemory::Populate::now); });
  refusal(ExitCode::machine_cannot, [] { NodeMemory(SIZE_MAX, 0, NodeMemory::Populate::now); });
  refusal(ExitCode::machine_cannot, [] { NodeMemory(std::size_t{1} << 60, 0, NodeMemory::Populate::on_first_touch); });
}

TEST(PinThisThread, RunsItOnThatCpu) {
  for (const Core& core : read_topology().cores) {
    int ran_on = -1;
    std::thread pinned([&] {
      pin_this_thread(core.cpu);
      ran_on = ::sched_getcpu();
    });
    pinned.join();
    EXPECT_EQ(ran_on, static_cast<int>(core.cpu));
  }
}

TEST(PinThisThread, RefusesACpuThatIsNotThere) {
  EXPECT_NE(refusal(ExitCode::machine_cannot, [] { pin_this_thread(1000); }).find("cpu 1000"), std::string::npos);
  refusal(ExitCode::machine_cannot, [] { pin_this_thread(1'000'000); });
}

}  // namespace
}  // namespace numa::test
