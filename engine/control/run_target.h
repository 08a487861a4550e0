// The control socket of a live run: its status, and whom each command goes to. Main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/capture.h"
#include "engine/control/commands.h"
#include "engine/kernel_side.h"

namespace engine::control {

struct Run {
  KernelSide& kernel;
  const Capture& capture;
  std::function<std::vector<QueueLedger>()> ledger;
  std::function<void()> reload;
  std::function<void()> stop;
};

// Refers to what `run` refers to.
Target target_of(Run run);

}  // namespace engine::control
