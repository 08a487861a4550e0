// An interface tapped by AF_PACKET: the traffic goes on to the kernel's stack, in both directions, and the workers get
// copies. One socket per lane; with several the kernel deals the flows out to them, both directions of a connection to
// one.
//
// Destruction order is the reverse of the members': sockets, then the addresses their rings lie in.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/filter.h"
#include "bpf/tap_filter.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/source/port.h"
#include "engine/tap/packet_socket.h"
#include "numa/range.h"

namespace engine {

// Something that the settings ask for and only XDP can do; a tap instead would look as if it were done.
struct TapLack {
  const char* option;
  const char* what;
};
std::optional<TapLack> lack_of_tap(const cli::Settings& settings);  // the first

class TapPort : public Port {
 public:
  // `filter`: which packets the kernel hands over. Throws SetupError. The settings and the log outlive the port.
  TapPort(const cli::InterfaceSetting& interface, bpf::FilterExpression filter, const cli::Settings& settings,
          const cli::Log& log);

  std::string_view mode() const noexcept override { return "afpacket"; }
  void open(std::span<const LanePlace> places) override;
  void start() override;
  void stop() override;
  void close() override;
  void tick() override;
  void add_ledgers(bool workers_ended, std::vector<QueueLedger>& lanes, std::vector<QueueLedger>& others) override;

  void set_filter(const bpf::FilterExpression& filter) override;  // needs CAP_BPF

 private:
  std::vector<UniqueFd> load_programs(const bpf::FilterExpression& filter) const;  // one a lane
  PacketStatistics counted(std::size_t lane);
  void say_what_was_obtained() const;

  bpf::FilterExpression filter_;  // what the kernel hands over
  const cli::Settings& settings_;
  const cli::Log& log_;
  std::vector<bpf::TapFilter> filters_;   // parallel to the lanes; they and what they counted outlive the sockets
  std::vector<PacketStatistics> closed_;  // what the sockets of a lane counted that are closed
  std::vector<numa::AddressPart> parts_;
  std::vector<UniqueFd> programs_;  // made before start(), when there may be no right to any more
  // Frames are shown to a program: from the first filter on, for good. Where all are wanted a socket has none, as the
  // kernel's way to a program costs a frame more (40 ns of 800 on veth) than judging and counting it there.
  bool judged_ = false;
  std::optional<bool> counted_by_programs_;  // all frames, since the first start
  std::vector<PacketSocket> sockets_;
  std::optional<ReceiverFence> fence_;
};

}  // namespace engine
