// What a run of the generator sent, from the sender's own counts and from the device's, side by side.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/gen/spec.h"
#include "engine/thread_meter.h"

namespace engine::gen {

// Per queue, and per kind: whatever was sent.
struct Sent {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;

  Sent& operator+=(const Sent& other) noexcept {
    packets += other.packets;
    bytes += other.bytes;
    return *this;
  }
};

// Change of the sending device's own counters during the run: raw, as others may send on it too. What the peer of a
// veth pair did not take shows here; there tx_dropped has xdp_xmit_errors in it (veth_get_stats64), so the two are not
// added.
struct NotTaken {
  std::uint64_t tx_dropped = 0;                  // rtnl_link_stats64
  std::optional<std::uint64_t> xdp_xmit;         // ethtool tx_queue_*_xdp_xmit, where the driver has it
  std::optional<std::uint64_t> xdp_xmit_errors;  // ethtool tx_queue_*_xdp_xmit_errors
};

struct Report {
  std::string target;  // the interface or the file
  std::string method;  // "live", "tx" or "file"
  std::string mode;    // tx: as the first socket got it
  double seconds = 0;
  Sent total;  // what the kernel took: completions, packets the live program made
  std::vector<std::pair<std::uint32_t, Sent>> queues;  // tx: by queue number
  std::array<Sent, kind_count> kinds{};
  Sent replayed;                      // packets of a capture, which have no kind
  std::uint64_t stamped = 0;          // carry a sequence number and a time stamp
  std::uint64_t unfinished = 0;       // tx: handed over, and not completed when the run ended
  std::optional<NotTaken> not_taken;  // nothing for files
  ThreadCost cost;                    // of the sending thread, set-up apart
  std::vector<std::string> notes;
  bool interrupted = false;
};

std::string to_line(const Report& report);  // for people, without the notes
std::string to_json(const Report& report);  // one object, one line

}  // namespace engine::gen
