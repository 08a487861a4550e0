// What the kernel is to do for a run: which frames it hands over, what it drops, passes by and limits by itself; and
// all who may change that while the run goes on.
//
// Made by the main thread before the interfaces are opened, outlives them and the workers. The filter and the lists
// have locks of their own: plugins' requests come on the collector's thread, reloads on the workshop's.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/root_program.h"
#include "engine/capture.h"
#include "engine/cli/log.h"
#include "engine/cli/settings.h"
#include "engine/enforce/enforcement.h"
#include "engine/enforce/operator_lists.h"
#include "engine/ledger.h"
#include "engine/results/collector.h"
#include "engine/session.h"
#include "engine/source/kernel_filter.h"
#include "plugins/requests.h"

namespace engine {

class KernelSide {
 public:
  using Tell = std::function<void(std::string_view event, std::string_view members)>;

  // Reads the filter and the operator's lists. Throws SetupError(bad_usage).
  KernelSide(const cli::Settings& settings, const cli::Log& log, const PluginSet& plugins);

  // --- set-up, main thread ------------------------------------------------------------------------------------------

  CaptureRequest request();  // it refers to this object
  // The interfaces are open: what is listed takes effect. `tell` outlives this; it may be called by any thread.
  void begin(Capture& capture, Tell tell);
  // For one more worker; null where no interface has a kernel to ask.
  plugins::Requests* requests();
  void set_up(CollectorConfig& collector);

  // --- while it runs ------------------------------------------------------------------------------------------------

  // Main thread: reads the configuration and --filter-file anew. What is wrong is logged and told; the old one stays.
  void reload_filter();
  // Main thread: the operator's filter. Says why not; empty: it is in force.
  std::string set_filter(const std::string& text);
  // Workshop's thread: what a plugin's states want of the kernel now. Throws SetupError; then all stays as it is.
  void set_plugin_filters(std::size_t plugin, const std::vector<std::string>& texts);
  void require_stages(std::uint32_t uses);

  std::string filter_text() const { return filter_.operator_text(); }
  Enforcement* lists() noexcept { return lists_ ? &*lists_ : nullptr; }

  // Main thread, when no frame comes any more.
  void end(std::uint64_t now_ns);
  void add_ledger(RunLedger& run) const;

 private:
  void add_stages_to(bpf::RootConfig& config) const;
  std::string why_not_without_filter() const;

  const cli::Settings& settings_;
  const cli::Log& log_;
  OperatorLists listed_;
  std::atomic<std::uint32_t> stages_;  // of the root programs, as bits of engine_use
  KernelFilter filter_;
  Capture* capture_ = nullptr;
  Tell tell_;
  std::optional<Enforcement> lists_;
  std::vector<std::unique_ptr<plugins::Requests>> requests_;
};

}  // namespace engine
