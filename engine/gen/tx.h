// AF_XDP transmission: one socket per queue, any traffic. Packets are dealt to queues here, so that each of the
// peer's receive queues gets its share (on veth, queue q reaches the peer's queue q).
//
// A flow stays on its queue, as it would behind a NIC that hashes: generated flows in turn, those of a replay by the
// hash of the conversation. Only where there are fewer flows than queues, packets go round in runs of 32.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/gen/capture_file.h"
#include "engine/gen/sender.h"
#include "engine/gen/settings.h"
#include "engine/gen/traffic.h"
#include "xsk/link.h"

namespace engine::gen {

class TxLane;

class TxSender final : public Sender {
 public:
  // Opens a socket on each queue. `traffic` or, if it is not null, `replay` (`loops` times, 0: for ever) is sent; both
  // outlive the sender. Throws SetupError.
  TxSender(const xsk::Link& link, const std::vector<std::uint32_t>& queues, Traffic& traffic, const Replay* replay,
           std::uint64_t loops, const TxTuning& tuning = {});
  ~TxSender() override;

  void run(const Load& load, Interrupts& interrupts, Report& report) override;
  std::string failure() const override;

 private:
  std::uint64_t send(std::uint64_t max) noexcept;
  std::uint64_t send_traffic(std::uint64_t count) noexcept;
  std::uint64_t send_replay(std::uint64_t count) noexcept;
  TxLane& lane_of(std::uint32_t flow, std::uint64_t number) noexcept;
  bool make_room(TxLane& lane) noexcept;
  void finish() noexcept;

  std::string interface_name_;
  Traffic& traffic_;
  const Replay* replay_;
  std::uint64_t replay_left_;  // packets
  std::size_t replay_next_ = 0;
  bool flow_keeps_queue_;
  std::uint32_t batch_;
  std::vector<std::unique_ptr<TxLane>> lanes_;
  std::uint64_t handed_over_ = 0;
  std::uint64_t stamped_ = 0;
  std::array<Sent, kind_count> kinds_{};
  Sent replayed_;
  std::string failure_;
};

}  // namespace engine::gen
