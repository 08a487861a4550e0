// The addresses of the native functions, for the Lua library.
#pragma once

#include "plugins/native.h"
#include "plugins/sketch_native.h"
#include "plugins/table_native.h"

namespace plugins {

const engine_natives& natives() noexcept;
const engine_sketch_natives& sketch_natives() noexcept;
const engine_table_natives& table_natives() noexcept;

}  // namespace plugins
