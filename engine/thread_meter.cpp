#include "engine/thread_meter.h"

#include <linux/perf_event.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "engine/clock.h"

namespace engine {
namespace {

int open_counter(bool exclude_kernel) noexcept {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.size = sizeof attributes;
  attributes.config = PERF_COUNT_HW_CPU_CYCLES;
  attributes.exclude_kernel = exclude_kernel ? 1 : 0;
  attributes.exclude_hv = 1;
  return static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

std::uint64_t nanoseconds(const timeval& time) noexcept {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_usec) * 1000;
}

ThreadCost spent(const CycleCounter& counter) noexcept {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return {thread_cpu_ns(), nanoseconds(usage.ru_utime), nanoseconds(usage.ru_stime), counter.read()};
}

}  // namespace

CycleCounter::CycleCounter() noexcept : fd_(open_counter(false)) {
  if (fd_.valid()) return;
  fd_.reset(open_counter(true));  // what perf_event_paranoid 2 leaves
  error_ = errno;
  sees_kernel_ = false;
}

std::string CycleCounter::reason() const {
  if (works()) return {};
  if (error_ == ENOENT || error_ == EOPNOTSUPP || error_ == ENODEV)
    return "this machine has no cycle counter that the kernel can use";
  return std::string("perf_event_open: ") + std::strerror(error_);
}

std::optional<std::uint64_t> CycleCounter::read() const noexcept {
  std::uint64_t value = 0;
  if (!works() || ::read(fd_.get(), &value, sizeof value) != sizeof value) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> softirq_ns() {
  std::ifstream file("/proc/stat");
  std::string cpu;
  std::uint64_t user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0;
  if (!(file >> cpu >> user >> nice >> system >> idle >> iowait >> irq >> softirq) || cpu != "cpu") return std::nullopt;
  return softirq * (1'000'000'000 / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK)));
}

std::optional<double> ThreadCost::user_share() const noexcept {
  if (user_ns + kernel_ns == 0) return std::nullopt;
  return static_cast<double>(user_ns) / static_cast<double>(user_ns + kernel_ns);
}

ThreadCost& ThreadCost::operator-=(const ThreadCost& before) noexcept {
  cpu_ns -= before.cpu_ns;
  user_ns -= before.user_ns;
  kernel_ns -= before.kernel_ns;
  if (cycles) *cycles -= before.cycles.value_or(0);
  return *this;
}

ThreadCost& ThreadCost::operator+=(const ThreadCost& other) noexcept {
  cpu_ns += other.cpu_ns;
  user_ns += other.user_ns;
  kernel_ns += other.kernel_ns;
  if (other.cycles) cycles = cycles.value_or(0) + *other.cycles;
  return *this;
}

ThreadMeter::ThreadMeter() noexcept : start_(spent(counter_)) {}

ThreadCost ThreadMeter::cost() const noexcept {
  ThreadCost now = spent(counter_);
  now -= start_;
  return now;
}

}  // namespace engine
