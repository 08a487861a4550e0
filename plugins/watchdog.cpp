// The watchdog's thread and the signal handler.
#include "plugins/watchdog.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>

#include "engine/base/error.h"
#include "plugins/machine_code.h"

namespace plugins {

constinit thread_local Post this_post;
constinit std::atomic<bool> detail::watchdog_sleeps = false;

namespace {

// Of a turn that was there at the look before; and while there is none, which is nearly always.
constexpr std::uint64_t kLooksPerDeadline = 10;
constexpr std::uint64_t kCalmPeriods = 3;
constexpr std::uint64_t kMostDeadlines = 50;  // of wall-clock time, for a turn that uses no CPU time
constexpr std::uint64_t kLeastPeriod_ns = 100'000;
constexpr std::uint64_t kLongestPeriod_ns = 100'000'000;
// Between two signals. A plugin that spends nearly all of its time outside of Lua (a loop that raises errors is mostly
// in libgcc) needs many; one that is in a long native function must not be slowed by them.
constexpr std::uint64_t kFirstRetry_ns = 20'000;
constexpr std::uint64_t kLastRetry_ns = 1'000'000;
constexpr int kLooksBeforeSleep = 20;

// Written once, before the watchdog's thread starts.
constinit CodeRange luajit;
constinit int cut_signal = 0;

std::uintptr_t interrupted_at(const void* context) noexcept {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return machine.pc;
#else
#error "where does the program counter lie?"
#endif
}

// Runs in the plugin's thread. The signal is not blocked meanwhile (SA_NODEFER), so that leaving by a jump leaves
// nothing to restore.
void on_signal(int, siginfo_t*, void* context) {
  Post& post = this_post;
  post.signalled.store(false, std::memory_order_relaxed);
  if (post.turn.load(std::memory_order_relaxed) != post.overdue_turn.load(std::memory_order_relaxed)) return;
  std::jmp_buf* way_out = post.way_out;
  if (way_out == nullptr) return;
  *post.expired = 1;
  if (post.held) return;
  const std::uintptr_t at = interrupted_at(context);
  if (!luajit.contains(at) && !post.code->contains(at)) return;
  post.way_out = nullptr;
  _longjmp(*way_out, kCutOff);
}

std::uint64_t clock_ns(clockid_t clock) noexcept {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

class Watchdog {
 public:
  Watchdog();
  ~Watchdog();

  void add(Post& post) noexcept;
  void remove(Post& post) noexcept;
  void wake() noexcept {
    if (detail::watchdog_sleeps.exchange(false)) sem_post(&wake_);
  }
  void look_in_time_for(std::uint64_t deadline_ns) noexcept;

 private:
  struct Look {
    bool anything = false;  // a turn is under way, or was since the last look
    std::uint64_t until_next_ns = 0;
  };

  void run() noexcept;
  Look look() noexcept;
  bool is_overdue(Post& post, std::uint64_t turn) noexcept;
  void signal(Post& post) noexcept;
  void pause(std::uint64_t for_ns) noexcept;

  std::mutex lock_;  // of the posts, their watchdog's part, and the period
  Post* posts_ = nullptr;
  std::uint64_t looked_at_ns_ = 0;
  std::uint64_t period_ns_ = kLongestPeriod_ns;  // between looks: fits the shortest deadline there ever was
  sem_t wake_{};
  std::atomic<bool> stop_ = false;
  pid_t process_ = 0;
  std::thread thread_;
};

Watchdog::Watchdog() {
  luajit = luajit_code();
  for (int signal = SIGRTMIN; signal <= SIGRTMAX && cut_signal == 0; ++signal) {
    struct sigaction action {};
    if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
    if (sigaction(signal, &action, nullptr) == 0) cut_signal = signal;
  }
  if (cut_signal == 0) {
    throw engine::SetupError(engine::ExitCode::bad_usage, "the plugins' deadline", "no real-time signal is free");
  }
  process_ = getpid();
  sem_init(&wake_, 0, 0);
  // Signals to the process are for the threads that wait for them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw engine::SetupError(engine::ExitCode::bad_usage, "the plugins' watchdog", error.what());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// At exit. In a forked process there is no thread to be joined.
Watchdog::~Watchdog() {
  if (getpid() != process_) {
    thread_.detach();
    return;
  }
  stop_ = true;
  sem_post(&wake_);
  thread_.join();
}

void Watchdog::add(Post& post) noexcept {
  post.thread = static_cast<pid_t>(syscall(SYS_gettid));
  pthread_getcpuclockid(pthread_self(), &post.cpu_clock);
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, cut_signal);
  pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
  const std::lock_guard guard(lock_);
  post.next = posts_;
  posts_ = &post;
}

void Watchdog::remove(Post& post) noexcept {
  const std::lock_guard guard(lock_);
  for (Post** at = &posts_; *at != nullptr; at = &(*at)->next) {
    if (*at != &post) continue;
    *at = post.next;
    return;
  }
}

void Watchdog::look_in_time_for(std::uint64_t deadline_ns) noexcept {
  const std::uint64_t period_ns = std::max(deadline_ns / kLooksPerDeadline, kLeastPeriod_ns);
  const std::lock_guard guard(lock_);
  if (period_ns >= period_ns_) return;
  period_ns_ = period_ns;
  sem_post(&wake_);
}

void Watchdog::pause(std::uint64_t for_ns) noexcept {
  timespec until{};
  clock_gettime(CLOCK_MONOTONIC, &until);
  const std::uint64_t nanoseconds = static_cast<std::uint64_t>(until.tv_nsec) + for_ns;
  until.tv_sec += static_cast<time_t>(nanoseconds / 1'000'000'000);
  until.tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000);
  while (sem_clockwait(&wake_, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR) {
  }
}

void Watchdog::run() noexcept {
  pthread_setname_np(pthread_self(), "watchdog");
  prctl(PR_SET_TIMERSLACK, 1);  // the default is longer than the first retries
  int quiet_looks = 0;
  while (!stop_) {
    const Look seen = look();
    quiet_looks = seen.anything ? 0 : quiet_looks + 1;
    if (seen.anything) detail::watchdog_sleeps = false;
    if (quiet_looks == kLooksBeforeSleep) detail::watchdog_sleeps = true;
    if (quiet_looks <= kLooksBeforeSleep) {
      pause(seen.until_next_ns);
      continue;
    }
    // A turn that began while the flag was set was either seen by the look above or has woken us.
    while (sem_wait(&wake_) != 0 && errno == EINTR) {
    }
    quiet_looks = 0;
  }
}

Watchdog::Look Watchdog::look() noexcept {
  Look result;
  const std::lock_guard guard(lock_);
  result.until_next_ns = kCalmPeriods * period_ns_;
  // A machine that stood still, as virtual ones do, does not count.
  const std::uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  const std::uint64_t passed_ns = std::min(now_ns - looked_at_ns_, 2 * kCalmPeriods * period_ns_);
  looked_at_ns_ = now_ns;
  for (Post* post = posts_; post != nullptr; post = post->next) {
    const std::uint64_t turn = post->turn.load(std::memory_order_acquire);
    if (turn == post->seen_turn && turn % 2 == 0) continue;
    result.anything = true;
    if (turn != post->seen_turn) {
      post->seen_turn = turn;
      post->looks = 0;
      post->elapsed_ns = 0;
      if (turn % 2 != 0) post->cpu_at_first_look_ns = clock_ns(post->cpu_clock);
      continue;
    }
    post->elapsed_ns += passed_ns;
    result.until_next_ns = std::min(result.until_next_ns, period_ns_);
    if (is_overdue(*post, turn)) {
      post->overdue_turn.store(turn, std::memory_order_relaxed);
      signal(*post);
      const std::uint64_t retry_ns = kFirstRetry_ns + post->looks * kFirstRetry_ns / 256;
      result.until_next_ns = std::min({result.until_next_ns, retry_ns, kLastRetry_ns});
    }
  }
  return result;
}

bool Watchdog::is_overdue(Post& post, std::uint64_t turn) noexcept {
  ++post.looks;
  if (post.overdue_turn.load(std::memory_order_relaxed) == turn) return true;
  const std::uint64_t deadline_ns = post.deadline_ns.load(std::memory_order_relaxed);
  const std::uint64_t cpu_ns = clock_ns(post.cpu_clock);
  return cpu_ns - post.cpu_at_first_look_ns >= deadline_ns || post.elapsed_ns >= kMostDeadlines * deadline_ns;
}

void Watchdog::signal(Post& post) noexcept {
  if (post.signalled.exchange(true, std::memory_order_relaxed)) return;
  if (syscall(SYS_tgkill, process_, post.thread, cut_signal) != 0) post.signalled = false;  // EAGAIN: the next look's
}

Watchdog& watchdog() {
  static Watchdog instance;
  return instance;
}

// Takes the thread's post out when the thread ends: afterwards nobody signals it.
struct Registration {
  Registration() noexcept { watchdog().add(this_post); }
  ~Registration() { watchdog().remove(this_post); }
};

}  // namespace

void detail::wake_watchdog() noexcept { watchdog().wake(); }

void detail::register_post() noexcept {
  static thread_local const Registration registration;
  this_post.registered = true;
}

void start_watchdog(std::uint64_t deadline_ns) { watchdog().look_in_time_for(deadline_ns); }

}  // namespace plugins
