// The cut-off: no plugin holds its thread much longer than its deadline.
//
// A worker's call into a plugin (a batch, a tick, a load) is a turn. The worker reads no clock: it only counts turns in
// its thread's Post. One thread per process, the watchdog, looks at the posts, and when a turn has used up its deadline
// it signals the turn's thread, again and again until the turn is over. The handler, in that thread, leaves by a jump,
// but only from libluajit's or this state's machine code. Elsewhere (libc, libgcc, a native function, the allocator) it
// returns, and the next signal tries again: nothing but Lua is ever cut half way. What was jumped out of is in the
// middle of something: that state is never entered or closed again.
//
// The deadline is on the thread's CPU time, so that a busy machine is not held against a plugin; a turn that passes
// fifty deadlines without using one up is cut off as well.
//
// When no thread starts turns, the watchdog sleeps until one does.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <csetjmp>
#include <cstdint>
#include <ctime>
#include <lua.hpp>

namespace plugins {

class MachineCode;

// A thread that enters Lua. Lives as long as the thread; who may touch what stands at the members.
struct alignas(64) Post {
  // Written by the thread, read by the watchdog. Only the turn orders: it is stored behind the deadline.
  std::atomic<std::uint64_t> turn = 0;  // odd: under way
  std::atomic<std::uint64_t> deadline_ns = 0;
  // Written by the watchdog, read by the thread's signal handler: the turn that has to end. A signal that comes too
  // late finds another turn.
  std::atomic<std::uint64_t> overdue_turn = 0;
  // A signal is on its way: set by the watchdog, taken back by the handler. Real-time signals queue, and the kernel
  // puts all that are pending onto the stack, one frame above the other, before the first handler runs
  // (kernel/entry/common.c: exit_to_user_mode_loop): a thread that had to wait long enough for a processor would be
  // left without a stack.
  std::atomic<bool> signalled = false;

  // The thread and its signal handler.
  std::jmp_buf* volatile way_out = nullptr;  // nullptr: not in Lua
  const MachineCode* volatile code = nullptr;
  volatile std::uint32_t* volatile expired = nullptr;  // set before the jump, for what keeps the jump from happening
  volatile bool held = false;                          // C++ objects are alive between Lua's frames
  bool registered = false;

  // The watchdog, under its lock.
  Post* next = nullptr;
  pid_t thread = 0;
  clockid_t cpu_clock = 0;
  std::uint64_t seen_turn = 0;
  std::uint64_t looks = 0;  // at this turn
  std::uint64_t elapsed_ns = 0;
  std::uint64_t cpu_at_first_look_ns = 0;
};

extern constinit thread_local Post this_post;

// The cut comes as this value of setjmp; the arena's way out is 1.
inline constexpr int kCutOff = 2;

// Before the first turn with this deadline. Starts the watchdog if it does not run yet. Throws engine::SetupError.
void start_watchdog(std::uint64_t deadline_ns);

namespace detail {
void register_post() noexcept;
void wake_watchdog() noexcept;
extern constinit std::atomic<bool> watchdog_sleeps;
}  // namespace detail

// One turn of this thread. Turns nest: the outermost counts.
class Turn {
 public:
  explicit Turn(std::uint64_t deadline_ns) noexcept {
    Post& post = this_post;
    const std::uint64_t turn = post.turn.load(std::memory_order_relaxed);
    if (turn % 2 != 0) return;
    if (!post.registered) detail::register_post();
    post.deadline_ns.store(deadline_ns, std::memory_order_relaxed);
    post.turn.store(turn + 1, std::memory_order_release);
    outermost_ = true;
    // If this store is still on its way when the watchdog looks, it looks once more before it sleeps.
    if (detail::watchdog_sleeps.load(std::memory_order_relaxed)) detail::wake_watchdog();
  }
  ~Turn() {
    if (!outermost_) return;
    Post& post = this_post;
    post.turn.store(post.turn.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  bool outermost_ = false;
};

// While one lives, a cut waits: for C++ that Lua called and that calls Lua, with objects on its stack.
class Hold {
 public:
  Hold() noexcept : before_(this_post.held) {
    this_post.held = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~Hold() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    this_post.held = before_;
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  const bool before_;
};

// A function for Lua that is C++ inside.
template <lua_CFunction Function>
int held(lua_State* L) {
  const Hold hold;
  return Function(L);
}

}  // namespace plugins
