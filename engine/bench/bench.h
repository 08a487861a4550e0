// `engine bench`: figures of this machine that anybody can take again. One subcommand a question, each a file of its
// own; report.h is what they all answer with.
#pragma once

#include <span>

#include "engine/base/error.h"

namespace engine::bench {

// The command, `args` being what follows "bench". Throws SetupError.
ExitCode run(std::span<char* const> args);

// The subcommands, `args` being what follows their names.
ExitCode run_fwd(std::span<char* const> args);
ExitCode run_latency(std::span<char* const> args);
ExitCode run_pipeline(std::span<char* const> args);
ExitCode run_rx(std::span<char* const> args);
ExitCode run_search(std::span<char* const> args);
ExitCode run_soak(std::span<char* const> args);
ExitCode run_tx(std::span<char* const> args);

}  // namespace engine::bench
