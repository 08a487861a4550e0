// The plugin over a capture file exactly as `engine --pcap FILE --plugin ...` runs it, its results and log lines
// caught.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/cli/settings.h"

namespace engine::check {

struct DryRun {
  std::vector<std::string> lines;  // the first results
  std::uint64_t results = 0;       // all of them
  std::vector<std::string> log;    // warnings and errors, "NAME: text"
};

// Drops the process's privileges as any run does. Throws SetupError.
DryRun dry_run(const cli::PluginSetting& plugin, const std::string& pcap_path, std::uint64_t lines);

}  // namespace engine::check
