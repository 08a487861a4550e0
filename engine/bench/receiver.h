// Queues of one interface received and dropped: the engine's own capture (program, sockets, ledger, placement) with
// workers that do nothing with the packets. Main thread; it starts and joins the workers.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/bench/drop_worker.h"
#include "engine/bench/options.h"
#include "engine/bench/report.h"
#include "engine/capture.h"

namespace engine::bench {

struct ReceiverConfig {
  cli::InterfaceSetting interface;
  bool take_all = false;
  std::uint64_t limit = 0;  // packets; 0: none
  bool watch_gaps = false;
};

class Receiver {
 public:
  // Attached and bound; nothing arrives before start(). Throws SetupError.
  Receiver(const ReceiverConfig& config, const Shared& shared, const cli::Log& log);
  ~Receiver();  // stops it

  void start();
  void stop();  // what has arrived is taken first; from then on the ledger is exact

  std::vector<WorkerSample> sample() { return threads_.sample(); }  // one for each worker, now
  std::vector<WorkerSample> begin() { return threads_.begin(); }    // as it was before the first packet
  std::vector<QueueLedger> ledger();                                // see Capture::ledger()
  std::uint64_t device_dropped() const;                             // by the device's own count, since it was opened
  int first_fd() const noexcept { return control_.first.get(); }    // readable once a packet has come,
  int done_fd() const noexcept { return control_.done.get(); }      // once the limit is reached

  const Port& port() const noexcept { return *capture_.ports().front(); }
  const std::vector<CaptureShare>& shares() noexcept { return capture_.shares(); }
  bool spins() const noexcept { return capture_.idling().spin; }
  InterfaceUsed used() const;

 private:
  // Destroyed in reverse order: the threads, then the workers, then what they serve.
  cli::Settings settings_;
  Capture capture_;
  WorkerControl control_;
  std::vector<std::unique_ptr<DropWorker>> workers_;
  WorkerThreads threads_;
  bool stopped_ = false;
};

// Packets that came and that no worker got, by cause, and what no count explains: as values of one run.
void add_losses(const std::vector<QueueLedger>& queues, Result& result);
std::uint64_t lost(const QueueLedger& total);
std::uint64_t unaccounted(const std::vector<QueueLedger>& queues);

}  // namespace engine::bench
