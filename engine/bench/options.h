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

// Parses `own` and what is shared, and sees that the JSON file can be written before anything is measured. Throws
// SetupError(bad_usage).
void parse(std::string_view command, std::vector<cli::Option> own, std::vector<cli::Option> shared_ones, Shared& shared,
           std::span<char* const> args);

// Usage, a text, and the options.
void print_help(std::string_view command, std::string_view usage, std::string_view text, std::vector<cli::Option> own,
                std::vector<cli::Option> shared_ones);

// The interface that a command needs, given as --iface IF[:QUEUES]; throws SetupError(bad_usage) if it is empty.
void require_interface(std::string_view command, const cli::InterfaceSetting& interface);
cli::Option interface_option(cli::InterfaceSetting& interface, std::string_view help);

}  // namespace engine::bench
