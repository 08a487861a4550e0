// A live interface opened for capture: root program, one socket per queue, the memory behind them, their ledger.
//
// Made, started, stopped and read by the main thread; the workers get the queues and the frame memory as plain values.
// Destruction order is the reverse of the members': program (detached), sockets, then the memory they use.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bpf/redirect_errors.h"
#include "bpf/root_program.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/ledger.h"
#include "engine/worker.h"
#include "numa/memory.h"
#include "numa/topology.h"
#include "xsk/link.h"
#include "xsk/socket.h"

namespace engine {

// One worker's share of the interface.
struct CaptureShare {
  numa::WorkerPlacement placement;
  numa::NodeMemory memory;
  std::vector<xsk::Socket> sockets;          // one per queue of the placement
  std::vector<std::unique_ptr<Lane>> lanes;  // parallel to the sockets
};

// What --block and the configuration list. Throws SetupError(bad_usage).
bpf::BlockList operators_block_list(const cli::Settings& settings);

class Capture {
 public:
  // Attaches the program with an empty socket map: until start() all traffic goes to the kernel's stack. Throws
  // SetupError. Says on the log what was obtained and why not more. `ready`: a root program that somebody else loaded
  // (a privileged helper, a test); without it one is loaded as the settings say. `plugins_block`: with room for what
  // plugins block.
  Capture(const cli::Settings& settings, const cli::Log& log, std::optional<bpf::RootProgram> ready = std::nullopt,
          bool plugins_block = false);

  void start();  // fills the socket map: frames arrive from here on
  // Clears the map, detaches, and waits until no frame is on its way through the program any more.
  void stop();

  const xsk::Link& link() const noexcept { return link_; }
  bool spins() const noexcept { return placement_.spins; }
  bpf::RootProgram& program() noexcept { return *program_; }
  std::vector<CaptureShare>& shares() noexcept { return shares_; }

  // The queues' ledgers as they stand; exact once the workers have ended after stop(). Queues that were not asked for
  // but saw frames have an entry too: what the program passed there was seen.
  std::vector<QueueLedger> ledger(bool workers_ended);
  std::vector<std::pair<std::string, std::uint64_t>> device_counters() const;  // the change since the start

 private:
  void open_program(const cli::Settings& settings, const cli::Log& log, bool plugins_block);
  void place_workers(const cli::Settings& settings);
  void open_sockets(const cli::Settings& settings, const cli::Log& log);
  QueueLedger program_ledger(std::uint32_t queue) const;

  xsk::Link link_;
  std::uint32_t queues_ = 0;  // captured
  std::uint32_t chunk_bytes_ = 0;
  numa::Placement placement_;
  xsk::DeviceCounters device_at_start_;
  std::vector<CaptureShare> shares_;
  std::optional<bpf::RedirectErrors> redirect_errors_;
  std::optional<bpf::RootProgram> program_;
};

}  // namespace engine
