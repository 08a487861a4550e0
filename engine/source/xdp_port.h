// An interface captured by AF_XDP: its root program, one socket per queue, the memory behind them, their ledger.
//
// Destruction order is the reverse of the members': program (detached), sockets, then the memory they use; but where a
// driver made queues for XDP that it takes away at the detach, the sockets go first.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bpf/redirect_errors.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/source/hardware_clock.h"
#include "engine/source/port.h"
#include "engine/source/xdp_memory.h"
#include "xsk/socket.h"

namespace engine {

struct XdpPortConfig {
  std::string interface;
  std::vector<std::uint32_t> queues;  // empty: the first `queue_count`, or all
  std::uint32_t queue_count = 0;
  bool takes_all() const noexcept { return queues.empty() && queue_count == 0; }
  std::optional<bpf::FilterExpression> filter = std::nullopt;  // nothing: everything goes to the sockets
  // Adds the stages before the filter that are wanted, as it stands when a program is made.
  std::function<void(bpf::RootConfig&)> add_stages = nullptr;
  std::optional<bpf::RootProgram> program;  // one that somebody else loaded (a privileged helper, a test)
};

class XdpPort : public Port {
 public:
  // Attaches the program with an empty socket map: until start() all traffic goes to the kernel's stack. Throws
  // SetupError. Says on the log what was obtained and why not more. The settings and the log outlive the port.
  XdpPort(XdpPortConfig config, const cli::Settings& settings, const cli::Log& log);

  ~XdpPort() override { close_sockets(); }

  std::string_view mode() const noexcept override { return mode_; }
  void open(std::span<const LanePlace> places) override;
  void start() override;
  void stop() override;
  void close() override;
  void add_ledgers(bool workers_ended, std::vector<QueueLedger>& lanes, std::vector<QueueLedger>& others) override;
  void tick() override;
  void set_filter(const bpf::FilterExpression& filter) override;
  bool fits(std::uint32_t mtu_bytes, std::uint32_t rx_queues) const override;

  void change_stages() override;
  bpf::RootProgram* program() noexcept override { return &*program_; }

  const std::vector<xsk::Socket*>& sockets() noexcept { return sockets_; }  // parallel to the lanes

 private:
  // What the sockets of a lane counted that are closed.
  struct Closed {
    std::uint64_t rx_packets = 0;
    std::uint64_t rx_dropped = 0;
    std::uint64_t rx_ring_full = 0;
    std::uint64_t fill_ring_empty = 0;
    std::uint64_t invalid_descs = 0;
  };

  void require_sockets() const;
  std::uint32_t wanted_hints() const;
  bpf::RootConfig wanted_root() const;  // the program as it should be now
  void say_which_hints();
  void attach();
  void load_program();
  void choose_queues();
  void add_lane(std::uint32_t queue, bool from_start);
  std::size_t lanes_to_open(std::span<const LanePlace> places) const;
  bool was_open(std::size_t lane) const noexcept { return places_[lane].range != nullptr; }
  void close_sockets() noexcept;
  Closed counted(std::size_t lane, bool exact);
  QueueLedger program_ledger(std::uint32_t queue) const;
  const xsk::Socket& worst_socket() const noexcept;
  xsk::RingSizes choose_sizes() const;
  void say_what_was_obtained(std::uint32_t frames_per_queue) const;

  XdpPortConfig config_;
  const cli::Settings& settings_;
  const cli::Log& log_;
  std::string mode_ = "none";
  std::size_t lanes_from_start_ = 0;  // the others are of queues that there may be later
  std::vector<LanePlace> places_;     // of lanes that are or were open
  xsk::FrameChoice frames_;
  bool program_takes_several_frames_ = false;
  std::vector<XdpMemory> memory_;
  std::vector<xsk::Socket*> sockets_;     // in it, parallel to the lanes
  std::uint32_t queues_without_xdp_ = 0;  // what is left after the detach
  bool sockets_go_first_ = false;         // they must be closed before it
  std::vector<Closed> closed_;
  std::optional<HardwareClock> clock_;  // where it stamps packets
  std::optional<bpf::RedirectErrors> redirect_errors_;
  std::optional<bpf::RootProgram> program_;
  std::vector<UniqueFd> release_probes_;  // see attach() and xsk/release.h
  UniqueFd grace_;                        // see attach()
};

}  // namespace engine
