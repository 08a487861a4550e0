#include "engine/results/intervals.h"

#include <algorithm>
#include <utility>

namespace engine {

Intervals::Intervals(std::size_t plugins, bool bounded) : bounded_(bounded), plugins_(plugins) {}

Intervals::~Intervals() = default;

void Intervals::add_worker() { workers_.emplace_back().last.resize(plugins_.size()); }

bool Intervals::part(std::size_t worker, std::size_t plugin, std::size_t number, std::unique_ptr<plugins::Part> part,
                     plugins::Structure& owner) {
  if (plugin >= plugins_.size()) {
    owner.give_back(part.release());
    return false;
  }
  workers_[worker].held.push_back({plugin, number, std::move(part), &owner});
  return true;
}

void Intervals::ended(std::size_t worker, std::size_t plugin, std::uint64_t index, double time_ns, double place) {
  if (plugin >= plugins_.size()) return;
  Worker& from = workers_[worker];
  Interval& interval = open(plugin, index);
  interval.closed_ns = std::max(interval.closed_ns, time_ns);
  interval.place = std::max(interval.place, place);
  merge_held(from, plugin, interval);
  from.last[plugin] = std::max(from.last[plugin].value_or(0), index);
}

// Parts whose INTERVAL found no room in the ring before the end still count.
void Intervals::worker_ended(std::size_t worker) {
  Worker& from = workers_[worker];
  from.ended = true;
  while (!from.held.empty()) {
    const std::size_t plugin = from.held.front().plugin;
    const std::optional<std::uint64_t> last = from.last[plugin];
    merge_held(from, plugin, open(plugin, last ? *last + 1 : plugins_[plugin].published.value_or(0)));
  }
}

// What belongs to an interval that is out already joins the one that comes next.
Interval& Intervals::open(std::size_t plugin, std::uint64_t index) {
  Plugin& state = plugins_[plugin];
  if (state.published && index <= *state.published) index = *state.published + 1;
  Interval& interval = state.waiting[index];
  interval.plugin = plugin;
  interval.index = index;
  return interval;
}

void Intervals::merge_held(Worker& worker, std::size_t plugin, Interval& interval) {
  for (Held& held : worker.held) {
    if (held.plugin != plugin) continue;
    if (interval.parts.size() <= held.number) interval.parts.resize(held.number + 1);
    std::unique_ptr<plugins::Part>& merged = interval.parts[held.number];
    if (!merged) merged = held.part->make_empty();
    merged->merge(*held.part);
    held.owner->give_back(held.part.release());
  }
  std::erase_if(worker.held, [](const Held& held) { return held.part == nullptr; });
}

bool Intervals::complete(std::size_t plugin, std::uint64_t index) const {
  return std::all_of(workers_.begin(), workers_.end(), [&](const Worker& worker) {
    return worker.ended || (worker.last[plugin] && *worker.last[plugin] >= index);
  });
}

std::optional<Interval> Intervals::next() {
  for (std::size_t i = 0; i < plugins_.size(); ++i) {
    Plugin& plugin = plugins_[i];
    if (plugin.waiting.empty()) continue;
    const std::uint64_t oldest = plugin.waiting.begin()->first;
    if (!complete(i, oldest) && !(bounded_ && plugin.waiting.size() > kMaxWaiting)) continue;
    Interval interval = std::move(plugin.waiting.begin()->second);
    plugin.waiting.erase(plugin.waiting.begin());
    plugin.published = oldest;
    return interval;
  }
  return std::nullopt;
}

}  // namespace engine
