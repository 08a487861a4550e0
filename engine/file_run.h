// A run over a capture file: reader thread, workers, collector, from open to report.
#pragma once

#include "engine/base/error.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/cli/signals.h"

namespace engine {

// Throws SetupError. A file that is cut off ends with runtime_failure after what came before was processed.
ExitCode run_file(const cli::Settings& settings, cli::Log& log, cli::Signals& signals);

}  // namespace engine
