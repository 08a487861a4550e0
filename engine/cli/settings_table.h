// The options of the capture command and of one plugin, bound to where their values go (main thread, set-up).
#pragma once

#include <vector>

#include "engine/cli/options.h"
#include "engine/cli/settings.h"

namespace engine::cli {

// Flags that are actions rather than settings.
struct Actions {
  bool help = false;
  bool version = false;
  bool dump = false;
  std::vector<std::string> plugins;  // --plugin FILE,k=v as written
  std::vector<std::string> evals;
};

// Both structs must outlive the options.
std::vector<Option> capture_options(Settings& settings, Actions& actions);

// Keys of a configuration's plugin block; `args` is not among them, being any plain values.
std::vector<Option> plugin_options(PluginSetting& plugin);

// Whether an option says something about an interface only, and so contradicts --pcap.
bool is_live_only(std::string_view option_name);

}  // namespace engine::cli
