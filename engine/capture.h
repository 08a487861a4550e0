// Everything that is captured: the ports, and which worker serves which of their lanes with which memory.
//
// Made, started, stopped and read by the main thread; the workers get lanes and frame memory as plain values.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bpf/filter.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/ledger.h"
#include "engine/source/port.h"
#include "engine/source/strategy.h"
#include "engine/worker.h"
#include "numa/range.h"
#include "numa/topology.h"
#include "xsk/link.h"

namespace engine {

// One worker's share: where it runs, the addresses of its frames, its lanes of all ports.
struct CaptureShare {
  unsigned cpu = 0;
  unsigned node = 0;
  std::unique_ptr<numa::AddressRange> range;
  std::vector<Lane*> lanes;         // those that are served from the start, then others that may be
  std::vector<std::size_t> places;  // of the former: their numbers over all ports, as in the ledger

  const std::uint8_t* frames() const noexcept { return reinterpret_cast<const std::uint8_t*>(range->base()); }
};

class Capture {
 public:
  // Opens the ports; no packet arrives before start(). Throws SetupError. Says on the log what was obtained and why not
  // more.
  Capture(const cli::Settings& settings, const cli::Log& log, CaptureRequest request = {});

  void start();
  void stop();  // once it returns nothing new arrives

  const std::vector<std::unique_ptr<Port>>& ports() const noexcept { return ports_; }
  // See Port::set_filter(): for all ports.
  void set_filter(const bpf::FilterExpression& filter);
  void change_stages();  // see Port
  std::string names() const;  // of the interfaces, with commas
  const Idling& idling() const noexcept { return idling_; }
  std::vector<CaptureShare>& shares() noexcept { return shares_; }

  // While the workers run. Lets a port go: nothing arrives any more, the workers have drained its lanes and leave them
  // alone, what it counted stays in the ledger. `last`: what its device had counted, if it cannot be asked any more.
  void let_go(Port& port, RunControl& control, const xsk::DeviceCounters& last);
  // And takes it again. Throws SetupError; then it is as before.
  void take(Port& port, RunControl& control);
  void rename(Port& port, std::string name);  // as its interface was
  // While it is held no other thread changes a port.
  std::unique_lock<std::mutex> hold_still() { return std::unique_lock(changing_); }

  // The lanes' ledgers as they stand; exact once the workers have ended after stop(). Queues that were not asked for
  // but saw frames have an entry too, behind the lanes: what the program passed there was seen. Any thread; while a
  // port is let go or taken it is the one that was read before.
  std::vector<QueueLedger> ledger(bool workers_ended);
  std::vector<std::pair<std::string, std::uint64_t>> device_counters() const;  // the change since the start

 private:
  struct Device {
    xsk::DeviceCounters at_start;   // of the port
    std::uint64_t seen_before = 0;  // by those that it was opened on before
    std::uint64_t dropped_before = 0;
  };

  void place_lanes(const cli::Settings& settings);
  void place_spare_lanes();
  void open(Port& port);
  Device& device_of(const Port& port);
  std::vector<QueueLedger> read_ledger(bool workers_ended);

  Idling idling_;
  std::mutex changing_;  // held while a port is opened, closed or changed
  std::mutex reading_;   // held by who reads the ledger
  std::vector<QueueLedger> ledger_;
  std::vector<Device> devices_;  // parallel to the ports
  std::vector<CaptureShare> shares_;
  std::vector<std::unique_ptr<Port>> ports_;
};

}  // namespace engine
