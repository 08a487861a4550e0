// Joins the two directions of a flow that went through different workers. Collector's thread.
//
// A NIC that hashes the directions of a connection differently gives them to two workers; each table then holds a
// half, a record of one direction only. A half waits here for the other one: of the same key, the other direction, and
// close in time. Halves end at different times (one side's RST is no end for the other half, which runs into the idle
// limit), so a half waits until its last packet is the idle limit and five seconds old; then nothing that belongs to it
// can be on its way any more, and it is published as it is. At most kMostHeld wait; beyond, the oldest is published.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "plugins/flows/flow_fields.h"
#include "plugins/flows/flow_key.h"
#include "plugins/flows_native.h"

namespace plugins {

class FlowHalves {
 public:
  static constexpr std::size_t kMostHeld = 262'144;
  static constexpr double kMargin_ns = 5e9;

  using Publish = std::function<void(const engine_flow&)>;

  // Rows are `stride_bytes` long: a flow and its user fields.
  FlowHalves(double idle_ns, const FlowFields& fields, std::size_t stride_bytes);

  // Publishes the flow, joined if its other half was waiting, or keeps it.
  void add(const engine_flow& flow, const Publish& publish);
  // Publishes what has waited long enough at this time, since the epoch; the longest ended first.
  void release(double now_ns, const Publish& publish);

 private:
  using Row = std::unique_ptr<std::byte[]>;
  using Held = std::multimap<double, Row>;  // by their last packet

  Row copy(const engine_flow& flow) const;
  void forget(Held::iterator held);
  void publish_oldest(const Publish& publish);

  FlowSecrets secrets_ = random_secrets();
  double hold_ns_;
  const FlowFields& fields_;
  std::size_t stride_bytes_;
  Held held_;
  std::unordered_multimap<std::uint64_t, Held::iterator> by_key_;  // by a hash of the key
};

// Whether only one direction has been seen, and which.
bool is_half(const engine_flow& flow, unsigned& side) noexcept;

// `flow` becomes the whole of both; they are halves of the same key and of different directions.
void join_halves(engine_flow& flow, const engine_flow& other) noexcept;

}  // namespace plugins
