// What a plugin's author is told: the reference, the definitions for editors, and what is wrong with a plugin that need
// not run for that. All of it comes from the data in plugins/api/.
//
// Each call makes a Lua state of its own, with all of Lua's libraries: the author's code is read there, never run.
// Set-up code, for any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace plugins {

std::string reference();      // plugins/REFERENCE.md
std::string definitions();    // for LuaLS
std::string editor_plugin();  // for LuaLS: the types of the hooks' parameters

enum class Severity { error, warning, advice };
std::string_view name_of(Severity severity);

// What is to be said about one line of a plugin.
struct Finding {
  Severity severity = Severity::error;
  std::string rule;  // a word for machines
  std::string file;
  int line = 0;  // 0: about the whole file
  std::string text;
};

struct LintOptions {
  std::string file;      // as findings name it
  bool trusted = false;  // the plugin has ffi
  bool module = false;   // a file that a plugin requires
};

struct Lint {
  std::vector<Finding> findings;     // in the order of the lines
  std::vector<std::string> modules;  // what it requires by name
};

// Code that does not compile gives the compiler's error alone.
Lint lint(std::string_view code, const LintOptions& options);

}  // namespace plugins
