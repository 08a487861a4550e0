// The flag form of a plugin: --plugin FILE,k=v,k=v (main thread, set-up).
#pragma once

#include <string_view>
#include <vector>

#include "engine/cli/settings.h"

namespace engine::cli {

// `name` is the instance's name, every other key an argument. A comma that belongs to the file's name or to a value is
// written `\,`; a backslash before anything else is itself. Throws SetupError(bad_usage).
PluginSetting parse_plugin_flag(std::string_view text);

ArgumentValue typed_argument(std::string_view text);
std::string argument_text(const ArgumentValue& value);  // the inverse: what a flag would say

// The file's name without folder and .lua.
std::string default_plugin_name(std::string_view path);

// Plugins of the flags over those of the configuration: a flag whose instance name the configuration knows changes
// that one's arguments, any other is added. Throws SetupError if two instances have one name.
void merge_plugin_flags(std::vector<PluginSetting>& plugins, const std::vector<std::string>& flags,
                        const std::vector<std::string>& evals);
void check_plugin_names(const std::vector<PluginSetting>& plugins);

}  // namespace engine::cli
