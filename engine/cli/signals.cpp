#include "engine/cli/signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "engine/base/error.h"
#include "engine/cli/privileges.h"

namespace engine::cli {
namespace {

sigset_t handled_signals() noexcept {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

void raise_event(const UniqueFd& event) noexcept {
  const std::uint64_t one = 1;
  // It can only fail when the counter is full: then the event is raised already.
  [[maybe_unused]] const ssize_t written = ::write(event.get(), &one, sizeof one);
}

}  // namespace

Signals::Signals(const Log& log, std::function<void()> before_exit) : log_(log), before_exit_(std::move(before_exit)) {
  const sigset_t set = handled_signals();
  signal_fd_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  stop_fd_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  reload_fd_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  quit_fd_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!signal_fd_.valid() || !stop_fd_.valid() || !reload_fd_.valid() || !quit_fd_.valid()) {
    throw SetupError(ExitCode::runtime_failure, "set up signals", std::strerror(errno));
  }
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &old_pipe_);
  pthread_sigmask(SIG_BLOCK, &set, &old_mask_);
  try {
    thread_ = std::thread([this] { listen(); });
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
    sigaction(SIGPIPE, &old_pipe_, nullptr);
    throw SetupError(ExitCode::runtime_failure, "start the signals' thread", error.what());
  }
}

Signals::~Signals() {
  raise_event(quit_fd_);
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
  sigaction(SIGPIPE, &old_pipe_, nullptr);
}

void Signals::request_stop() noexcept {
  stop_.store(true, std::memory_order_relaxed);
  raise_event(stop_fd_);
}

bool Signals::take_reload() const noexcept {
  eventfd_t count = 0;
  return eventfd_read(reload_fd_.get(), &count) == 0;
}

bool Signals::wait_for(std::chrono::milliseconds timeout) const noexcept {
  pollfd waited{stop_fd_.get(), POLLIN, 0};
  poll(&waited, 1, static_cast<int>(timeout.count()));
  return stop_requested();
}

void Signals::listen() noexcept {
  pthread_setname_np(pthread_self(), "signals");
  // It is the one thread that starts before the main thread drops its capabilities, and it needs none.
  try {
    drop_privileges();
  } catch (const SetupError& error) {
    log_.warn(error.what());
  }
  pollfd waited[] = {{signal_fd_.get(), POLLIN, 0}, {quit_fd_.get(), POLLIN, 0}};
  while (true) {
    if (poll(waited, 2, -1) < 0 && errno != EINTR) return;
    signalfd_siginfo info;
    while (::read(signal_fd_.get(), &info, sizeof info) == sizeof info) take(info.ssi_signo);
    if (waited[1].revents != 0) return;
  }
}

void Signals::take(unsigned signal) noexcept {
  if (signal == SIGHUP) return raise_event(reload_fd_);
  if (signal == SIGINT && ++interrupts_ > 1) {
    if (before_exit_) before_exit_();
    // Not exit(): destructors and atexit handlers may be what hangs. Programs and sockets go with the process.
    _exit(static_cast<int>(ExitCode::second_interrupt));
  }
  request_stop();
}

}  // namespace engine::cli
