#pragma once

#include "plugins/protocol_native.h"

namespace plugins {

// The functions behind the standard library's parsers. One table, constant.
const engine_protocol_natives& protocol_natives() noexcept;

}  // namespace plugins
