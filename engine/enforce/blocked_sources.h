// The block list as it should be, and the kernel's made the same: sources that are blocked, each until its time is over
// or for good. One thread at a time (see enforcement.h). An update is a system call of about a microsecond.
//
// It is bounded, and when it is full nothing is given up for a new entry: an attacker who can get sources blocked could
// else push out those that were blocked for a reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/enforce/source.h"
#include "engine/enforce/timed_list.h"

namespace engine {

class BlockedSources {
 public:
  struct Kernel {  // each returns 0 or the errno
    std::function<int(const Source&)> add;
    std::function<int(const Source&)> remove;
  };
  struct Room {  // beside the operator's own
    std::uint32_t addresses = 65536;
    std::uint32_t networks = 1024;
  };
  enum class Outcome : std::uint8_t {
    blocked,
    extended,   // was blocked already: until the later of both ends
    permanent,  // is blocked for good
    never,      // overlaps what must not be blocked
    full,
    failed,  // the kernel refused it: error()
  };

  // `permanent` is in the kernel's list already.
  BlockedSources(Kernel kernel, Room room, const std::vector<Source>& permanent, std::vector<Source> never);

  // Until when: TimedList::kForGood has no end. `even_never`: whoever asks means it.
  Outcome block(const Source& source, std::uint8_t by, std::uint64_t until_ns, bool even_never = false);
  // 0, ENOENT if it is not in, or the kernel's errno: then it stays in.
  int unblock(const Source& source);
  int error() const noexcept { return error_; }

  // Takes out those that are over, about the first `limit` of them; gone(source, who asked first).
  void expire(std::uint64_t now_ns, std::size_t limit, const std::function<void(const Source&, std::uint8_t)>& gone);

  std::size_t addresses() const noexcept { return addresses_; }
  std::size_t networks() const noexcept { return list_.size() - addresses_; }
  bool has_room_for_addresses() const noexcept { return addresses() < max_addresses_; }
  bool has_room_for_networks() const noexcept { return networks() < max_networks_; }
  const TimedList<Source>& list() const noexcept { return list_; }

 private:
  int take_out(const Source& source);

  Kernel kernel_;
  std::vector<Source> never_;
  TimedList<Source> list_;
  std::size_t addresses_ = 0;
  std::size_t max_addresses_;
  std::size_t max_networks_;
  int error_ = 0;
};

}  // namespace engine
