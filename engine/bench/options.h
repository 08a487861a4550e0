// What the benchmarks' commands have in common: options, and how their settings become those of a capture.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "engine/cli/options.h"
#include "engine/cli/settings.h"
#include "xsk/mode.h"

namespace engine::bench {

struct Shared {
  xsk::RequestedMode mode = xsk::RequestedMode::automatic;
  std::uint32_t queues = 0;  // 0: all
  std::uint32_t batch = 64;  // packets taken or given at once
  std::string cpus = {};     // one for each thread that is measured; empty: chosen by topology
  cli::WaitMode wait = cli::WaitMode::automatic;
  double duration_s = 1;  // of a round
  std::uint32_t rounds = 5;
  std::string json_path = {};
  bool help = false;
};

// Those of "mode", "queues", "batch", "cpus", "wait", "duration", "rounds" that are named, then --json and --help.
// `shared` outlives them; its values are the defaults.
std::vector<cli::Option> shared_options(Shared& shared, std::initializer_list<std::string_view> names);

struct Command {
  std::string_view name;
  std::string_view usage;  // what stands behind the name
  std::string_view text;   // for --help
};

// Parses `own` and what is shared, and sees that the JSON file can be written before anything is measured. False:
// --help was asked for, and has been printed. Throws SetupError(bad_usage).
bool parse(const Command& command, std::vector<cli::Option> own, std::vector<cli::Option> shared_ones, Shared& shared,
           std::span<char* const> args);

// The interface that a command needs, given as --iface IF[:QUEUES]; throws SetupError(bad_usage) if it is empty.
void require_interface(std::string_view command, const cli::InterfaceSetting& interface);
cli::Option interface_option(cli::InterfaceSetting& interface, std::string_view help);

// Of commands that measure from the first packet on: --take-all, --count (one round), --patience.
std::vector<cli::Option> first_packet_options(bool& take_all, std::uint64_t& limit, double& patience_s);

// A capture on one interface as the options want it.
cli::Settings capture_settings(const cli::InterfaceSetting& interface, bool take_all, const Shared& shared);

}  // namespace engine::bench
