#include "engine/enforce/bypassed_flows.h"

#include <cerrno>

namespace engine {

BypassedFlows::Outcome BypassedFlows::bypass(const Flow& flow, std::uint8_t by, std::uint64_t until_ns) {
  if (const auto* known = list_.find(flow)) {
    if (known->until_ns == TimedList<Flow>::kForGood) return Outcome::permanent;
    list_.put_off(flow, until_ns);
    return Outcome::extended;
  }
  if (!has_room()) return Outcome::full;
  error_ = kernel_.add(flow);
  if (error_ != 0) return Outcome::failed;
  list_.insert(flow, {until_ns, by});
  return Outcome::bypassed;
}

int BypassedFlows::take_out(const Flow& flow, FlowFigures& last) {
  const int error = kernel_.remove(flow, last);
  if (error != 0 && error != ENOENT) return error_ = error;
  return 0;
}

int BypassedFlows::unbypass(const Flow& flow, FlowFigures& last) {
  if (list_.find(flow) == nullptr) return ENOENT;
  if (const int error = take_out(flow, last); error != 0) return error;
  list_.erase(flow);
  return 0;
}

void BypassedFlows::expire(std::uint64_t now_ns, std::size_t limit, const Gone& gone) {
  list_.expire(now_ns, limit, [&](const Flow& flow, const auto& entry) {
    FlowFigures last;
    if (take_out(flow, last) != 0) return false;
    gone(flow, entry.by, last);
    return true;
  });
}

void BypassedFlows::end(const Gone& gone) {
  list_.page(0, list_.size(), [&](const Flow& flow, const auto& entry) {
    FlowFigures last;
    if (kernel_.read(flow, last) == 0) gone(flow, entry.by, last);
  });
}

}  // namespace engine
