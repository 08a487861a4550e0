// Which flows may have reached a limit: rows in lists by the time at which that can first be.
//
// A packet does not move its flow: a flow that is due is looked at, and put where its limit lies now. So each flow is
// touched about once per limit, and a packet costs nothing here. Exact: who is due at a time is found by that time,
// however far apart the calls are. One worker's thread; nothing allocates but the constructor.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "plugins/flows/flow_index.h"
#include "plugins/flows/flow_rows.h"

namespace plugins {

class TimerWheel {
 public:
  explicit TimerWheel(FlowRows& rows) : rows_(rows), heads_(std::make_unique<std::uint32_t[]>(kSlots)) {
    std::fill_n(heads_.get(), kSlots, kNoRow);
  }

  void link(std::uint32_t row, double due_ns) noexcept {
    const std::uint64_t tick = std::clamp(tick_of(due_ns), tick_, tick_ + kSlots - 1);
    link_into(row, static_cast<std::uint32_t>(tick % kSlots));
  }

  void unlink(std::uint32_t row) noexcept {
    engine_flow& flow = rows_[row];
    if (flow.previous != kNoRow) {
      rows_[flow.previous].next = flow.next;
    } else {
      heads_[flow.slot] = flow.next;
    }
    if (flow.next != kNoRow) rows_[flow.next].previous = flow.previous;
  }

  // Calls visit(row) for every row whose time may have come by now_ns; it is unlinked before. `visit` links it again,
  // or lets it go; it must not unlink others.
  template <class Visit>
  void advance(double now_ns, const Visit& visit) noexcept {
    const std::uint64_t now = tick_of(now_ns);
    if (now < tick_) return;
    const std::uint64_t slots = std::min(now - tick_ + 1, kSlots);
    const std::uint64_t from = tick_;
    tick_ = now;
    for (std::uint64_t i = 0; i < slots; ++i) {
      std::uint32_t row = heads_[(from + i) % kSlots];
      heads_[(from + i) % kSlots] = kNoRow;
      while (row != kNoRow) {
        const std::uint32_t next = rows_[row].next;
        if (next != kNoRow) __builtin_prefetch(&rows_[next], 1);
        visit(row);
        row = next;
      }
    }
  }

 private:
  static constexpr std::uint64_t kSlots = 4096;
  // 67 ms: 275 s ahead. What is due later is looked at once before.
  static constexpr double kTick_ns = 67'108'864;

  static std::uint64_t tick_of(double at_ns) noexcept {
    return at_ns > 0 ? static_cast<std::uint64_t>(std::min(at_ns, 9e18) / kTick_ns) : 0;
  }
  void link_into(std::uint32_t row, std::uint32_t slot) noexcept {
    engine_flow& flow = rows_[row];
    flow.slot = static_cast<std::uint16_t>(slot);
    flow.previous = kNoRow;
    flow.next = heads_[slot];
    if (flow.next != kNoRow) rows_[flow.next].previous = row;
    heads_[slot] = row;
  }

  FlowRows& rows_;
  std::unique_ptr<std::uint32_t[]> heads_;
  std::uint64_t tick_ = 0;  // everything due before has been visited
};

}  // namespace plugins
