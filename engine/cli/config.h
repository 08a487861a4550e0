// The configuration file: Lua blocks into the settings, through the same options that the flags go through.
#pragma once

#include <span>
#include <string>

#include "engine/cli/lua_data.h"
#include "engine/cli/options.h"
#include "engine/cli/settings.h"

namespace engine::cli {

// Reads `path` into what `options` are bound to, and its plugins into `settings.plugins`. Throws SetupError(bad_usage)
// as "file:line: block.key: reason; remedy".
void read_configuration(const std::string& path, std::span<const Option> options, Settings& settings);

// The same from text; `path` is only for messages.
void read_configuration_text(const std::string& path, std::string text, std::span<const Option> options,
                             Settings& settings);

}  // namespace engine::cli
