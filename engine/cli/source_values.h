// The kinds of values that only a source has: interfaces with their queues, a rate limit. Main thread, set-up.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/cli/options.h"
#include "engine/cli/settings.h"

namespace engine::cli {

// The root program's maps and the ledger are sized by it.
constexpr std::uint32_t max_queues = 128;

Value interfaces(std::vector<InterfaceSetting>& target);
// The same for the configuration's `interface`, which names one.
Value one_interface(std::vector<InterfaceSetting>& target);

Value rate_limit(RateLimitSetting& target);
Value auto_on_off(AutoOnOff& target);

}  // namespace engine::cli
