// The ledger as people read it at the end of a run: one line a queue, then the sums.
#pragma once

#include <string>

#include "engine/ledger.h"

namespace engine {

// Several lines, each ending in a newline. Columns that are zero on every queue are left out, but never `unaccounted`.
std::string ledger_table(const RunLedger& run);

}  // namespace engine
