// The kinds of native structures that a plugin can declare, and how each is made. Set-up threads.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/key.h"
#include "plugins/record.h"
#include "plugins/runtime.h"
#include "plugins/structure.h"

namespace plugins {

// What a plugin declared, as the library's Lua code has checked it.
struct Declaration {
  std::string name;  // unique within the plugin; nothing is published of one without
  KeySpec key = KeySpec::values();
  std::vector<RecordField> fields;                         // typed fields of its entries
  std::vector<std::pair<std::string, std::string>> items;  // text, and a value for it or nothing
  Arguments options;                                       // all else, by name
  const PluginSpec* plugin = nullptr;
  bool dry = false;  // for a dry run, thrown away after some batches

  double number(std::string_view option) const;     // 0 if it was not given
  bool truth(std::string_view option) const;        // false if it was not given
  std::string text(std::string_view option) const;  // empty if it was not given
};

struct Made {
  std::unique_ptr<Part> active;
  std::unique_ptr<Part> spare;
  std::unique_ptr<Table> table;
};

// Throws engine::SetupError, or std::bad_alloc. `kind` is one that the library's Lua code asks for.
Made make_structure(std::string_view kind, const Declaration& declaration);

}  // namespace plugins
