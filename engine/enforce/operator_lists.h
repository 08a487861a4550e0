// What the operator lists in files and in the configuration: sources to block, flows to bypass, each for good or for
// some seconds. Main thread, set-up.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bpf/block_list.h"
#include "bpf/root_config.h"
#include "engine/cli/settings.h"
#include "engine/enforce/enforcement.h"
#include "engine/enforce/flow.h"
#include "engine/enforce/source.h"

namespace engine {

struct OperatorLists {
  bpf::BlockList blocked;
  std::vector<std::pair<Source, double>> blocked_for_s;
  std::vector<std::pair<Flow, double>> bypassed_for_s;  // Enforcement::kForGood_s: for good
};

// A file has an entry a line, `#` begins a comment: "ADDRESS[/LENGTH] [SECONDS]" and "PROTOCOL END END [SECONDS]". The
// configuration has the same entries in lists. Throws SetupError(bad_usage) that names the line.
OperatorLists read_operator_lists(const cli::Settings& settings);

// What of the three stages the operator asks for, as bits of engine_use: with a control socket all of them.
std::uint32_t stages_of(const cli::Settings& settings, const OperatorLists& lists);

// What may be in the lists beside the operator's entries for good.
struct ListRooms {
  std::uint32_t addresses = 0;
  std::uint32_t networks = 0;
  std::uint32_t flows = 0;
};
constexpr std::uint32_t kLeastNetworks = 1024;
constexpr std::uint32_t kAddressesPerNetwork = 64;
// Sources whose rate is known at a time.
constexpr std::uint32_t kRateSources = 65536;
ListRooms list_rooms(const cli::Settings& settings, const OperatorLists& lists);

// The stages that are asked for (`uses`, of engine_use), with room and with the operator's entries for good.
void add_stages(const cli::Settings& settings, std::uint32_t uses, const OperatorLists& lists, bpf::RootConfig& to);

// For what keeps the lists while packets flow; without the hooks to the kernel and to the outputs.
EnforcementConfig enforcement_config(const cli::Settings& settings, const OperatorLists& lists);
// The operator's entries that have an end, and the flows. Throws SetupError(runtime_failure).
void put_in_force(const OperatorLists& lists, Enforcement& enforcement, std::uint64_t now_ns);

}  // namespace engine
