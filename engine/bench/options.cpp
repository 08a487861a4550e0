#include "engine/bench/options.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "engine/base/error.h"
#include "engine/decode/decode.h"
#include "engine/worker.h"

namespace engine::bench {
namespace {

constexpr double longest_round_s = 86'400;
constexpr std::uint32_t most_rounds = 1000;
constexpr std::uint32_t most_queues = 1024;

std::vector<cli::Option> all_options(Shared& s) {
  return {
      {.name = "mode",
       .value_name = "MODE",
       .help = "how sockets are bound; a mode that is named fails where it is not to be had",
       .value = cli::choice(s.mode, {{"auto", xsk::RequestedMode::automatic},
                                     {"zerocopy", xsk::RequestedMode::zerocopy},
                                     {"copy", xsk::RequestedMode::copy},
                                     {"skb", xsk::RequestedMode::skb}}),
       .section = "How"},
      {.name = "queues",
       .letter = 'q',
       .value_name = "N",
       .help = "the first N queues",
       .value = cli::number(s.queues, 1, most_queues, "all")},
      {.name = "batch",
       .value_name = "N",
       .help = "packets at once",
       .value = cli::number(s.batch, 1, kMaxBatchPackets)},
      {.name = "cpus",
       .value_name = "LIST",
       .help = "cores to measure on, such as 2-5,8; default: chosen by topology",
       .value = cli::custom([&s](std::string_view text) {
         cli::parse_cpu_list(text);
         s.cpus = text;
       })},
      {.name = "wait",
       .value_name = "HOW",
       .help = "when a queue is empty: look again, or sleep in poll()",
       .value = cli::choice(
           s.wait, {{"auto", cli::WaitMode::automatic}, {"spin", cli::WaitMode::spin}, {"poll", cli::WaitMode::poll}})},
      {.name = "duration",
       .value_name = "S",
       .help = "seconds a round",
       .value = cli::real(s.duration_s, 0.001, longest_round_s)},
      {.name = "rounds",
       .value_name = "N",
       .help = "rounds; told are their median, least and greatest",
       .value = cli::number(s.rounds, 1, most_rounds)},
  };
}

// A measurement of hours must not end in a file that cannot be written.
void require_writable(const std::string& path) {
  if (path.empty() || path == "-") return;
  std::FILE* const file = std::fopen(path.c_str(), "ae");
  if (file == nullptr)
    throw SetupError(ExitCode::bad_usage, "--json " + path, std::strerror(errno), "give a file that can be written");
  std::fclose(file);
}

}  // namespace

std::vector<cli::Option> shared_options(Shared& shared, std::initializer_list<std::string_view> names) {
  std::vector<cli::Option> chosen;
  for (cli::Option& option : all_options(shared))
    if (std::ranges::find(names, option.name) != names.end()) chosen.push_back(std::move(option));
  if (!chosen.empty()) chosen.front().section = "How";
  chosen.push_back({.name = "json",
                    .value_name = "FILE",
                    .help = "write the results as JSON too; -: to stdout, and the text to stderr",
                    .value = cli::text(shared.json_path),
                    .section = "Output"});
  chosen.push_back({.name = "help", .letter = 'h', .help = "this text", .value = cli::flag(shared.help)});
  return chosen;
}

bool parse(const Command& command, std::vector<cli::Option> own, std::vector<cli::Option> shared_ones, Shared& shared,
           std::span<char* const> args) {
  const std::string name = "engine bench " + std::string(command.name);
  own.insert(own.end(), shared_ones.begin(), shared_ones.end());
  cli::OptionTable table(name, std::move(own));
  table.parse(args);
  if (!shared.help) {
    require_writable(shared.json_path);
    return true;
  }
  const std::string help =
      "Usage: " + name + " " + std::string(command.usage) + "\n\n" + std::string(command.text) + "\n\n" + table.help();
  if (std::fputs(help.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    throw SetupError(ExitCode::runtime_failure, "write to stdout", std::strerror(errno));
  return false;
}

void require_interface(std::string_view command, const cli::InterfaceSetting& interface) {
  if (!interface.name.empty()) return;
  throw SetupError(ExitCode::bad_usage, "engine bench " + std::string(command), "needs an interface",
                   "give --iface IF");
}

cli::Option interface_option(cli::InterfaceSetting& interface, std::string_view help) {
  return {.name = "iface",
          .letter = 'i',
          .value_name = "IF[:QUEUES]",
          .help = help,
          .value = cli::custom([&interface](std::string_view text) { interface = cli::parse_interface(text); }),
          .section = "Where"};
}

std::vector<cli::Option> first_packet_options(bool& take_all, std::uint64_t& limit, double& patience_s) {
  return {
      {.name = "take-all",
       .help = "take packets also where this machine is reached by the interface",
       .value = cli::flag(take_all)},
      {.name = "count",
       .letter = 'n',
       .value_name = "N",
       .help = "one round that ends after so many packets, or the duration",
       .value = cli::number(limit, 1, UINT64_C(1'000'000'000'000'000), "none"),
       .section = "How long"},
      {.name = "patience",
       .value_name = "S",
       .help = "how long to wait for the first packet",
       .value = cli::real(patience_s, 0.001, longest_round_s)},
  };
}

cli::Settings capture_settings(const cli::InterfaceSetting& interface, bool take_all, const Shared& shared) {
  cli::Settings settings;
  settings.interfaces = {interface};
  settings.queues = shared.queues;
  settings.mode = shared.mode;
  settings.cpus = shared.cpus;
  settings.wait = shared.wait;
  settings.take_all = take_all;
  return settings;
}

}  // namespace engine::bench
