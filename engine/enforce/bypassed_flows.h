// The bypass list as it should be, and the kernel's made the same: flows that the root program leaves to the kernel's
// stack, each until its time is over or for good, with what it counted of them. One thread at a time (see
// enforcement.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "engine/enforce/flow.h"
#include "engine/enforce/timed_list.h"

namespace engine {

// What passed by since the flow came into the list.
struct FlowFigures {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  // of frames, Ethernet header included
};

class BypassedFlows {
 public:
  struct Kernel {  // each returns 0 or the errno
    std::function<int(const Flow&)> add;
    std::function<int(const Flow&, FlowFigures& last)> remove;  // fills `last` also where the flow was not everywhere
    std::function<int(const Flow&, FlowFigures& now)> read;
  };
  enum class Outcome : std::uint8_t {
    bypassed,
    extended,   // was already: until the later of both ends
    permanent,  // is for good
    full,
    failed,  // the kernel refused it: error()
  };
  using Gone = std::function<void(const Flow&, std::uint8_t by, const FlowFigures&)>;

  BypassedFlows(Kernel kernel, std::uint32_t room) : kernel_(std::move(kernel)), room_(room) {}

  Outcome bypass(const Flow& flow, std::uint8_t by, std::uint64_t until_ns);
  // 0 with its figures, ENOENT if it is not in, or the kernel's errno: then it stays in.
  int unbypass(const Flow& flow, FlowFigures& last);
  int read(const Flow& flow, FlowFigures& now) const { return kernel_.read(flow, now); }
  int error() const noexcept { return error_; }

  void expire(std::uint64_t now_ns, std::size_t limit, const Gone& gone);
  // All of them, at the end of the run.
  void end(const Gone& gone);

  std::size_t size() const noexcept { return list_.size(); }
  bool has_room() const noexcept { return list_.size() < room_; }
  const TimedList<Flow>& list() const noexcept { return list_; }

 private:
  int take_out(const Flow& flow, FlowFigures& last);

  Kernel kernel_;
  std::size_t room_;
  TimedList<Flow> list_;
  int error_ = 0;
};

}  // namespace engine
