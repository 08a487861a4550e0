// Frames that the root program redirected but no socket could take: wrong queue (EINVAL) or socket not ready (ENXIO).
//
// Counted by a program on the raw tracepoint xdp_redirect_err, per slot of one socket map. Errors that a socket counts
// itself (full ring, empty fill ring) are left to it, so that the ledger counts each frame once. Owned by whoever owns
// the RootProgram; count() may be called by any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/unique_fd.h"

namespace bpf {

class RedirectErrors {
 public:
  // Nothing without CAP_PERFMON or the tracepoint: `reason` then says why. Slots of the map are counted from the return
  // of this on.
  static std::optional<RedirectErrors> open(std::uint32_t socket_map_id, std::uint32_t queues, std::string& reason);

  std::uint64_t count(std::uint32_t queue) const;

 private:
  RedirectErrors(engine::UniqueFd link, engine::UniqueFd counters)
      : counters_(std::move(counters)), link_(std::move(link)) {}

  engine::UniqueFd counters_;
  engine::UniqueFd link_;
};

}  // namespace bpf
