// The watching thread. SIGURG interrupts in both directions: nothing else here uses it, and if it came from elsewhere
// it would only cut a call short, which its caller goes on from.
#include "engine/gen/call_limit.h"

#include <algorithm>

#include "engine/gen/interrupts.h"

namespace engine::gen {
namespace {

constexpr std::uint64_t repeat_ns = 5'000'000;
constexpr std::uint64_t longest_wait_ns = 3'600'000'000'000;

void ignore(int) {}

}  // namespace

CallLimit::CallLimit(std::uint64_t deadline_ns) {
  struct sigaction action {};
  action.sa_handler = ignore;  // not SIG_IGN: an ignored signal interrupts nothing; and no SA_RESTART
  sigaction(SIGURG, &action, &before_);
  watcher_ = std::thread([this, deadline_ns] { watch(deadline_ns); });
}

CallLimit::~CallLimit() {
  end();
  sigaction(SIGURG, &before_, nullptr);
}

bool CallLimit::end() noexcept {
  over_.store(true, std::memory_order_release);
  if (watcher_.joinable()) {
    pthread_kill(watcher_.native_handle(), SIGURG);
    watcher_.join();
  }
  return interrupted_.load(std::memory_order_acquire);
}

void CallLimit::watch(std::uint64_t deadline_ns) noexcept {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGURG);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  for (;;) {
    const std::uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    const bool kick = interrupted_.load(std::memory_order_relaxed) || now_ns >= deadline_ns;
    if (over_.load(std::memory_order_acquire)) return;
    if (kick) pthread_kill(caller_, SIGURG);
    const std::uint64_t wait_ns = kick ? repeat_ns : std::min(deadline_ns - now_ns, longest_wait_ns);
    const timespec timeout{static_cast<time_t>(wait_ns / 1'000'000'000), static_cast<long>(wait_ns % 1'000'000'000)};
    const int signal = sigtimedwait(&set, nullptr, &timeout);
    if (signal == SIGINT || signal == SIGTERM) interrupted_.store(true, std::memory_order_release);
  }
}

}  // namespace engine::gen
