#include "engine/cli/plugin_flag.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "engine/base/error.h"

namespace engine::cli {
namespace {

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == ',') {
      parts.back().push_back(text[++i]);
    } else if (text[i] == ',') {
      parts.emplace_back();
    } else {
      parts.back().push_back(text[i]);
    }
  }
  return parts;
}

[[noreturn]] void refuse(std::string_view flag, std::string_view reason, std::string_view remedy) {
  throw SetupError(ExitCode::bad_usage, "--plugin " + std::string(flag), reason, remedy);
}

void set_argument(Arguments& args, const std::string& key, const ArgumentValue& value) {
  const auto it = std::find_if(args.begin(), args.end(), [&](const auto& arg) { return arg.first == key; });
  if (it == args.end()) {
    args.emplace_back(key, value);
  } else {
    it->second = value;
  }
}

PluginSetting* find_plugin(std::vector<PluginSetting>& plugins, std::string_view name, std::size_t among) {
  for (std::size_t i = 0; i < among; ++i) {
    if (plugins[i].name == name) return &plugins[i];
  }
  return nullptr;
}

}  // namespace

ArgumentValue typed_argument(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  // from_chars also knows "inf" and "nan", which are words here.
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (!digits.empty() && std::isdigit(static_cast<unsigned char>(digits.front()))) {
    double number = 0;
    const char* const end = text.data() + text.size();
    const auto [last, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
    if (error == std::errc() && last == end) return number;
  }
  return std::string(text);
}

std::string argument_text(const ArgumentValue& value) {
  if (const bool* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const std::string* text = std::get_if<std::string>(&value)) return *text;
  // The longest double in fixed notation has 309 digits before the point or 1,074 after it.
  char buffer[1500];
  const auto [end, error] =
      std::to_chars(buffer, buffer + sizeof buffer, std::get<double>(value), std::chars_format::fixed);
  return error == std::errc() ? std::string(buffer, end) : std::string();
}

std::string default_plugin_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  std::string_view name = slash == path.npos ? path : path.substr(slash + 1);
  if (name.size() > 4 && name.ends_with(".lua")) name.remove_suffix(4);
  return std::string(name);
}

PluginSetting parse_plugin_flag(std::string_view text) {
  const std::vector<std::string> parts = split_at_commas(text);
  PluginSetting plugin;
  plugin.path = parts.front();
  if (plugin.path.empty()) refuse(text, "names no file", "write --plugin FILE.lua,key=value");
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::size_t equals = parts[i].find('=');
    if (equals == std::string::npos || equals == 0) {
      refuse(text, "'" + parts[i] + "' is not an argument", "write key=value, and \\, for a comma inside a value");
    }
    const std::string key = parts[i].substr(0, equals);
    const std::string value = parts[i].substr(equals + 1);
    const auto same = [&](const auto& arg) { return arg.first == key; };
    const bool twice = key == "name" ? !plugin.name.empty() : std::any_of(plugin.args.begin(), plugin.args.end(), same);
    if (twice) refuse(text, "'" + key + "' is given twice", {});
    if (key == "name") {
      if (value.empty()) refuse(text, "the name is empty", "write name=NAME");
      plugin.name = value;
    } else {
      plugin.args.emplace_back(key, typed_argument(value));
    }
  }
  if (plugin.name.empty()) plugin.name = default_plugin_name(plugin.path);
  return plugin;
}

void merge_plugin_flags(std::vector<PluginSetting>& plugins, const std::vector<std::string>& flags,
                        const std::vector<std::string>& evals) {
  const std::size_t configured = plugins.size();
  for (const std::string& text : flags) {
    PluginSetting plugin = parse_plugin_flag(text);
    PluginSetting* known = find_plugin(plugins, plugin.name, configured);
    if (known == nullptr) {
      plugins.push_back(std::move(plugin));
      continue;
    }
    known->path = plugin.path;
    known->code.clear();
    for (const auto& [key, value] : plugin.args) set_argument(known->args, key, value);
  }
  for (const std::string& code : evals) {
    PluginSetting plugin;
    plugin.code = code;
    plugin.name = "eval";
    for (int n = 2; find_plugin(plugins, plugin.name, plugins.size()) != nullptr; ++n)
      plugin.name = "eval" + std::to_string(n);
    plugins.push_back(std::move(plugin));
  }
  check_plugin_names(plugins);
}

void check_plugin_names(const std::vector<PluginSetting>& plugins) {
  for (std::size_t i = 0; i < plugins.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (plugins[i].name != plugins[j].name) continue;
      const PluginSetting& second = plugins[i];
      throw SetupError(ExitCode::bad_usage, "plugin " + (second.path.empty() ? second.name : second.path),
                       "a plugin named '" + second.name + "' is loaded already",
                       "give this one a name of its own: --plugin FILE,name=NAME or name = \"NAME\"");
    }
  }
}

}  // namespace engine::cli
