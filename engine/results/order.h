// Puts the results of several workers into the order of the capture file. Collector's thread.
//
// Every message carries the place of the packet it belongs to. Workers run at different speeds, and one worker's
// messages of a batch come plugin by plugin; so messages are kept until every worker has said that it is past their
// place (PROGRESS), and come out sorted by place; at the same place what ended there (interval results) first, then by
// plugin, worker, and as the worker sent them. That order depends on the file and the plugins alone as long as one
// packet is one worker's: the same bytes with one worker and with four.
//
// Memory: a worker that is ahead is no longer taken from once kAheadBytes of it are kept; its ring fills and it waits.
// The one that is behind is always taken from, and what is kept of it is at most one batch beyond its own mark. It gets
// ahead because the source sends it progress marks, also while it waits for another worker's ring. Should a mark find
// no room, the source can end up waiting for the one that is held back: the collector then sees that nothing moves and
// takes all the same. That ends: what the worker can still send comes from frames that its source has already given it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/results/intervals.h"
#include "plugins/abi.h"

namespace engine {

class Order {
 public:
  static constexpr std::size_t kAheadBytes = 1u << 20;

  struct Receiver {
    std::function<void(std::size_t worker, const engine_message& head, std::span<const std::byte> payload)> message;
    std::function<void(const Interval& interval)> interval;
  };

  void add_worker() { workers_.emplace_back(); }

  bool may_take(std::size_t worker) const noexcept;
  void message(std::size_t worker, const engine_message& head, std::span<const std::byte> payload);
  void interval(Interval interval);
  void progress(std::size_t worker, double place);
  void worker_ended(std::size_t worker);

  double watermark() const noexcept;  // up to here everybody is done

  // Hands out, in order, what no worker can get behind any more.
  void emit(const Receiver& receiver);

 private:
  struct Entry {
    engine_message head;
    std::size_t offset;  // of the payload in `bytes`
    std::size_t length;
  };
  struct Worker {
    std::vector<Entry> entries;
    std::vector<std::byte> bytes;
    std::size_t sorted = 0;  // entries below are final and in order
    std::size_t next = 0;    // the first that was not handed out
    double mark = 0;         // everything up to here has been processed
    bool ended = false;
  };

  static void sort_new(Worker& worker);
  static void compact(Worker& worker);
  Worker* first(double up_to, std::size_t& number) noexcept;

  std::vector<Worker> workers_;
  std::vector<Interval> intervals_;  // in order of arrival; few
};

}  // namespace engine
