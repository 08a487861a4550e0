// The functions behind `capture { … }` and `plugin "file" { … }` inside a sandboxed Lua state (main thread, set-up).
//
// They only remember what was written and where; lua_data.cpp takes it out once the file has run.
#pragma once

#include <span>
#include <string_view>

#include "engine/cli/lua_data.h"
#include "engine/cli/lua_sandbox.h"

namespace engine::cli {

// Leaves the environment for a chunk on the stack: the library, the blocks, and errors for every other global.
void push_block_environment(const LuaSandbox& sandbox, std::span<const LuaBlockKind> known,
                            std::span<const std::string_view> later);

// Leaves the list of remembered blocks on the stack, each {kind, name, line, content}, in the order written.
void push_blocks(lua_State* state);

}  // namespace engine::cli
