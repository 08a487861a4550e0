#include "engine/check/settings.h"

#include <vector>

#include "engine/base/error.h"
#include "engine/cli/options.h"
#include "engine/cli/plugin_flag.h"

namespace engine::check {
namespace {

constexpr std::uint64_t kMostLines = 1'000'000;

cli::OptionTable option_table(Settings& s) {
  return cli::OptionTable(
      "engine check",
      {
          {.name = "pcap",
           .value_name = "FILE",
           .help = "run it over this capture file; default: built-in traffic",
           .value = cli::text(s.pcap_path)},
          {.name = "lines",
           .value_name = "N",
           .help = "how many results to show",
           .value = cli::number(s.lines, 1, kMostLines, "none")},
          {.name = "memory",
           .value_name = "SIZE",
           .help = "cap on what the plugin's Lua may hold",
           .value = cli::size_in_bytes(s.plugin.memory_bytes, 1u << 20, std::size_t{4} << 30)},
          {.name = "deadline",
           .value_name = "MS",
           .help = "what a batch or a tick may take",
           .value = cli::number(s.plugin.deadline_ms, 1, 60'000)},
          {.name = "trusted", .help = "give it ffi", .value = cli::flag(s.plugin.trusted)},
          {.name = "strict", .help = "warnings fail too", .value = cli::flag(s.strict)},
          {.name = "json", .help = "print one JSON object", .value = cli::flag(s.json)},
          {.name = "editor",
           .value_name = "DIR",
           .help = "write to DIR what editors with LuaLS need for completion and types, and exit",
           .value = cli::text(s.editor_folder)},
          {.name = "definitions",
           .help = "print the definitions for LuaLS alone and exit",
           .value = cli::flag(s.definitions)},
          {.name = "reference", .help = "print the reference as Markdown and exit", .value = cli::flag(s.reference)},
          {.name = "help", .letter = 'h', .help = "print this and exit", .value = cli::flag(s.help)},
      });
}

[[noreturn]] void refuse(std::string_view what, std::string_view reason, std::string_view remedy) {
  throw SetupError(ExitCode::bad_usage, what, reason, remedy);
}

}  // namespace

Settings parse_settings(std::span<char* const> args) {
  Settings settings;
  cli::OptionTable table = option_table(settings);
  std::vector<std::string> words;
  table.take_words(words);
  table.parse(args);
  if (settings.help || settings.definitions || settings.reference || !settings.editor_folder.empty()) return settings;
  if (words.empty()) refuse("engine check", "names no plugin", "write engine check FILE.lua");
  if (words.size() > 1) refuse("engine check", "checks one plugin at a time, got also " + words[1], "drop it");
  if (settings.pcap_path == "-") refuse("--pcap -", "the packets are read several times", "give a file");
  const cli::PluginSetting named = cli::parse_plugin_flag(words[0]);
  settings.plugin.path = named.path;
  settings.plugin.name = named.name;
  settings.plugin.args = named.args;
  return settings;
}

std::string help_text() {
  Settings settings;
  return "Usage: engine check FILE.lua[,K=V] [options]\n\n"
         "Reads the plugin for mistakes, runs it, and tells its results, its cost and what LuaJIT does not compile.\n"
         "Exit code 0: nothing wrong; 2: errors.\n\n" +
         option_table(settings).help();
}

}  // namespace engine::check
