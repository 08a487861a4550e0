// Which cores this process may use, on which memory node they are, and which worker runs where.
//
// read_topology() asks hwloc and sysfs once and keeps plain values; place() is a pure function of them. Main thread,
// set-up only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace numa {

// Processor and node numbers are the kernel's ("OS indexes").
struct Core {
  unsigned cpu = 0;
  unsigned node = 0;
};

struct Topology {
  std::vector<Core> cores;  // online and in the calling thread's affinity mask, by cpu; never empty
  unsigned nodes = 1;
};

// Throws engine::SetupError.
Topology read_topology();

// The node an interface's device hangs on; nothing for virtual devices and where the firmware does not say.
std::optional<unsigned> node_of_interface(std::string_view interface_name);

struct WorkerPlacement {
  unsigned cpu = 0;
  unsigned node = 0;
  std::vector<std::uint32_t> queues;
};

struct Placement {
  std::vector<WorkerPlacement> workers;  // each has at least one queue
  bool spins = false;                    // more cores than workers: busy polling takes nothing from anybody else
};

struct PlacementRequest {
  std::uint32_t queues = 1;
  std::uint32_t workers = 0;        // 0: one per queue, as far as the NIC's node has cores, less one for everybody else
  std::vector<unsigned> cpus = {};  // use just these, in this order; empty: the NIC's node first, then the others
  std::optional<unsigned> nic_node = {};
};

// Deals queues to workers and workers to cores, round robin. Throws engine::SetupError (bad_usage) if more workers than
// queues or than cores are asked for, or a cpu is not ours.
Placement place(const Topology& topology, const PlacementRequest& request);

}  // namespace numa
