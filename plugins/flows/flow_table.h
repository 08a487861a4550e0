// The flows that a worker sees, both directions in one: millions of them in bounded memory.
//
// A packet costs one line of the index and two of its flow, which before_batch() has fetched. When a flow ends
// depends on the packets' time stamps and the table's limits alone, not on batches or on how often time is told:
//   idle     no packet for the idle limit (a connection that was closed or reset: two seconds, so that what is late
//            opens no other flow)
//   active   the record is the active limit long: it is cut, the flow goes on in another one with the same flow_id
//   fin,rst  as idle, of a connection that was closed or reset; or another one began between the same endpoints
//   evicted  the table is full: of eight flows, taken in turn, the one that would end first makes room
//   end      the capture has ended
// Ended flows go to the interval's part; those that a callback waits for are read there by next_ended().
//
// Worker's thread alone, after the constructor, which reserves all memory. The flows' is touched only as far as it is
// used; the index is hashed into, so the first hundred flows use all of it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "plugins/flows/flow_index.h"
#include "plugins/flows/flow_key.h"
#include "plugins/flows/flow_part.h"
#include "plugins/flows/flow_rows.h"
#include "plugins/flows/timer_wheel.h"
#include "plugins/structure.h"

namespace plugins {

inline constexpr double kFlowLinger_ns = 2e9;

class FlowTable final : public Table {
 public:
  explicit FlowTable(std::shared_ptr<const FlowOptions> options);

  // The packet's flow, with the packet counted; nullptr if it is not IP. Valid until the next call.
  // `side` is the endpoint that sent it.
  engine_flow* add(const engine_packet& packet, unsigned& side) noexcept;
  engine_flow* add(const engine_packet& packet) noexcept {
    unsigned side;
    return add(packet, side);
  }
  // The same, but the packet is not counted yet.
  engine_flow* find_or_begin(const engine_packet& packet, unsigned& side) noexcept;

  void attach(Part& part) noexcept override;
  void set_pending(std::uint32_t* pending) noexcept override { pending_ = pending; }
  void seat(std::uint64_t epoch_ns, bool directions_split) noexcept override {
    epoch_ns_ = epoch_ns;
    split_ = directions_split;
  }
  void touch() noexcept override;
  void before_batch(const engine_packet* packets, const std::uint16_t* index, std::uint32_t count) noexcept override;
  void advance(double now_ns) noexcept override;
  void finish(double now_ns) noexcept override;

  // The next flow that ended, for the callback; nullptr: all have been read. Valid until the next call.
  engine_flow* next_ended() noexcept;

  std::uint32_t size() const noexcept { return size_; }
  const FlowOptions& options() const noexcept { return *options_; }

 private:
  // What before_batch() found out about the packet at this place of the batch, so that add() need not do it again: a
  // packet is told by its time and its frame's place.
  struct Looked {
    FlowKey key;
    std::uint64_t hash = 0;
    double time = -1;
    std::uint32_t off = 0;
  };
  static constexpr std::uint32_t kMaxBatch = 256;

  const Looked* looked_up(const engine_packet& packet) const noexcept;
  bool is_over(const engine_flow& flow, const engine_packet& packet) const noexcept;
  double limit_ns(const engine_flow& flow) const noexcept;
  double due_ns(const engine_flow& flow) const noexcept;
  std::uint32_t begin(const FlowKey& key, std::uint64_t hash, const engine_packet& packet) noexcept;
  std::uint32_t free_row(double now_ns) noexcept;
  void evict(double now_ns) noexcept;
  void count(engine_flow& flow, const engine_packet& packet, unsigned side) noexcept;
  void look_at(std::uint32_t row, double now_ns) noexcept;
  void cut(engine_flow& flow) noexcept;
  void end(std::uint32_t row, engine_flow_reason reason) noexcept;
  void forget(std::uint32_t row, engine_flow_reason reason) noexcept;
  void record(const engine_flow& flow, engine_flow_reason reason) noexcept;

  std::shared_ptr<const FlowOptions> options_;
  double linger_ns_;
  FlowSecrets secrets_ = random_secrets();
  FlowRows rows_;
  FlowIndex index_;
  TimerWheel wheel_;
  FlowPart* part_ = nullptr;
  std::uint32_t* pending_ = nullptr;
  std::size_t read_ = 0;  // of the part's records, by the callback
  std::uint64_t epoch_ns_ = 0;
  bool split_ = false;
  std::uint32_t size_ = 0;
  std::uint32_t touched_ = 0;    // rows that have been in use
  std::uint32_t free_ = kNoRow;  // those that are no more, linked by `next`
  std::uint32_t eviction_hand_ = 0;
  const engine_packet* batch_ = nullptr;  // where the looked-up packets lie
  std::array<Looked, kMaxBatch> looked_;
};

}  // namespace plugins
