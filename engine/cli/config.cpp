#include "engine/cli/config.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "engine/base/error.h"
#include "engine/cli/plugin_flag.h"
#include "engine/cli/settings_table.h"

namespace engine::cli {
namespace {

constexpr LuaBlockKind known_blocks[] = {{"capture", false}, {"plugin", true}, {"sink", true}};
constexpr std::string_view later_blocks[] = {"ebpf", "xdp", "nic", "control"};

// Keys that a reader of the manual may expect and that are not built; naming them unknown would mislead.
constexpr std::string_view later_keys[] = {"sink.rotate"};

struct Place {
  const LuaBlocks& file;
  const LuaBlock& block;

  std::string of(std::string_view key) const {
    const int line = line_of_key(file.source, block.line, key);
    return file.file + ":" + std::to_string(line) + ": " + block.kind + "." + std::string(key);
  }
};

std::string_view type_of(const LuaData& data) {
  constexpr std::string_view names[] = {"a boolean", "a number", "a string", "a table"};
  return names[data.value.index()];
}

// Whole numbers in digits, as the options read them: the shortest form of 1000000 would be 1e+06.
std::string number_text(double value) {
  char buffer[32];
  if (std::trunc(value) == value && std::fabs(value) <= 0x1p53)
    return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr};
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

[[noreturn]] void wrong_type(const LuaData& data, const Option& option, std::string_view wanted) {
  std::string reason = "must be " + std::string(wanted) + ", not " + std::string(type_of(data));
  throw BadValue{reason, option.value.allowed.empty() ? "" : "allowed: " + option.value.allowed};
}

// A value as the text that the flag of the same option would have.
std::string scalar_text(const LuaData& data, const Option& option) {
  const bool* const truth = std::get_if<bool>(&data.value);
  const double* const number = std::get_if<double>(&data.value);
  const std::string* const text = std::get_if<std::string>(&data.value);
  switch (option.value.kind) {
    case ValueKind::flag:
      if (truth != nullptr) return *truth ? "true" : "false";
      wrong_type(data, option, "true or false");
    case ValueKind::number:
    case ValueKind::real:
    case ValueKind::size: {
      if (number != nullptr) return number_text(*number);
      // "all" and "64MiB" are strings; "8" is a mistake that would hide others.
      const bool word = text != nullptr && (option.value.kind == ValueKind::size || text->empty() ||
                                            std::isalpha(static_cast<unsigned char>(text->front())) != 0);
      if (word) return *text;
      wrong_type(data, option, option.value.kind == ValueKind::size ? "a number or a string" : "a number");
    }
    default:
      if (text != nullptr) return *text;
      wrong_type(data, option, "a string");
  }
}

void set_option(const Option& option, const LuaData& data) {
  if (option.value.kind != ValueKind::list && option.value.kind != ValueKind::repeated) {
    option.value.set(scalar_text(data, option));
    return;
  }
  const LuaTable* const table = std::get_if<LuaTable>(&data.value);
  if (table == nullptr || !table->fields.empty())
    throw BadValue{"must be a list of strings", "write { \"...\", \"...\" }"};
  option.value.clear();
  for (const LuaData& item : table->items) {
    const std::string* const text = std::get_if<std::string>(&item.value);
    if (text == nullptr) throw BadValue{"holds " + std::string(type_of(item)), "every entry must be a string"};
    option.value.set(*text);
  }
}

// What the options' keys of a block begin with.
std::string prefix_of(const LuaBlock& block) {
  return block.kind == "sink" && block.name == "pcapng" ? "pcapng." : block.kind + ".";
}

[[noreturn]] void unknown_key(const Place& place, const std::string& key, std::span<const Option> options,
                              std::string_view extra_key) {
  const std::string full = place.block.kind + "." + key;
  if (std::find(std::begin(later_keys), std::end(later_keys), full) != std::end(later_keys)) {
    throw SetupError(ExitCode::bad_usage, place.of(key), "is not available yet");
  }
  const std::string prefix = prefix_of(place.block);
  std::vector<std::string_view> keys;
  if (!extra_key.empty()) keys.push_back(extra_key);
  for (const Option& option : options) {
    if (option.config_key.starts_with(prefix)) keys.push_back(option.config_key.substr(prefix.size()));
  }
  std::sort(keys.begin(), keys.end());
  std::string remedy = did_you_mean(key, keys);
  if (remedy.empty()) remedy = "known keys: " + detail::join_words(keys);
  throw SetupError(ExitCode::bad_usage, place.of(key), "unknown key", remedy);
}

void set_fields(const Place& place, std::span<const Option> options, std::string_view extra_key = {}) {
  for (const auto& [key, data] : place.block.content.fields) {
    if (key == extra_key) continue;
    const std::string full = prefix_of(place.block) + key;
    const auto option =
        std::find_if(options.begin(), options.end(), [&](const auto& o) { return o.config_key == full; });
    if (option == options.end()) unknown_key(place, key, options, extra_key);
    try {
      set_option(*option, data);
    } catch (const BadValue& bad) {
      throw SetupError(ExitCode::bad_usage, place.of(key), bad.reason, bad.remedy);
    }
  }
  if (!place.block.content.items.empty()) {
    throw SetupError(ExitCode::bad_usage,
                     place.file.file + ":" + std::to_string(place.block.line) + ": " + place.block.kind,
                     "holds a value without a key", "write key = value");
  }
}

Arguments take_arguments(const Place& place, const LuaData& data) {
  const LuaTable* const table = std::get_if<LuaTable>(&data.value);
  if (table == nullptr || !table->items.empty()) {
    throw SetupError(ExitCode::bad_usage, place.of("args"), "must be a table of named values",
                     "write args = { k = 20 }");
  }
  Arguments args;
  for (const auto& [key, value] : table->fields) {
    if (const bool* truth = std::get_if<bool>(&value.value)) args.emplace_back(key, *truth);
    if (const double* number = std::get_if<double>(&value.value)) {
      if (!std::isfinite(*number))
        throw SetupError(ExitCode::bad_usage, place.of("args") + "." + key, "must be finite");
      args.emplace_back(key, *number);
    }
    if (const std::string* text = std::get_if<std::string>(&value.value)) args.emplace_back(key, *text);
    if (std::holds_alternative<LuaTable>(value.value)) {
      throw SetupError(ExitCode::bad_usage, place.of("args") + "." + key,
                       "must be true, false, a number or a string, not a table");
    }
  }
  return args;
}

PluginSetting take_plugin(const Place& place) {
  PluginSetting plugin;
  const std::vector<Option> options = plugin_options(plugin);
  set_fields(place, options, "args");
  for (const auto& [key, data] : place.block.content.fields) {
    if (key == "args") plugin.args = take_arguments(place, data);
  }
  if (place.block.name.empty())
    throw SetupError(ExitCode::bad_usage, place.of("name"), "the plugin's file name is empty");
  if (!plugin.code.empty()) {
    if (plugin.name.empty()) plugin.name = place.block.name;
    return plugin;
  }
  plugin.path = place.block.name;
  if (plugin.name.empty()) plugin.name = default_plugin_name(plugin.path);
  return plugin;
}

std::string name_of(const LuaBlock& block) { return block.kind == "sink" ? "sink \"" + block.name + "\"" : block.kind; }

// Blocks that there can be one of, since each kind of output is written to one place and the interfaces share their
// settings.
void refuse_second(const LuaBlocks& file, const LuaBlock& block) {
  const auto same = [&](const LuaBlock& other) { return other.kind == block.kind && other.name == block.name; };
  if (&*std::find_if(file.blocks.begin(), file.blocks.end(), same) == &block) return;
  throw SetupError(ExitCode::bad_usage, file.file + ":" + std::to_string(block.line) + ": " + block.kind,
                   "a second " + name_of(block) + " block is not available yet", "keep one");
}

// The same thing said in two ways: which one counts would depend on nothing that can be seen.
void refuse_both(const Place& place) {
  constexpr std::pair<std::string_view, std::string_view> pairs[] = {{"interface", "interfaces"},
                                                                     {"filter", "filter_file"}};
  const auto has = [&](std::string_view key) {
    const auto& fields = place.block.content.fields;
    return std::any_of(fields.begin(), fields.end(), [&](const auto& field) { return field.first == key; });
  };
  for (const auto& [one, other] : pairs) {
    if (place.block.kind != "capture" || !has(one) || !has(other)) continue;
    throw SetupError(ExitCode::bad_usage, place.of(other), "is given beside " + std::string(one),
                     "give one of the two");
  }
}

void apply_blocks(const LuaBlocks& file, std::span<const Option> options, Settings& settings) {
  for (const LuaBlock& block : file.blocks) {
    const Place place{file, block};
    if (block.kind == "plugin") {
      settings.plugins.push_back(take_plugin(place));
      continue;
    }
    refuse_second(file, block);
    if (block.kind == "sink" && block.name != "json" && block.name != "pcapng") {
      throw SetupError(ExitCode::bad_usage, file.file + ":" + std::to_string(block.line) + ": " + name_of(block),
                       "unknown kind of sink", "known: json, pcapng");
    }
    refuse_both(place);
    set_fields(place, options);
  }
  check_plugin_names(settings.plugins);
}

}  // namespace

void read_configuration(const std::string& path, std::span<const Option> options, Settings& settings) {
  apply_blocks(read_lua_blocks(path, known_blocks, later_blocks), options, settings);
}

void read_configuration_text(const std::string& path, std::string text, std::span<const Option> options,
                             Settings& settings) {
  apply_blocks(run_lua_blocks(path, std::move(text), known_blocks, later_blocks), options, settings);
}

}  // namespace engine::cli
