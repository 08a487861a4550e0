// --dump: the settings written as a configuration. It walks the options that the configuration is read through, so a
// new setting is dumped without a line here.
#include <charconv>
#include <cstdio>

#include "engine/cli/plugin_flag.h"
#include "engine/cli/settings_table.h"

namespace engine::cli {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.append("\\").push_back(c);
    } else if (c == '\n') {
      out.append("\\n");
    } else if (byte < 0x20 || byte == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\%03u", byte);
      out.append(escape);
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

// The shortest text that reads back as the same number.
std::string number_text(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string literal(const Option& option, const std::vector<std::string>& values) {
  switch (option.value.kind) {
    case ValueKind::flag:
    case ValueKind::real:
      return values.front();
    case ValueKind::number: {
      const bool digits = values.front().find_first_not_of("0123456789") == std::string::npos;
      return digits ? values.front() : quoted(values.front());
    }
    case ValueKind::list:
    case ValueKind::repeated: {
      std::string out = "{ ";
      for (const std::string& value : values) out.append(quoted(value)).append(", ");
      return out + "}";
    }
    default:
      return quoted(values.front());
  }
}

std::string fields_of(std::span<const Option> options, std::string_view block) {
  std::string out;
  for (const Option& option : options) {
    if (!option.config_key.starts_with(block) || !option.value.get) continue;
    const std::vector<std::string> values = option.value.get();
    if (values.empty()) continue;
    out.append("  ").append(option.config_key.substr(block.size())).append(" = ");
    out.append(literal(option, values)).append(",\n");
  }
  return out;
}

std::string argument_literal(const ArgumentValue& value) {
  if (const double* number = std::get_if<double>(&value)) return number_text(*number);
  if (const std::string* text = std::get_if<std::string>(&value)) return quoted(*text);
  return std::get<bool>(value) ? "true" : "false";
}

std::string plugin_text(PluginSetting plugin) {
  const std::string name = quoted(plugin.path.empty() ? plugin.name : plugin.path);
  std::string out = "plugin " + name + " {\n" + fields_of(plugin_options(plugin), "plugin.");
  if (!plugin.args.empty()) {
    out.append("  args = { ");
    for (const auto& [key, value] : plugin.args) {
      out.append("[").append(quoted(key)).append("] = ").append(argument_literal(value)).append(", ");
    }
    out.append("},\n");
  }
  return out + "}\n";
}

}  // namespace

std::string configuration_text(const Settings& settings) {
  Settings copy = settings;
  Actions actions;
  const std::vector<Option> options = capture_options(copy, actions);
  std::string out = "capture {\n" + fields_of(options, "capture.") + "}\n";
  for (const PluginSetting& plugin : settings.plugins) out.append(plugin_text(plugin));
  if (!settings.write_path.empty()) out.append("sink \"pcapng\" {\n" + fields_of(options, "pcapng.") + "}\n");
  return out + "sink \"json\" {\n" + fields_of(options, "sink.") + "}\n";
}

}  // namespace engine::cli
