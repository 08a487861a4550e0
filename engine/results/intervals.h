// Joins the parts that the workers hand over at an interval's end into one result per interval. Collector's thread.
//
// A worker sends the parts of its structures (PART, with their ownership) and then INTERVAL with the index. The parts
// are merged and given back at once; the interval is complete when every worker has sent that index or a later one,
// or has ended. A part can be missing (its spare was not back yet): its content comes with the worker's next one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "plugins/structure.h"

namespace engine {

struct Interval {
  std::size_t plugin = 0;  // the engine's own summary: the number of plugins
  std::uint64_t index = 0;
  double closed_ns = 0;                               // since the epoch: the latest time at which a worker closed it
  double place = 0;                                   // in the capture file, of the packet that closed it
  std::vector<std::unique_ptr<plugins::Part>> parts;  // by structure's number; null: no worker sent one
};

class Intervals {
 public:
  // Live, a worker that is stuck must not hold back the others' results for good, nor may what waits for it grow
  // without bound: behind so many intervals the oldest is published as it is. What comes late joins the next one.
  static constexpr std::size_t kMaxWaiting = 16;

  explicit Intervals(std::size_t plugins, bool bounded);
  ~Intervals();
  Intervals(const Intervals&) = delete;
  Intervals& operator=(const Intervals&) = delete;

  void add_worker();

  // Takes the part until it is merged; then it goes back to `owner`. False: no such plugin; it goes back unmerged.
  bool part(std::size_t worker, std::size_t plugin, std::size_t number, std::unique_ptr<plugins::Part> part,
            plugins::Structure& owner);
  void ended(std::size_t worker, std::size_t plugin, std::uint64_t index, double time_ns, double place);
  void worker_ended(std::size_t worker);

  // The next complete interval, oldest first within a plugin.
  std::optional<Interval> next();

 private:
  struct Held {
    std::size_t plugin;
    std::size_t number;
    std::unique_ptr<plugins::Part> part;
    plugins::Structure* owner;
  };
  struct Worker {
    std::vector<std::optional<std::uint64_t>> last;  // by plugin: the index it sent last
    std::vector<Held> held;                          // parts whose INTERVAL has not come yet
    bool ended = false;
  };
  struct Plugin {
    std::map<std::uint64_t, Interval> waiting;
    std::optional<std::uint64_t> published;
  };

  Interval& open(std::size_t plugin, std::uint64_t index);
  void merge_held(Worker& worker, std::size_t plugin, Interval& interval);
  bool complete(std::size_t plugin, std::uint64_t index) const;

  bool bounded_;
  std::vector<Worker> workers_;
  std::vector<Plugin> plugins_;
};

}  // namespace engine
