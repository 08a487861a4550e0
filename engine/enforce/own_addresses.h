// Addresses that this machine depends on: its own, and its gateways'. A plugin that blocks what it sees flooding can be
// made to block them by whoever sends in their name.
//
// Read from the kernel (rtnetlink) on the main thread before capture starts; what is added later is not known.
#pragma once

#include <vector>

#include "engine/enforce/source.h"

namespace engine {

// Of the calling thread's network namespace. Throws SetupError if the kernel does not tell.
std::vector<Source> own_addresses();

}  // namespace engine
