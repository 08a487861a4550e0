#include "engine/results/status.h"

#include <algorithm>
#include <cstdio>

namespace engine {
namespace {

std::uint64_t lost(const QueueLedger& total) {
  return total.rx_dropped + total.rx_ring_full + total.redirect_errors.value_or(0);
}

// Counters only grow; a queue that was replaced starts anew and then counts from zero.
double rate(std::uint64_t now, std::uint64_t before, double seconds) {
  if (seconds <= 0) return 0;
  return static_cast<double>(now >= before ? now - before : now) / seconds;
}

}  // namespace

std::string format_rate(double per_second, const char* unit) {
  static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T"};
  std::size_t prefix = 0;
  // 999.95 would be printed as 1000.0: it belongs to the next prefix.
  for (; per_second >= 999.95 && prefix + 1 < std::size(kPrefixes); ++prefix) per_second /= 1000;
  char text[48];
  std::snprintf(text, sizeof text, prefix == 0 ? "%.0f %s%s" : "%.1f %s%s", per_second, kPrefixes[prefix], unit);
  return text;
}

std::string format_grouped(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string status_line(const std::vector<QueueLedger>& now, const std::vector<QueueLedger>& before, double seconds) {
  const QueueLedger total = ledger_total(now), earlier = ledger_total(before);
  std::uint64_t unaccounted = 0;  // each queue's own: residuals of two queues must not cancel out
  for (const QueueLedger& queue : now) unaccounted += queue.unaccounted();

  std::string line = format_rate(rate(total.rx_packets, earlier.rx_packets, seconds), "pps");
  line.append(" ").append(format_rate(8 * rate(total.rx_bytes, earlier.rx_bytes, seconds), "bit/s"));
  line.append(" | analysed ").append(format_grouped(total.analysed));
  line.append(" skipped ").append(format_grouped(total.skipped));
  line.append(" | dropped ").append(format_grouped(lost(total)));
  if (total.plugin_errors != 0) line.append(" | plugin errors ").append(format_grouped(total.plugin_errors));
  if (total.results_dropped != 0) line.append(" | results dropped ").append(format_grouped(total.results_dropped));
  line.append(" | unaccounted ").append(format_grouped(unaccounted));
  return line;
}

}  // namespace engine
