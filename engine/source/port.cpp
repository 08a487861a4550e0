#include "engine/source/port.h"

namespace engine {

void add_worker_figures(const Lane& lane, QueueLedger& entry) noexcept {
  entry.analysed = lane.analysed.load(std::memory_order_relaxed);
  entry.skipped = lane.skipped.load(std::memory_order_relaxed);
  entry.rx_bytes = lane.rx_bytes.load(std::memory_order_relaxed);
  entry.results = lane.results.load(std::memory_order_relaxed);
  entry.results_dropped = lane.results_dropped.load(std::memory_order_relaxed);
  entry.plugin_errors = lane.plugin_errors.load(std::memory_order_relaxed);
}

}  // namespace engine
