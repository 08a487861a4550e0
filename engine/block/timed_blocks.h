// Sources that are blocked for a time: which there are, when each is over, which must never be.
//
// Knows neither clock nor kernel: the caller gives the time, and functions that change the kernel's list. One thread.
// Bounded: where there is no room a request is refused, and nothing is given up for it: else a flood from many sources
// would free those that were blocked for a reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "engine/block/source.h"

namespace engine {

class TimedBlocks {
 public:
  static constexpr std::uint32_t kMaxAddresses = 65536;
  static constexpr std::uint32_t kMaxNetworks = 1024;
  static constexpr std::uint64_t kRetry_ns = 1'000'000'000;  // of a removal that failed

  struct Kernel {  // each returns 0 or the errno
    std::function<int(const Source&)> add;
    std::function<int(const Source&)> remove;
  };
  enum class Outcome : std::uint8_t {
    blocked,
    extended,   // was blocked already: until the later of both ends
    permanent,  // the operator blocks it for good
    never,      // overlaps what must not be blocked
    full,
    failed,  // the kernel refused it: error()
  };

  // `permanent` is in the kernel's list already, and stays.
  TimedBlocks(Kernel kernel, const std::vector<Source>& permanent, std::vector<Source> never);

  Outcome block(const Source& source, std::uint8_t plugin, double seconds, std::uint64_t now_ns);
  int error() const noexcept { return error_; }

  // Takes those out that are over, the first `limit` of them; gone(source, plugin that asked first).
  void expire(std::uint64_t now_ns, std::size_t limit, const std::function<void(const Source&, std::uint8_t)>& gone);

  std::size_t addresses() const noexcept { return addresses_; }
  std::size_t networks() const noexcept { return entries_.size() - addresses_; }

 private:
  struct Entry {
    std::uint64_t until_ns;
    std::uint8_t plugin;
  };

  Kernel kernel_;
  std::set<Source> permanent_;
  std::vector<Source> never_;
  std::map<Source, Entry> entries_;
  std::set<std::pair<std::uint64_t, Source>> ends_;
  std::size_t addresses_ = 0;
  int error_ = 0;
};

}  // namespace engine
