// What the kernel does with packets by itself, kept as it should be: sources that are blocked, flows that are bypassed,
// the limit on what one source may send. Asked by plugins (the collector's thread brings their requests), by the
// operator's control socket (main thread), at the start by the configuration. A mutex orders them: all of this is slow
// code of a system call or two at a time.
//
// The lists outlive plugins and reloads, and stay in the kernel while an interface is away. Updates need no capability
// from Linux 5.19 on; before, the run keeps CAP_BPF.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/cli/log.h"
#include "engine/enforce/blocked_sources.h"
#include "engine/enforce/bypassed_flows.h"
#include "engine/enforce/rate_limits.h"
#include "engine/ledger.h"
#include "plugins/abi.h"

namespace engine {

// So many a second pass, so that no flood of lines comes of a flood of packets.
class PerSecond {
 public:
  explicit PerSecond(std::uint32_t limit) noexcept : limit_(limit) {}
  // Whether this one passes; then `held` is how many did not since the last one that did.
  bool pass(std::uint64_t now_ns, std::uint64_t& held) noexcept;

 private:
  std::uint32_t limit_;
  std::uint32_t passed_ = 0;
  std::uint64_t second_ = 0;
  std::uint64_t held_ = 0;
};

struct EnforcementConfig {
  BlockedSources::Kernel blocked;
  BypassedFlows::Kernel bypassed;
  RateLimits::Kernel rate;
  BlockedSources::Room room;
  std::uint32_t flow_room = 65536;
  std::vector<Source> permanent;  // the operator's own, in the kernel's list already
  std::vector<Source> never;
  RateWish rate_in_force;            // the operator's own, in force already
  std::vector<std::string> plugins;  // names, by index
  // An event's line; may be called by whoever calls here.
  std::function<void(std::string_view event, std::string_view members)> tell;
  const cli::Log* log = nullptr;
};

class Enforcement {
 public:
  // Says why a wish is not fulfilled; empty: it is.
  using Answer = std::string;
  static constexpr double kForGood_s = 0;

  explicit Enforcement(EnforcementConfig config);
  Enforcement(const Enforcement&) = delete;
  Enforcement& operator=(const Enforcement&) = delete;

  // Plugins' requests, as messages of an engine_message_kind have them. What is refused is counted and warned of, so
  // many times a second.
  void take(std::uint8_t plugin, std::uint8_t kind, std::span<const std::byte> request, std::uint64_t now_ns);
  void take(std::uint8_t plugin, const engine_block& request, std::uint64_t now_ns);
  void take(std::uint8_t plugin, const engine_bypass& request, std::uint64_t now_ns);
  void take(std::uint8_t plugin, const engine_rate_limit& request, std::uint64_t now_ns);
  void expire(std::uint64_t now_ns);  // often

  // The operator's.
  // `even_never`: also what overlaps what must not be blocked, since it is in the configuration.
  Answer block(const Source& source, double seconds, std::uint64_t now_ns, bool even_never = false);
  Answer unblock(const Source& source, std::uint64_t now_ns);
  Answer bypass(const Flow& flow, double seconds, std::uint64_t now_ns);
  Answer unbypass(const Flow& flow, FlowFigures& last, std::uint64_t now_ns);
  Answer limit_rate(const RateWish& wish, double seconds, std::uint64_t now_ns);

  RateWish rate_limit() const;
  // See TimedList::page(); seconds: what is left, kForGood_s for no end.
  std::size_t page_blocked(std::size_t cursor, std::size_t limit, std::uint64_t now_ns,
                           const std::function<void(const Source&, double seconds, std::string_view by)>& visit) const;
  std::size_t page_bypassed(
      std::size_t cursor, std::size_t limit, std::uint64_t now_ns,
      const std::function<void(const Flow&, double seconds, std::string_view by, const FlowFigures&)>& visit) const;
  struct Sizes {
    std::size_t addresses, networks, flows;
  };
  Sizes sizes() const;

  // At the end of the run, when no frame comes any more: reports the flows that are still bypassed.
  void end(std::uint64_t now_ns);

  // For plugins::Requests: what there is no room for.
  const std::atomic<std::uint32_t>& full() const noexcept { return full_; }
  BlockLedger blocks() const;
  BypassLedger bypasses() const;

 private:
  std::string_view name_of(std::uint8_t by) const noexcept;
  Answer try_block(const Source& source, std::uint8_t by, double seconds, std::uint64_t now_ns,
                   bool even_never = false);
  Answer try_bypass(const Flow& flow, std::uint8_t by, double seconds, std::uint64_t now_ns);
  Answer try_limit(std::uint8_t by, const RateWish& wish, double seconds, std::uint64_t now_ns);
  void tell(std::string_view event, std::uint8_t by, std::uint64_t now_ns, std::string_view target, double seconds,
            const FlowFigures* figures = nullptr);
  void end_bypass(const Flow& flow, std::uint8_t by, const FlowFigures& last, std::uint64_t now_ns);
  void warn(std::uint8_t plugin, const std::string& text, std::uint64_t now_ns);
  void look_for_room() noexcept;

  mutable std::mutex mutex_;
  EnforcementConfig config_;
  BlockedSources blocked_;
  BypassedFlows bypassed_;
  RateLimits rate_;
  BlockLedger blocks_;
  BypassLedger bypasses_;
  PerSecond events_;
  PerSecond warnings_;
  std::atomic<std::uint32_t> full_{0};
};

}  // namespace engine
