// Lists that come with a plugin, for sets and networks: text files with one entry per line. Set-up, main thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plugins/runtime.h"

namespace plugins {

struct Item {
  std::string text;
  std::string value;
  std::uint32_t line = 0;  // from 1
};

// What a plugin may read: a file in its own folder, given by name alone, or one that the operator named in the plugin's
// arguments. Throws engine::SetupError for any other.
std::string item_file_path(const PluginSpec& plugin, const std::string& file);

// Up to so many entries; blank lines and what follows a # are skipped. `values`: the first word of a line is the text,
// the rest the value; otherwise all of it is the text. Throws engine::SetupError for what can't be read
// or is no regular file.
std::vector<Item> read_items(const std::string& path, std::size_t at_most, bool values);

}  // namespace plugins
