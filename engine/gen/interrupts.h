// SIGINT and SIGTERM for a command that owns its thread: blocked while this lives and taken from the queue when asked,
// so that no handler and no flag is needed, and a wait ends when one arrives.
#pragma once

#include <pthread.h>

#include <csignal>
#include <cstdint>
#include <ctime>

namespace engine::gen {

inline std::uint64_t clock_ns(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

class Interrupts {
 public:
  Interrupts() noexcept {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~Interrupts() {
    arrived(0);  // a signal that ended the run must not end the process when it is let through
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // Waits up to `timeout_ns` for a signal; true if there was one.
  bool arrived(std::uint64_t timeout_ns) noexcept {
    const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000),
                           static_cast<long>(timeout_ns % 1'000'000'000)};
    return sigtimedwait(&set_, nullptr, &timeout) > 0;
  }

 private:
  sigset_t set_;
  sigset_t before_;
};

}  // namespace engine::gen
