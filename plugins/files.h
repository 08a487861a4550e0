// Small set-up helpers of the loader: reading source files, and plain values for Lua.
#pragma once

#include <lua.hpp>
#include <string>
#include <utility>
#include <vector>

#include "plugins/runtime.h"

namespace plugins {

// 0, or the errno.
int read_text(const std::string& path, std::string& text);

// The same by the plugin's own snapshot, if it has one.
int read_source(const PluginSpec& spec, const std::string& path, std::string& text);

// The path of module `name` (without .lua) in the folder of `path`.
std::string file_beside(const std::string& path, const std::string& name);

// Pushes a table of the arguments.
void push_args(lua_State* L, const Arguments& args);

// Pushes what on_start gets.
void push_info(lua_State* L, const Seat& seat);

}  // namespace plugins
