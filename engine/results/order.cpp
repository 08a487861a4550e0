#include "engine/results/order.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace engine {
namespace {

// The order of messages of one worker at a time, all of them records: stable sorting keeps the worker's own sequence.
bool before(const engine_message& left, const engine_message& right) noexcept {
  return std::tie(left.place, left.plugin) < std::tie(right.place, right.plugin);
}

}  // namespace

bool Order::may_take(std::size_t worker) const noexcept {
  const Worker& state = workers_[worker];
  return state.bytes.size() < kAheadBytes || state.mark <= watermark();
}

void Order::message(std::size_t worker, const engine_message& head, std::span<const std::byte> payload) {
  Worker& state = workers_[worker];
  state.entries.push_back({head, state.bytes.size(), payload.size()});
  state.bytes.insert(state.bytes.end(), payload.begin(), payload.end());
}

void Order::interval(Interval interval) { intervals_.push_back(std::move(interval)); }

void Order::progress(std::size_t worker, double place) {
  Worker& state = workers_[worker];
  sort_new(state);
  state.mark = std::max(state.mark, place);
}

void Order::worker_ended(std::size_t worker) {
  sort_new(workers_[worker]);
  workers_[worker].ended = true;
}

void Order::sort_new(Worker& worker) {
  std::stable_sort(worker.entries.begin() + static_cast<std::ptrdiff_t>(worker.sorted), worker.entries.end(),
                   [](const Entry& left, const Entry& right) { return before(left.head, right.head); });
  worker.sorted = worker.entries.size();
}

double Order::watermark() const noexcept {
  double lowest = std::numeric_limits<double>::infinity();
  for (const Worker& worker : workers_)
    if (!worker.ended) lowest = std::min(lowest, worker.mark);
  return lowest;
}

// The worker whose next entry is first of all; null if there is none up to that place.
Order::Worker* Order::first(double up_to, std::size_t& number) noexcept {
  Worker* best = nullptr;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    Worker& worker = workers_[i];
    if (worker.next == worker.sorted || worker.entries[worker.next].head.place > up_to) continue;
    if (best != nullptr && !before(worker.entries[worker.next].head, best->entries[best->next].head)) continue;
    best = &worker;
    number = i;
  }
  return best;
}

void Order::emit(const Receiver& receiver) {
  const double up_to = watermark();
  std::stable_sort(intervals_.begin(), intervals_.end(), [](const Interval& left, const Interval& right) {
    return std::tie(left.place, left.plugin, left.index) < std::tie(right.place, right.plugin, right.index);
  });
  std::size_t interval = 0;
  const auto intervals_until = [&](double place) {
    while (interval < intervals_.size() && intervals_[interval].place <= place)
      receiver.interval(intervals_[interval++]);
  };
  std::size_t number = 0;
  while (Worker* worker = first(up_to, number)) {
    const Entry& entry = worker->entries[worker->next++];
    intervals_until(entry.head.place);
    receiver.message(number, entry.head, {worker->bytes.data() + entry.offset, entry.length});
  }
  intervals_until(up_to);
  intervals_.erase(intervals_.begin(), intervals_.begin() + static_cast<std::ptrdiff_t>(interval));
  for (Worker& worker : workers_) compact(worker);
}

// Moves what is left to the front, once at least half has been handed out: each byte is moved at most once on average.
void Order::compact(Worker& worker) {
  if (worker.next == 0 || worker.next < worker.entries.size() / 2) return;
  const std::size_t gone =
      worker.next < worker.entries.size() ? worker.entries[worker.next].offset : worker.bytes.size();
  // Sorting moves entries, not their bytes: the smallest offset that is still needed decides.
  std::size_t keep = gone;
  for (std::size_t i = worker.next; i < worker.entries.size(); ++i) keep = std::min(keep, worker.entries[i].offset);
  worker.bytes.erase(worker.bytes.begin(), worker.bytes.begin() + static_cast<std::ptrdiff_t>(keep));
  worker.entries.erase(worker.entries.begin(), worker.entries.begin() + static_cast<std::ptrdiff_t>(worker.next));
  for (Entry& entry : worker.entries) entry.offset -= keep;
  worker.sorted -= worker.next;
  worker.next = 0;
}

}  // namespace engine
