// Two interfaces, or one, whose queues forward to each other: programs, memory, sockets, workers and the ledger.
//
// Queue i of the one and queue i of the other share a UMEM and a worker. Main thread. Destruction order is the reverse
// of the members': threads, workers, programs (detached), sockets, then the memory they use.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bpf/redirect_errors.h"
#include "bpf/root_program.h"
#include "engine/bench/forward_worker.h"
#include "engine/bench/options.h"
#include "engine/ledger.h"
#include "numa/memory.h"
#include "xsk/link.h"

namespace engine::bench {

struct ForwarderConfig {
  std::vector<std::string> interfaces;  // one or two
  bool swap_macs = false;
  bool take_all = false;
  std::uint64_t limit = 0;
};

// Where the packets went that came in on one interface: rx_packets = forwarded + tx_ring_full + bad. Of those forwarded
// the kernel gave `completed` frames back; what the device refused of these is its own count, others' packets with it.
struct ForwardLedger {
  QueueLedger in;  // up to the RX ring; analysed is forwarded, skipped all else
  std::string out_interface;
  std::uint64_t forwarded = 0;
  std::uint64_t tx_ring_full = 0;
  std::uint64_t bad = 0;  // descriptors that the kernel should not have written
  std::uint64_t completed = 0;
  std::uint64_t unfinished = 0;
  std::uint64_t bad_completions = 0;  // of frames that were not on their way
  std::uint64_t device_refused = 0;

  std::uint64_t unaccounted() const noexcept { return in.unaccounted() + bad_completions; }
};

class Forwarder {
 public:
  // Attached and bound; nothing is forwarded before start(). Throws SetupError.
  Forwarder(const ForwarderConfig& config, const Shared& shared);
  ~Forwarder();  // stops it

  void start();
  void stop();  // what has arrived is forwarded first, and its completion waited for
  std::vector<WorkerSample> sample() { return threads_.sample(); }
  std::vector<WorkerSample> begin() { return threads_.begin(); }
  int first_fd() const noexcept { return control_.first.get(); }
  int done_fd() const noexcept { return control_.done.get(); }

  std::vector<ForwardLedger> ledgers();  // one for each direction; exact after stop()
  std::uint32_t queues() const noexcept { return queues_; }
  std::size_t workers() const noexcept { return workers_.size(); }
  bool spins() const noexcept { return spins_; }
  const xsk::Link& link(std::size_t side) const noexcept { return sides_[side].link; }
  std::string_view mode() const noexcept;  // the least of all sockets'

 private:
  struct Side {
    xsk::Link link;
    std::uint64_t tx_dropped_before = 0;
    bpf::RootProgram program;
    std::optional<bpf::RedirectErrors> redirect_errors;
  };
  // Queue i of all sides.
  struct Lane {
    numa::NodeMemory umem;
    std::vector<xsk::Socket> sockets;  // by side
  };

  void add_side(const std::string& name, const Shared& shared, bool take_all);
  void open_lane(std::uint32_t queue, const Shared& shared);
  void make_workers(const Shared& shared, bool swap_macs);
  std::size_t other(std::size_t side) const noexcept { return sides_.size() - 1 - side; }
  ForwardLedger ledger_of(std::size_t side);

  std::uint32_t queues_ = 0;
  bool spins_ = false;
  std::deque<Lane> lanes_;
  std::deque<Side> sides_;
  WorkerControl control_;
  std::vector<unsigned> cpus_;
  std::vector<std::unique_ptr<ForwardWorker>> workers_;
  WorkerThreads threads_;
  bool stopped_ = false;
};

}  // namespace engine::bench
