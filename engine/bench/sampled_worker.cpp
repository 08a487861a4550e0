#include "engine/bench/sampled_worker.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "engine/base/error.h"
#include "engine/clock.h"
#include "engine/worker.h"
#include "numa/memory.h"

namespace engine::bench {
namespace {

constexpr std::uint32_t rounds_per_reminder = 4096;
constexpr int poll_timeout_ms = 100;
constexpr std::uint64_t settle_limit_ns = 1'000'000'000;

UniqueFd event() {
  UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) throw SetupError(ExitCode::runtime_failure, "create an eventfd", std::strerror(errno));
  return fd;
}

}  // namespace

WorkerSample difference(const WorkerSample& after, const WorkerSample& before) {
  WorkerSample change = after;
  change.at_ns -= before.at_ns;
  change.cost -= before.cost;
  change.packets -= before.packets;
  change.bytes -= before.bytes;
  change.ours -= before.ours;
  change.batches -= before.batches;
  change.polls -= before.polls;
  change.empty_polls -= before.empty_polls;
  return change;
}

WorkerSample sum(const std::vector<WorkerSample>& samples) {
  WorkerSample total;
  for (const WorkerSample& one : samples) {
    total.at_ns = std::max(total.at_ns, one.at_ns);
    total.cost += one.cost;
    total.packets += one.packets;
    total.bytes += one.bytes;
    total.ours += one.ours;
    total.batches += one.batches;
    total.polls += one.polls;
    total.empty_polls += one.empty_polls;
    total.longest_gap_ns = std::max(total.longest_gap_ns, one.longest_gap_ns);
  }
  return total;
}

WorkerControl::WorkerControl() : first(event()), done(event()) {}

SampledWorker::SampledWorker(std::vector<int> fds, WorkerControl& control, const WorkerConfig& config)
    : fds_(std::move(fds)), control_(control), config_(config), wake_(event()) {
  if (fds_.size() > kMaxLanes)
    throw SetupError(ExitCode::bad_usage, "one core for " + std::to_string(fds_.size()) + " queues", "is too few",
                     "name more with --cpus");
}

void SampledWorker::wake() const noexcept { eventfd_write(wake_.get(), 1); }

void SampledWorker::run() noexcept {
  const ThreadMeter meter;
  meter_ = &meter;
  for (;;) {
    const bool ending = control_.ending.load(std::memory_order_acquire);  // before the rings are looked at
    if (control_.samples.load(std::memory_order_acquire) != samples_given_.load(std::memory_order_relaxed))
      take_sample();
    if (config_.watch_gaps) look_at_clock();
    const std::uint32_t received = look();
    now_.polls += now_.packets > 0;
    if (received > 0) continue;
    now_.empty_polls += now_.packets > 0;
    if (!ending) {
      idle();
    } else if (may_end()) {
      break;
    }
  }
}

// What is on its way back is waited for, but not for ever.
bool SampledWorker::may_end() noexcept {
  remind();
  const std::uint64_t now_ns = monotonic_ns();
  if (give_up_ns_ == 0) give_up_ns_ = now_ns + settle_limit_ns;
  return settled() || now_ns >= give_up_ns_;
}

void SampledWorker::count(std::uint32_t packets, std::uint64_t bytes, std::uint64_t ours) noexcept {
  if (now_.packets == 0) {
    begin_ = sample_now();
    eventfd_write(control_.first.get(), 1);
  }
  now_.packets += packets;
  now_.bytes += bytes;
  now_.ours += ours;
  ++now_.batches;
  if (control_.limit == 0) return;
  const std::uint64_t before = control_.budget_used.fetch_add(packets, std::memory_order_relaxed);
  if (before < control_.limit && before + packets >= control_.limit) eventfd_write(control_.done.get(), 1);
}

void SampledWorker::idle() noexcept {
  if (config_.spin) {
    if (++empty_rounds_ % rounds_per_reminder != 0) return;
  } else {
    std::array<pollfd, kMaxLanes + 1> waits;
    std::size_t count = 0;
    for (const int fd : fds_) waits[count++] = {fd, POLLIN, 0};
    waits[count++] = {wake_.get(), POLLIN, 0};
    const bool woken = poll(waits.data(), count, settled() ? poll_timeout_ms : 0) > 0;
    if (waits[count - 1].revents != 0) {
      eventfd_t times = 0;
      eventfd_read(wake_.get(), &times);
    }
    last_look_ns_ = 0;
    if (woken) return;
  }
  remind();
}

void SampledWorker::look_at_clock() noexcept {
  const std::uint64_t at_ns = monotonic_ns();
  if (last_look_ns_ != 0) now_.longest_gap_ns = std::max(now_.longest_gap_ns, at_ns - last_look_ns_);
  last_look_ns_ = at_ns;
}

WorkerSample SampledWorker::sample_now() const noexcept {
  WorkerSample sample = now_;
  sample.at_ns = monotonic_ns();
  sample.cost = meter_->cost();
  return sample;
}

// The longest gap is that since the last sample.
void SampledWorker::take_sample() noexcept {
  given_ = sample_now();
  given_begin_ = now_.packets > 0 ? begin_ : given_;
  now_.longest_gap_ns = 0;
  samples_given_.store(control_.samples.load(std::memory_order_relaxed), std::memory_order_release);
  samples_given_.notify_all();
}

WorkerSample SampledWorker::sample() const {
  const std::uint32_t asked = control_.samples.load(std::memory_order_relaxed);
  for (std::uint32_t given; (given = samples_given_.load(std::memory_order_acquire)) != asked;)
    samples_given_.wait(given, std::memory_order_acquire);
  return given_;
}

WorkerSample SampledWorker::begin() const {
  sample();
  return given_begin_;
}

void WorkerThreads::start(std::vector<SampledWorker*> workers, const std::vector<unsigned>& cpus,
                          const std::string& name) {
  workers_ = std::move(workers);
  numa::keep_this_thread_off(cpus);
  try {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      threads_.emplace_back([worker = workers_[i], cpu = cpus[i], title = name + " " + std::to_string(i)] {
        pthread_setname_np(pthread_self(), title.c_str());
        numa::pin_this_thread(cpu);  // it was placed on a core of ours, so this cannot fail
        worker->run();
      });
    }
  } catch (const std::system_error& error) {
    throw SetupError(ExitCode::runtime_failure, "start the workers' threads", error.what(), "see ulimit -u");
  }
}

void WorkerThreads::end() noexcept {
  control_.ending.store(true, std::memory_order_release);
  for (const SampledWorker* worker : workers_) worker->wake();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerThreads::ask() noexcept {
  control_.samples.fetch_add(1, std::memory_order_release);
  for (const SampledWorker* worker : workers_) worker->wake();
}

std::vector<WorkerSample> WorkerThreads::sample() {
  ask();
  std::vector<WorkerSample> samples;
  for (const SampledWorker* worker : workers_) samples.push_back(worker->sample());
  return samples;
}

std::vector<WorkerSample> WorkerThreads::begin() {
  ask();
  std::vector<WorkerSample> samples;
  for (const SampledWorker* worker : workers_) samples.push_back(worker->begin());
  return samples;
}

}  // namespace engine::bench
