// The order in which the packets of several workers go into one file. The packet writer's thread.
//
// Live, those that have arrived come out by their time. Of a capture file they come out in its order whatever the
// number of workers: a packet waits until every other worker has a later one or has said that it is past that place.
//
// A worker that is ahead finds its ring full and waits, and its source with it, which has told the others how far it
// got; should that mark have found no room (engine/file/file_source.h), everybody would wait for everybody. The writer
// then sees that nothing moves and calls hold(): what the rings have moves to memory. That ends, since what a worker
// can still send comes from frames that its source has already given it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/write/packet_lane.h"

namespace engine {

class PacketOrder {
 public:
  explicit PacketOrder(bool by_place) noexcept : by_place_(by_place) {}

  void add(PacketLane& lane) { sources_.push_back({.lane = &lane, .seen = {}, .held = {}}); }

  // Looks at the rings anew: once a round.
  void look() noexcept;
  // The packet whose turn it is, null if none is sure. Valid until done(), which must follow.
  const PacketRecord* next() noexcept;
  void done() noexcept;

  void hold();

  bool is_waiting() noexcept;  // there is a packet, and it is not sure whether it is its turn
  bool drained() noexcept;     // all workers have ended, all their packets are done

 private:
  struct Source {
    PacketLane* lane;
    std::span<const std::byte> seen;  // of the ring, not done
    std::vector<std::byte> held;      // what comes before that
    std::size_t held_done = 0;
    std::uint64_t mark = 0;
    bool ended = false;
  };

  const PacketRecord* head(Source& source) noexcept;
  static void pop(Source& source, std::size_t bytes) noexcept;
  std::uint64_t key(const PacketRecord& record) const noexcept {
    return by_place_ ? static_cast<std::uint64_t>(record.place) : record.time_ns;
  }

  bool by_place_;
  std::vector<Source> sources_;
  Source* current_ = nullptr;    // whose packets come next, while
  std::uint64_t run_until_ = 0;  // their keys are not above this
};

}  // namespace engine
