// What the generator's loop drives: a way of getting packets out. One thread calls all of it.
#pragma once

#include <cstdint>
#include <string>

#include "engine/gen/report.h"

namespace engine::gen {

class Sender {
 public:
  virtual ~Sender() = default;

  // Sends up to `max` (not 0) packets and returns how many it handed over: fewer where one call is not to last longer
  // than some milliseconds, or where no more could be sent for now.
  virtual std::uint64_t send(std::uint64_t max) noexcept = 0;

  // Why nothing more can be sent, or empty.
  virtual std::string failure() const = 0;

  // Waits (bounded) until the kernel is done with everything, then adds what was sent.
  virtual void finish(Report& report) = 0;
};

}  // namespace engine::gen
