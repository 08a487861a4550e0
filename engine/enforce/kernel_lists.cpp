#include "engine/enforce/kernel_lists.h"

#include <utility>

namespace engine {
namespace {

class AllPrograms {
 public:
  explicit AllPrograms(std::vector<bpf::RootProgram*> programs) : programs_(std::move(programs)) {}

  template <class Ask>
  int ask(const Ask& ask) const {
    int error = 0;
    for (bpf::RootProgram* program : programs_) {
      const int result = ask(program->lists());
      if (error == 0) error = result;
    }
    return error;
  }

 private:
  std::vector<bpf::RootProgram*> programs_;
};

void add(FlowFigures& to, const root_flow_counters& counters) noexcept {
  to.packets += counters.packets;
  to.bytes += counters.bytes;
}

}  // namespace

BlockedSources::Kernel kernel_block_lists(std::vector<bpf::RootProgram*> programs) {
  const AllPrograms all(std::move(programs));
  return {.add =
              [all](const Source& source) {
                return all.ask([&](bpf::RootLists& lists) {
                  return source.is_address() ? lists.block(source.address()) : lists.block(source.network());
                });
              },
          .remove =
              [all](const Source& source) {
                return all.ask([&](bpf::RootLists& lists) {
                  return source.is_address() ? lists.unblock(source.address()) : lists.unblock(source.network());
                });
              }};
}

BypassedFlows::Kernel kernel_bypass_lists(std::vector<bpf::RootProgram*> programs) {
  const AllPrograms all(std::move(programs));
  return {
      .add =
          [all](const Flow& flow) { return all.ask([&](bpf::RootLists& lists) { return lists.bypass(flow.key()); }); },
      .remove =
          [all](const Flow& flow, FlowFigures& last) {
            return all.ask([&](bpf::RootLists& lists) {
              root_flow_counters counters{};
              const int error = lists.unbypass(flow.key(), counters);
              if (error == 0) add(last, counters);
              return error;
            });
          },
      .read =
          [all](const Flow& flow, FlowFigures& now) {
            return all.ask([&](bpf::RootLists& lists) {
              root_flow_counters counters{};
              const int error = lists.bypass_counters(flow.key(), counters);
              if (error == 0) add(now, counters);
              return error;
            });
          }};
}

RateLimits::Kernel kernel_rate_limits(std::vector<bpf::RootProgram*> programs) {
  const AllPrograms all(std::move(programs));
  return [all](const RateWish& wish) {
    return all.ask([&](bpf::RootLists& lists) { return lists.set_rate_limit({wish.max_pps, wish.burst}); });
  };
}

}  // namespace engine
