// Ends one long system call of the thread that makes it, at a deadline or when SIGINT or SIGTERM arrives: while it
// lives, a second thread waits for either and then interrupts the first with a signal that does nothing else (EINTR).
// It repeats that until the call is over, since a signal may come just before the call begins.
#pragma once

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <thread>

namespace engine::gen {

class CallLimit {
 public:
  // `deadline_ns` on CLOCK_MONOTONIC; UINT64_MAX: none. SIGINT and SIGTERM are blocked (Interrupts).
  explicit CallLimit(std::uint64_t deadline_ns);
  ~CallLimit();
  CallLimit(const CallLimit&) = delete;
  CallLimit& operator=(const CallLimit&) = delete;

  // The call is over. True if SIGINT or SIGTERM was the reason.
  bool end() noexcept;

 private:
  void watch(std::uint64_t deadline_ns) noexcept;

  pthread_t caller_ = pthread_self();
  std::atomic<bool> over_{false};
  std::atomic<bool> interrupted_{false};
  struct sigaction before_ {};
  std::thread watcher_;
};

}  // namespace engine::gen
