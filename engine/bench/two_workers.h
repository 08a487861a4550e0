// Does a second worker on a second core double what the first does? Nothing is shared, so nearly: what is left is what
// the cores share (caches, memory, a physical core).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/bench/report.h"
#include "engine/bench/stage.h"
#include "engine/gen/spec.h"

namespace engine::bench {

// The cores to measure on: those of the list, else the last two that this process may use, the last one first (the
// first core has more of the machine's other work). At least one.
std::vector<unsigned> measuring_cpus(const std::string& list);

// One worker alone, then two at once, in turn: results "one_worker", "two_workers" (rate_pps: packets by second of
// processor time, added up) and their ratio; with one core an entry in `missing`.
void add_two_workers(const std::vector<unsigned>& cpus, const gen::TrafficSpec& traffic, std::uint32_t frames,
                     const RoundPlan& plan, Report& report);

}  // namespace engine::bench
