// One interface opened for capture, whichever way its packets come in: AF_XDP (xdp_port.h) or a tap (tap_port.h).
//
// A port has lanes, one per receive queue or socket, which workers serve. Made, opened, started, stopped, closed and
// read by the main thread; a worker sees only its lanes and the frame memory behind them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bpf/root_program.h"
#include "engine/ledger.h"
#include "engine/worker.h"
#include "numa/range.h"
#include "xsk/link.h"

namespace engine {

// Who serves a lane, and the addresses its frames must lie in. Lanes of one worker have one range.
struct LanePlace {
  unsigned cpu = 0;
  unsigned node = 0;
  numa::AddressRange* range = nullptr;  // null: nobody
};

class Port {
 public:
  explicit Port(xsk::Link link) : link_(std::move(link)) {}
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  virtual ~Port() = default;

  const xsk::Link& link() const noexcept { return link_; }  // as it was when the port was opened last
  void rename(std::string name) { link_.name = std::move(name); }
  const std::vector<std::unique_ptr<Lane>>& lanes() const noexcept { return lanes_; }

  // As obtained; known once open() has returned.
  virtual std::string_view mode() const noexcept = 0;

  // Gives every lane its queue and memory: places[i] is lanes()[i]'s. Lanes of queues that there may be later get them
  // if there are such queues by now, and a place. Again after close(), in the same places, once the interface is back,
  // also with another index. Throws SetupError.
  virtual void open(std::span<const LanePlace> places) = 0;
  virtual void start() = 0;  // packets arrive from here on
  // Ends the arrival of packets and waits until none is on its way any more. What has arrived stays in the lanes.
  virtual void stop() = 0;
  // Gives up what open() got. No worker serves a lane any more (Capture::let_go); what was counted stays in the ledger.
  virtual void close() = 0;

  // Adds the lanes' ledgers, in their order, as they stand: exact once the workers have ended after stop(). Those of
  // queues that were not asked for and saw packets go to `others`.
  virtual void add_ledgers(bool workers_ended, std::vector<QueueLedger>& lanes, std::vector<QueueLedger>& others) = 0;

  // Once a second: what drifts is measured anew.
  virtual void tick() {}

  // Which packets the kernel hands over, from now on: while packets arrive each is judged by the old or the new filter.
  // Throws SetupError; the old one then stays.
  virtual void set_filter(const bpf::FilterExpression& filter) = 0;

  // False: an interface that has come to this MTU and so many queues is served only if the port is opened again.
  virtual bool fits(std::uint32_t, std::uint32_t) const { return true; }

  // The stages before the filter that the request adds now, while packets arrive; a tap has none. Throws SetupError;
  // the old ones then stay.
  virtual void change_stages() {}

  // What judges packets in the kernel; null where nothing can be blocked or passed by there.
  virtual bpf::RootProgram* program() noexcept { return nullptr; }

 protected:
  xsk::Link link_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

// A lane's own figures, of a ledger entry that names it.
void add_worker_figures(const Lane& lane, QueueLedger& entry) noexcept;

}  // namespace engine
