// `engine check FILE.lua`: what a plugin's author wants to know before an operator runs it.
//
// Reads: settings -> lint (nothing runs) -> measure (a state of its own on packets in memory) -> dry run (the real path
// over the file) -> report. Main thread.
#pragma once

#include <span>

#include "engine/base/error.h"

namespace engine::check {

// `args`: what follows "check". bad_usage if the plugin has errors. Throws SetupError.
ExitCode run(std::span<char* const> args);

}  // namespace engine::check
