// A way of getting packets out. The thread that makes one also runs it.
#pragma once

#include <string>

#include "engine/gen/interrupts.h"
#include "engine/gen/pacer.h"
#include "engine/gen/report.h"

namespace engine::gen {

class Sender {
 public:
  virtual ~Sender() = default;

  // Sends until the load is done, a signal arrives or nothing more can be sent, and adds what was sent to the report.
  virtual void run(const Load& load, Interrupts& interrupts, Report& report) = 0;

  // Why the run broke off, or empty.
  virtual std::string failure() const = 0;
};

// How long a run took that began at `start_ns` and whose last packet left at `last_ns`. A packet of a paced run has
// its slot: N packets at rate R take N/R.
inline double run_seconds(const Pacer& pacer, std::uint64_t start_ns, std::uint64_t last_ns, std::uint64_t sent) {
  const std::uint64_t end_ns = std::max(last_ns, pacer.time_of(sent));
  return static_cast<double>(end_ns - start_ns) * 1e-9;
}

}  // namespace engine::gen
