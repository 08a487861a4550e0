// The machine that a figure was taken on, as far as it tells what the figure means. Read once, at set-up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/results/json.h"

namespace engine::bench {

struct Machine {
  std::string cpu;  // "unknown" where the kernel does not say
  std::uint32_t cores = 1;
  std::uint32_t threads_per_core = 1;
  std::uint32_t numa_nodes = 1;
  std::uint64_t memory_bytes = 0;
  std::string kernel;
  std::optional<std::string> hypervisor;  // nothing: none that can be seen
  std::optional<std::string> governor;    // nothing: the frequency is not this kernel's to choose
  std::vector<std::pair<std::string, std::string>> mitigations;  // by vulnerability, in the kernel's words
  bool counters = false;                                         // cycles can be counted
};

// Throws SetupError. `root`: where /proc and /sys are found, for tests.
Machine read_machine(const std::string& root = {});

std::string to_text(const Machine& machine);  // a few lines
void add_machine(JsonWriter& json, const Machine& machine);

}  // namespace engine::bench
