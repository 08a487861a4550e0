// The operator's filter, as text or from a file. Main thread, at the start and at each reload.
#pragma once

#include <string>

#include "engine/cli/settings.h"

namespace engine::cli {

// Empty: there is none. Throws SetupError(bad_usage) for a file that cannot be read or holds no filter: an empty one
// would take everything.
std::string filter_text(const Settings& settings);

}  // namespace engine::cli
