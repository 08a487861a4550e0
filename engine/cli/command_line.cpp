// From argv to Settings: scan the flags, read the configuration that they name, apply the flags over it, check what
// no single option can check.
#include <algorithm>
#include <cstdlib>

#include "engine/base/error.h"
#include "engine/cli/config.h"
#include "engine/cli/plugin_flag.h"
#include "engine/cli/settings_table.h"
#include "engine/version.h"  // made by the build from the project's version

namespace engine::cli {
namespace {

struct Subcommand {
  std::string_view name;
  Command command;
  std::string_view help;
};
constexpr Subcommand subcommands[] = {{"bench", Command::bench, "measure this machine"},
                                      {"check", Command::check, "tell what is wrong with a plugin and what it costs"},
                                      {"gen", Command::generate, "generate traffic"}};

[[noreturn]] void unknown_command(std::string_view word) {
  std::vector<std::string_view> names;
  for (const Subcommand& it : subcommands) names.push_back(it.name);
  std::string remedy = did_you_mean(word, names);
  if (remedy.empty()) remedy = "'engine --help' lists commands and options";
  throw SetupError(ExitCode::bad_usage, "'" + std::string(word) + "'", "unknown command", remedy);
}

void apply_environment(const std::vector<Option>& options) {
  const char* const level = std::getenv("ENGINE_LOG");
  if (level == nullptr || *level == '\0') return;
  const auto option = std::find_if(options.begin(), options.end(), [](const auto& o) { return o.name == "log-level"; });
  try {
    option->value.set(level);
  } catch (const BadValue& bad) {
    throw SetupError(ExitCode::bad_usage, "ENGINE_LOG=" + std::string(level), bad.reason, bad.remedy);
  }
}

// A source named by a flag wins over the other kind of source in the configuration.
void choose_source(const OptionTable& table, Settings& s) {
  const bool iface = table.count("iface") > 0;
  const bool pcap = table.count("pcap") > 0;
  if (iface && !pcap) s.pcap_path.clear();
  if (pcap && !iface) s.interfaces.clear();
  if (!s.interfaces.empty() && !s.pcap_path.empty()) {
    throw SetupError(ExitCode::bad_usage, "--pcap " + s.pcap_path,
                     "cannot be combined with interface " + s.first_interface(), "give --iface or --pcap");
  }
}

// There is one filter: the flags' wins over the configuration's, in whichever of the two forms each is given.
void choose_filter(const OptionTable& table, Settings& s) {
  const bool text = table.count("filter") > 0;
  const bool file = table.count("filter-file") > 0;
  if (text && !file) s.filter_path.clear();
  if (file && !text) s.filter.clear();
  if (s.filter.empty() || s.filter_path.empty()) return;
  throw SetupError(ExitCode::bad_usage, "--filter-file " + s.filter_path, "there is a filter beside it: " + s.filter,
                   "give --filter or --filter-file");
}

void check_file_source(const OptionTable& table, const Settings& s) {
  if (s.pcap_path.empty()) return;
  for (const Option& option : table.options()) {
    if (option.name.empty() || !is_live_only(option.name) || table.count(option.name) == 0) continue;
    throw SetupError(ExitCode::bad_usage, "--" + std::string(option.name), "concerns an interface, not a capture file",
                     "drop it or --pcap");
  }
}

void check_write(const Settings& s) {
  if (s.write_path.empty()) {
    if (!s.capture_only) return;
    throw SetupError(ExitCode::bad_usage, "--capture-only", "there is no file to write packets to", "add --write FILE");
  }
  if (s.write_path == s.output_path) {
    const bool both_stdout = s.write_path == "-";
    throw SetupError(ExitCode::bad_usage, "--write " + s.write_path, "results go there too",
                     both_stdout ? "add --output FILE, or --output none" : "give each a file of its own");
  }
  if (s.write_path == s.summary_path)
    throw SetupError(ExitCode::bad_usage, "--write " + s.write_path, "the summary goes there too",
                     "give each a file of its own");
}

// Where it is known before any interface was asked how many queues there are.
void check_workers(const Settings& s) {
  if (s.interfaces.empty()) return;
  std::size_t queues = 0;
  for (const InterfaceSetting& interface : s.interfaces) {
    const std::size_t own = interface.queues.empty() ? s.queues : interface.queues.size();
    if (own == 0) return;
    queues += own;
  }
  if (s.workers <= queues) return;
  throw SetupError(ExitCode::bad_usage, "--workers " + std::to_string(s.workers),
                   "more than the " + std::to_string(queues) + " queues: a queue has one worker",
                   "give at most as many workers as queues");
}

void check_together(const OptionTable& table, const Settings& s) {
  if (s.interfaces.empty() && s.pcap_path.empty() && s.command == Command::capture) {
    throw SetupError(ExitCode::bad_usage, "source", "nothing to take packets from",
                     "give --iface IF or --pcap FILE; 'engine --help' lists all options");
  }
  check_file_source(table, s);
  check_write(s);
  check_workers(s);
  if (!s.cpus.empty()) {
    const std::size_t cpus = parse_cpu_list(s.cpus).size();
    if (s.workers > cpus) {
      throw SetupError(ExitCode::bad_usage, "--cpus " + s.cpus,
                       "names " + std::to_string(cpus) + " CPUs for " + std::to_string(s.workers) + " workers",
                       "name one for each worker");
    }
  }
  if (s.no_reload && s.watch) {
    throw SetupError(ExitCode::bad_usage, "--watch", "plugins' filters may change, and --no-reload gives up the rights",
                     "drop one of the two");
  }
  if (s.rx_usecs > 0 && s.wait == WaitMode::spin) {
    throw SetupError(ExitCode::bad_usage, "--rx-usecs " + std::to_string(s.rx_usecs),
                     "a worker that spins never sleeps", "drop it or --wait spin");
  }
  if (s.format == OutputFormat::pretty && s.output_path != "-") {
    throw SetupError(ExitCode::bad_usage, "--format pretty", "is for a terminal, and results go to " + s.output_path,
                     "use --format json");
  }
}

}  // namespace

Settings parse_command_line(std::span<char* const> args) {
  Settings settings;
  if (!args.empty() && args[0][0] != '-') {
    for (const Subcommand& it : subcommands) {
      if (it.name != args[0]) continue;
      settings.command = it.command;
      settings.command_args = args.subspan(1);
      return settings;
    }
    unknown_command(args[0]);
  }

  Actions actions;
  OptionTable table("engine", capture_options(settings, actions));
  table.scan(args);
  if (table.count("help") > 0 || table.count("version") > 0) {
    settings.command = table.count("help") > 0 ? Command::help : Command::version;
    return settings;
  }
  if (const std::string_view path = table.last_value("config"); !path.empty()) {
    read_configuration(std::string(path), table.options(), settings);
  }
  apply_environment(table.options());
  table.apply();
  if (actions.dump) settings.command = Command::dump;
  merge_plugin_flags(settings.plugins, actions.plugins, actions.evals);
  choose_source(table, settings);
  choose_filter(table, settings);
  check_together(table, settings);
  return settings;
}

std::string help_text() {
  Settings settings;
  Actions actions;
  const OptionTable table("engine", capture_options(settings, actions));
  std::string out =
      "Usage: engine --iface IF [options]  take packets from an interface's queues and analyse them\n"
      "       engine --pcap FILE [options] the same over a capture file\n";
  for (const Subcommand& it : subcommands) {
    out.append("       engine ").append(it.name).append(" --help").append(15 - it.name.size(), ' ');
    out.append(it.help).append("\n");
  }
  out.append("\n").append(table.help());
  out.append(
      "\nExit codes: 0 done, 1 failed while running, 2 wrong command line, configuration or plugin,\n"
      "3 not permitted, 4 this machine or interface cannot, 130 interrupted twice.\n");
  return out;
}

std::string version_text() { return "engine " ENGINE_VERSION "\n"; }

}  // namespace engine::cli
