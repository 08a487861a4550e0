// Signals as one flag and one descriptor: what everybody who waits watches to end cleanly.
//
// Made by the main thread before any other thread, because it blocks the signals and threads inherit that; its own
// thread takes them from a signalfd. So no code runs in signal context, no state is global, and a second SIGINT ends
// the process even if the main thread hangs. SIGINT and SIGTERM ask for the end, SIGHUP for a reload, SIGPIPE
// is ignored: writers see EPIPE.
#pragma once

#include <signal.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "engine/base/unique_fd.h"
#include "engine/cli/log.h"

namespace engine::cli {

class Signals {
 public:
  // `before_exit` runs on the signals' thread before a second SIGINT ends the process: it may restore a terminal, and
  // must not wait for anyone. Throws SetupError.
  explicit Signals(const Log& log, std::function<void()> before_exit = {});
  ~Signals();  // from here on the signals do again what they did before
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Any thread. The flag is set once and for all; relaxed, as it carries no data.
  bool stop_requested() const noexcept { return stop_.load(std::memory_order_relaxed); }
  void request_stop() noexcept;

  // Readable (poll, epoll) once the end was asked for; never read from it.
  int stop_fd() const noexcept { return stop_fd_.get(); }

  // An eventfd: readable once a reload was asked for, until it is read.
  int reload_fd() const noexcept { return reload_fd_.get(); }

  // Whether one was asked for since the last call.
  bool take_reload() const noexcept;

  // Waits for the end to be asked for, at most so long; true if it was.
  bool wait_for(std::chrono::milliseconds timeout) const noexcept;

 private:
  void listen() noexcept;
  void take(unsigned signal) noexcept;

  const Log& log_;
  std::function<void()> before_exit_;
  sigset_t old_mask_{};
  struct sigaction old_pipe_ {};
  std::atomic<bool> stop_{false};
  UniqueFd signal_fd_;
  UniqueFd stop_fd_;
  UniqueFd reload_fd_;
  UniqueFd quit_fd_;
  unsigned interrupts_ = 0;  // the signals' thread only
  std::thread thread_;       // last: it uses all of the above
};

}  // namespace engine::cli
