// The status line of --stats: a pure function of two looks at the ledger.
#pragma once

#include <string>
#include <vector>

#include "engine/ledger.h"

namespace engine {

// 3.2 Mpps 1.6 Gbit/s | analysed 9,600,000 skipped 0 | dropped 0 | unaccounted 0
// Rates over the `seconds` between the two looks, sums since the start. `dropped` counts what the kernel lost before
// the worker saw it; results that were dropped are named only if there are any. `before` may be empty.
std::string status_line(const std::vector<QueueLedger>& now, const std::vector<QueueLedger>& before, double seconds);

// Shared with the live table.
std::string format_rate(double per_second, const char* unit);  // "3.2 Mpps", "812 pps"
std::string format_grouped(std::uint64_t value);               // "9,600,000"

}  // namespace engine
