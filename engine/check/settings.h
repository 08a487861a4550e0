// What `engine check` was asked for.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/cli/settings.h"

namespace engine::check {

struct Settings {
  cli::PluginSetting plugin;
  std::string pcap_path;  // empty: the built-in traffic
  std::uint64_t lines = 10;
  bool json = false;
  bool strict = false;
  std::string editor_folder;  // where to write what LuaLS needs; empty: not asked for
  bool definitions = false;
  bool reference = false;
  bool help = false;
};

// `args`: what follows "check". Throws SetupError(bad_usage).
Settings parse_settings(std::span<char* const> args);
std::string help_text();

}  // namespace engine::check
