#include "engine/results/collector.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "engine/base/error.h"
#include "engine/clock.h"

namespace engine {
namespace {

constexpr int kBusy_ms = 1;
constexpr int kFinish_ms = 1000;  // what a slow reader gets at the end of a live run
constexpr std::uint64_t kStall_ns = 200'000'000;

UniqueFd make_event() {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) throw SetupError(ExitCode::runtime_failure, "create an eventfd", std::strerror(errno));
  return event;
}

void signal_event(int fd) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd, &one, sizeof one);  // full: it is signalled already
}

}  // namespace

Collector::Collector(CollectorConfig config, std::vector<std::unique_ptr<Output>> outputs)
    : config_(std::move(config)),
      outputs_(std::move(outputs)),
      intervals_(config_.plugins.size() + 1, !config_.in_order),
      last_spans_(config_.plugins.size() + 1),
      wake_(make_event()),
      done_(make_event()) {}

Collector::~Collector() {
  for (std::size_t i = 0; i < workers_.size(); ++i) worker_ended(i);
  if (thread_.joinable()) interrupt();
  join();
}

std::size_t Collector::add_worker(SpscRing& ring) {
  intervals_.add_worker();
  order_.add_worker();
  workers_.push_back(std::make_unique<Worker>());
  workers_.back()->ring = &ring;
  return workers_.size() - 1;
}

void Collector::start() {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw SetupError(ExitCode::runtime_failure, "start the collector's thread", error.code().message());
  }
}

void Collector::worker_ended(std::size_t worker) noexcept {
  // release: the worker's last publish comes before; the collector then sees its whole ring.
  workers_[worker]->ended.store(true, std::memory_order_release);
  wake();
}

void Collector::wake() noexcept { signal_event(wake_.get()); }

void Collector::wait_for_round() noexcept {
  // acquire: with the release in run(), what that round gave back is visible. Taken before the wake-up: no round that
  // begins after it can be missed; one that was under way ends the wait early, and the caller looks and comes again.
  const std::uint32_t seen = rounds_.load(std::memory_order_acquire);
  wake();
  rounds_.wait(seen, std::memory_order_acquire);
}

void Collector::interrupt() noexcept {
  for (const auto& output : outputs_) output->hurry();
  wake();
}

void Collector::event(std::uint64_t utc_ns, std::string_view event, std::string_view members) {
  {
    const std::lock_guard lock(events_mutex_);
    events_.push_back({utc_ns, std::string(event), std::string(members)});
  }
  // release: pairs with the exchange in publish_events().
  has_events_.store(true, std::memory_order_release);
  wake();
}

std::uint64_t Collector::results_dropped(std::size_t worker) const noexcept {
  return workers_[worker]->dropped.load(std::memory_order_relaxed);
}

std::uint64_t Collector::results(std::size_t worker) const noexcept {
  return workers_[worker]->results.load(std::memory_order_relaxed);
}

void Collector::join() {
  if (thread_.joinable()) thread_.join();
}

OutputLedger Collector::ledger() const noexcept {
  OutputLedger sum;
  for (const auto& output : outputs_) {
    const OutputLedger one = output->ledger();
    sum.lines += one.lines;
    sum.lines_dropped += one.lines_dropped;
  }
  return sum;
}

void Collector::run() {
  int pause_ms = kBusy_ms;
  while (!all_drained()) {
    const std::size_t taken = round();
    rounds_.fetch_add(1, std::memory_order_release);
    if (config_.in_order) rounds_.notify_all();  // live, nobody waits
    pause_ms = taken != 0 ? kBusy_ms : std::min(2 * pause_ms, config_.longest_pause_ms());
    if (!all_drained()) sleep(pause_ms);
  }
  close();
  signal_event(done_.get());
}

bool Collector::all_drained() const noexcept {
  return std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker->drained; });
}

void Collector::sleep(int timeout_ms) noexcept {
  std::vector<pollfd> fds{{wake_.get(), POLLIN, 0}};
  for (const auto& output : outputs_)
    if (const int fd = output->backlog_fd(); fd >= 0) fds.push_back({fd, POLLOUT, 0});
  ::poll(fds.data(), fds.size(), timeout_ms);
  if (fds[0].revents == 0) return;
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);  // taken: it sleeps again
}

std::size_t Collector::round() {
  std::size_t taken = 0;
  held_back_ = false;
  if (config_.each_round) config_.each_round();
  for (std::size_t i = 0; i < workers_.size(); ++i) taken += take(i);
  if (config_.in_order) watch_for_stall(taken);
  publish_intervals();
  publish_events();
  if (config_.in_order) emit_ordered();
  look_at_outputs();
  return taken;
}

void Collector::close() {
  finish_totals();
  publish_events();
  for (const auto& output : outputs_) output->finish(config_.in_order ? -1 : kFinish_ms);
  look_at_outputs();
}

// One ring's messages, as far as they lie contiguously twice (before and behind the ring's end).
std::size_t Collector::take(std::size_t number) {
  Worker& worker = *workers_[number];
  if (worker.drained) return 0;
  // acquire: before looking at the ring, so that an empty ring of an ended worker stays empty.
  const bool ended = worker.ended.load(std::memory_order_acquire);
  std::size_t taken = 0;
  for (int part = 0; part < 2; ++part) {
    if (config_.in_order && !stalled_ && !order_.may_take(number)) {
      held_back_ = true;
      return taken;
    }
    std::span<const std::byte> bytes = worker.ring->readable();
    const std::size_t size = bytes.size();
    if (size == 0) break;
    while (bytes.size() >= sizeof(engine_message)) {
      engine_message head;
      std::memcpy(&head, bytes.data(), sizeof head);
      if (head.length < sizeof head || head.length > bytes.size()) break;  // not a message: the rest is unusable
      accept(number, head, bytes.subspan(sizeof head, head.length - sizeof head));
      bytes = bytes.subspan(head.length);
      ++taken;
    }
    if (!bytes.empty()) count(number, false);
    worker.ring->consume(size);
  }
  if (ended && worker.ring->readable().empty()) {
    worker.drained = true;
    intervals_.worker_ended(number);
    order_.worker_ended(number);
  }
  return taken;
}

// See order.h: from when nothing has moved for a while, those ahead are taken from until something does.
void Collector::watch_for_stall(std::size_t taken) noexcept {
  const double watermark = order_.watermark();
  const bool moved = watermark != std::exchange(watermark_, watermark);
  const std::uint64_t now_ns = monotonic_ns();
  if (moved || (!stalled_ && (!held_back_ || taken != 0))) {
    moved_ns_ = now_ns;
    stalled_ = false;
  } else if (now_ns - moved_ns_ > kStall_ns) {
    stalled_ = true;
  }
}

void Collector::look_at_outputs() {
  for (const auto& output : outputs_) {
    output->flush();
    if (output->reader_gone() && !std::exchange(told_gone_, true) && config_.on_reader_gone) config_.on_reader_gone();
    std::string failure = output->failure();
    if (failure.empty() || std::exchange(told_failure_, true)) continue;
    if (config_.on_failure) config_.on_failure(failure);
  }
}

}  // namespace engine
