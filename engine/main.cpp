// The engine's command: reads what is asked for, runs it, turns every failure into one line and an exit code.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <span>
#include <string>

#include "engine/base/error.h"
#include "engine/bench/bench.h"
#include "engine/check/check.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/cli/signals.h"
#include "engine/file_run.h"
#include "engine/gen/gen.h"
#include "engine/live_run.h"
#include "engine/results/pretty.h"

namespace {

using engine::ExitCode;

ExitCode print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    throw engine::SetupError(ExitCode::runtime_failure, "write to stdout", std::strerror(errno));
  return ExitCode::done;
}

ExitCode run(std::span<char* const> args, engine::cli::Log& log) {
  using engine::cli::Command;
  engine::cli::Settings settings = engine::cli::parse_command_line(args);
  settings.command_line = args;
  log.set_level(settings.log_level);
  switch (settings.command) {
    case Command::help:
      return print(engine::cli::help_text());
    case Command::version:
      return print(engine::cli::version_text());
    case Command::dump:
      return print(engine::cli::configuration_text(settings));
    case Command::bench:
      return engine::bench::run(settings.command_args);
    case Command::check:
      return engine::check::run(settings.command_args);
    case Command::generate:
      return engine::gen::run(settings.command_args);
    case Command::capture:
      break;
  }
  // A second SIGINT ends the process at once; the terminal's screen is given back before that.
  engine::cli::Signals signals(log, [] { engine::Pretty::restore(1); });
  return settings.pcap_path.empty() ? engine::run_live(settings, log, signals)
                                    : engine::run_file(settings, log, signals);
}

}  // namespace

int main(int argc, char** argv) {
  engine::cli::Log log(engine::cli::LogLevel::info);
  try {
    return static_cast<int>(run(std::span<char* const>(argv, static_cast<std::size_t>(argc)).subspan(1), log));
  } catch (const engine::SetupError& error) {
    // `done`: the user ended it before it had begun, which is no failure.
    log.write(error.code() == ExitCode::done ? engine::cli::LogLevel::info : engine::cli::LogLevel::error,
              error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    // Not one of ours: out of memory, or a thread that the system refused.
    log.error(std::string("unexpected failure: ") + error.what());
    return static_cast<int>(ExitCode::runtime_failure);
  }
}
