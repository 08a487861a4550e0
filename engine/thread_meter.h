// What a thread costs: its user and kernel CPU time, and cycles where the machine counts them. Used by the thread that
// is measured, outside its loop.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/unique_fd.h"

namespace engine {

// CPU cycles of the calling thread, of user and kernel where the kernel lets us see its own.
class CycleCounter {
 public:
  CycleCounter() noexcept;
  bool works() const noexcept { return fd_.valid(); }
  bool sees_kernel() const noexcept { return sees_kernel_; }
  std::string reason() const;  // why it does not work
  std::optional<std::uint64_t> read() const noexcept;

 private:
  UniqueFd fd_;
  int error_ = 0;
  bool sees_kernel_ = true;
};

struct ThreadCost {
  std::uint64_t cpu_ns = 0;     // exact
  std::uint64_t user_ns = 0;    // these two as of the last clock tick, and split by samples of ticks where the kernel
  std::uint64_t kernel_ns = 0;  // does not account at each entry (kernel/sched/cputime.c: cputime_adjust)
  std::optional<std::uint64_t> cycles;

  // The share of user_ns; nothing where no tick was in it.
  std::optional<double> user_share() const noexcept;
  ThreadCost& operator-=(const ThreadCost& before) noexcept;
  ThreadCost& operator+=(const ThreadCost& other) noexcept;  // of another thread; cycles only where any has them
};

// From its construction on, by the thread that makes it.
class ThreadMeter {
 public:
  ThreadMeter() noexcept;
  ThreadCost cost() const noexcept;

 private:
  CycleCounter counter_;
  ThreadCost start_;
};

// CPU time that all cores have spent in softirqs since the boot, where the kernel's receive work is done (on veth also
// the sender's part of it); nobody's thread is charged for it. In steps of a clock tick, mostly 10 ms.
std::optional<std::uint64_t> softirq_ns();

}  // namespace engine
