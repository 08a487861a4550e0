#include "numa/topology.h"

#include <hwloc.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>

#include "engine/base/error.h"

namespace numa {
namespace {

using engine::ExitCode;
using engine::SetupError;

// Larger numbers are typing errors: no kernel is built for more (CONFIG_NR_CPUS is at most 8192 on x86).
constexpr unsigned max_cpu = 8191;

struct Destroy {
  void operator()(hwloc_topology* topology) const noexcept { hwloc_topology_destroy(topology); }
};
using Handle = std::unique_ptr<hwloc_topology, Destroy>;

// Without caches, devices and memory attributes: processors and nodes are all that is asked. The handle goes when the
// answer is copied, so that none of it stays in memory while packets flow.
Handle load() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) throw SetupError(ExitCode::machine_cannot, "read the topology", "hwloc failed");
  Handle topology(raw);
  hwloc_topology_set_all_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  // A node hangs below an object that has its cores; without one hwloc hangs all nodes below the machine, and every
  // core seems to belong to each. Groups are made for that where nothing else is kept.
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
  hwloc_topology_set_flags(
      raw, HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS | HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS);
  if (hwloc_topology_load(raw) != 0) throw SetupError(ExitCode::machine_cannot, "read the topology", "hwloc failed");
  return topology;
}

struct Free {
  void operator()(hwloc_bitmap_s* bitmap) const noexcept { hwloc_bitmap_free(bitmap); }
};

// The calling thread's affinity mask. hwloc's own restriction to it (RESTRICT_TO_CPUBINDING) takes the whole process's.
std::unique_ptr<hwloc_bitmap_s, Free> affinity_mask(hwloc_topology* topology) {
  std::unique_ptr<hwloc_bitmap_s, Free> mask(hwloc_bitmap_alloc_full());
  if (mask && hwloc_get_cpubind(topology, mask.get(), HWLOC_CPUBIND_THREAD) != 0) hwloc_bitmap_fill(mask.get());
  return mask;
}

const Core& core_of(const Topology& topology, unsigned cpu) {
  const auto found = std::ranges::find(topology.cores, cpu, &Core::cpu);
  if (found == topology.cores.end())
    throw SetupError(ExitCode::bad_usage, "cpu " + std::to_string(cpu),
                     "it is not online or not in this process's affinity mask", "taskset -p $$ shows the mask");
  return *found;
}

// The cores to use, best first.
std::vector<Core> candidates(const Topology& topology, const PlacementRequest& request) {
  std::vector<Core> cores;
  if (!request.cpus.empty()) {
    for (const unsigned cpu : request.cpus) cores.push_back(core_of(topology, cpu));
    return cores;
  }
  cores = topology.cores;
  const auto others = std::stable_partition(
      cores.begin(), cores.end(), [&](const Core& core) { return core.node == request.nic_node.value_or(0); });
  // A node's first core comes last: interrupts and the kernel's housekeeping land there unless somebody moved them.
  if (others - cores.begin() > 1) std::rotate(cores.begin(), cores.begin() + 1, others);
  return cores;
}

std::size_t default_workers(const std::vector<Core>& cores, const PlacementRequest& request) {
  // Naming cores says how many workers are wanted.
  if (!request.cpus.empty()) return std::min<std::size_t>(request.queues, cores.size());
  auto near = static_cast<std::size_t>(
      std::ranges::count(cores, request.nic_node.value_or(0), [](const Core& core) { return core.node; }));
  if (near == 0) near = cores.size();  // the affinity mask leaves none on the NIC's node
  return std::min<std::size_t>(request.queues, std::max<std::size_t>(near - 1, 1));
}

}  // namespace

Topology read_topology() {
  const Handle topology = load();
  Topology result;
  result.nodes = static_cast<unsigned>(std::max(1, hwloc_get_nbobjs_by_type(topology.get(), HWLOC_OBJ_NUMANODE)));
  const auto ours = affinity_mask(topology.get());
  hwloc_obj_t unit = nullptr;
  while ((unit = hwloc_get_next_obj_by_type(topology.get(), HWLOC_OBJ_PU, unit)) != nullptr) {
    if (ours && hwloc_bitmap_isset(ours.get(), unit->os_index) == 0) continue;
    const int node = unit->nodeset != nullptr ? hwloc_bitmap_first(unit->nodeset) : 0;
    result.cores.push_back({unit->os_index, node < 0 ? 0 : static_cast<unsigned>(node)});
  }
  if (result.cores.empty()) throw SetupError(ExitCode::machine_cannot, "read the topology", "hwloc found no core");
  std::ranges::sort(result.cores, {}, &Core::cpu);
  return result;
}

std::optional<unsigned> node_of_interface(std::string_view interface_name) {
  std::ifstream file("/sys/class/net/" + std::string(interface_name) + "/device/numa_node");
  int node = -1;
  if (!(file >> node) || node < 0) return std::nullopt;
  return static_cast<unsigned>(node);
}

Placement place(const Topology& topology, const PlacementRequest& request) {
  const std::vector<Core> cores = candidates(topology, request);
  const std::size_t workers = request.workers != 0 ? request.workers : default_workers(cores, request);
  const auto refuse = [&](const std::string& reason) {
    throw SetupError(ExitCode::bad_usage, std::to_string(workers) + " workers", reason, "use fewer with --workers");
  };
  if (workers == 0) throw SetupError(ExitCode::bad_usage, "0 queues", "there must be at least one queue");
  if (workers > request.queues) refuse("there are only " + std::to_string(request.queues) + " queues to share out");
  if (workers > cores.size()) refuse("there are only " + std::to_string(cores.size()) + " cores to run on");

  Placement placement;
  for (std::size_t i = 0; i < workers; ++i) placement.workers.push_back({cores[i].cpu, cores[i].node, {}});
  for (std::uint32_t queue = 0; queue < request.queues; ++queue)
    placement.workers[queue % workers].queues.push_back(queue);
  // The collector, the kernel's own work and the operator's shell need a core that never waits for us.
  placement.spins = topology.cores.size() > workers;
  return placement;
}

}  // namespace numa
