// What the flow table gives to the library's Lua code: its native functions, and the structure itself.
#pragma once

#include "plugins/flows_native.h"
#include "plugins/kinds.h"

namespace plugins {

const engine_flow_natives& flow_natives() noexcept;

// "flows" of plugins/kinds.h.
Made make_flows(const Declaration& declaration);

}  // namespace plugins
