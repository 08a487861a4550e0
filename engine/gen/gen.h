// `engine gen`: traffic for tests, benchmarks and the demonstration.
//
// One thread draws packets from a Traffic (or a replay), paces them and hands them to a Sender; with --write they go
// to a capture file instead, the same packets for the same seed. Reads: settings -> traffic -> sender -> report.
#pragma once

#include <cstdio>
#include <span>

#include "engine/base/error.h"
#include "engine/gen/capture_file.h"
#include "engine/gen/report.h"
#include "engine/gen/settings.h"

namespace engine::gen {

// The command, `args` being what follows "gen". Throws SetupError; a run that breaks off reports what was sent,
// says why on stderr and returns runtime_failure.
ExitCode run(std::span<char* const> args);

// What run() does between parsing and printing. `failure` is why the run broke off, or empty.
struct Outcome {
  Report report;
  std::string failure;
};
Outcome generate(const Settings& settings);

// Its parts: to a file, and what a replay adds to either way.
Outcome write_file(const Settings& settings);
Replay open_replay(const Settings& settings, std::size_t longest_bytes, Load& load, Outcome& outcome);

}  // namespace engine::gen
