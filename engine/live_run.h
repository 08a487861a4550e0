// A run over live traffic: capture, workers, collector, from set-up to the ledger.
#pragma once

#include "engine/base/error.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/cli/signals.h"

namespace engine {

// Throws SetupError.
ExitCode run_live(const cli::Settings& settings, cli::Log& log, cli::Signals& signals);

}  // namespace engine
