// From the subcommand's name to what it runs.
#include "engine/bench/bench.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "engine/cli/options.h"

namespace engine::bench {
namespace {

struct Subcommand {
  std::string_view name;
  ExitCode (*run)(std::span<char* const> args);
  std::string_view help;
};

constexpr Subcommand subcommands[] = {
    {"latency", run_latency, "how long a packet takes from the wire to Lua and to its result"},
    {"pipeline", run_pipeline, "what each stage costs a packet, in memory"},
    {"rx", run_rx, "how many packets a second AF_XDP receives, and at which cost"},
    {"fwd", run_fwd, "how many packets a second AF_XDP forwards, and at which cost"},
    {"search", run_search, "the highest rate without loss, by frame size (RFC 2544)"},
    {"soak", run_soak, "whether anything is lost or grows in a long time"},
    {"tx", run_tx, "how many packets a second AF_XDP sends, and at which cost"},
};

ExitCode print_help() {
  std::string text = "Usage: engine bench COMMAND [options]\n\n";
  for (const Subcommand& it : subcommands) {
    text.append("  ").append(it.name).append(10 - it.name.size(), ' ').append(it.help).append("\n");
  }
  text +=
      "\n'engine bench COMMAND --help' lists its options. Each tells the machine it ran on, and with --json FILE "
      "writes\n"
      "all figures of all rounds.\n";
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    throw SetupError(ExitCode::runtime_failure, "write to stdout", std::strerror(errno));
  return ExitCode::done;
}

}  // namespace

ExitCode run(std::span<char* const> args) {
  const std::string_view word = args.empty() ? std::string_view() : args[0];
  if (word == "--help" || word == "-h") return print_help();
  std::vector<std::string_view> names;
  for (const Subcommand& it : subcommands) {
    if (it.name == word) return it.run(args.subspan(1));
    names.push_back(it.name);
  }
  std::string remedy = cli::did_you_mean(word, names);
  if (remedy.empty()) remedy = "'engine bench --help' lists what it measures";
  if (word.empty()) throw SetupError(ExitCode::bad_usage, "engine bench", "names nothing to measure", remedy);
  throw SetupError(ExitCode::bad_usage, "engine bench " + std::string(word), "unknown command", remedy);
}

}  // namespace engine::bench
