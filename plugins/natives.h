// The addresses of the native functions, for the Lua library.
#pragma once

#include "plugins/native.h"

namespace plugins {

const engine_natives& natives() noexcept;

}  // namespace plugins
