// A veth pair in a network namespace of its own, which goes with the thread that made it: nothing has a name outside,
// and nothing is left behind when a test fails.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/unique_fd.h"

namespace engine::gen::test {

inline constexpr const char* near_side = "gen0";
inline constexpr const char* far_side = "gen1";

class Lab {
 public:
  // Runs `body` on a thread in a namespace with the pair, `queues` each way, both up. Returns why it could not, or
  // empty.
  static std::string run(unsigned queues, const std::function<void(Lab&)>& body);

  // From here on an XDP program on the far side counts packets by queue, and then drops or passes them.
  void count(bool pass);
  std::vector<std::uint64_t> counts() const;
  std::uint64_t counted() const;

  static bool shell(const std::string& command);  // in the namespace

 private:
  explicit Lab(unsigned queues) : queues_(queues) {}

  unsigned queues_;
  UniqueFd map_;
  UniqueFd link_;
};

// Whatever reaches the far side's stack, through a packet socket.
class Tap {
 public:
  Tap();
  // The next frame; empty if none comes for a second.
  std::vector<std::byte> next();

 private:
  UniqueFd fd_;
};

}  // namespace engine::gen::test
