// What LuaLS reads to complete and check plugins in an editor, written beside them.
#pragma once

#include <string>

namespace engine::check {

// Writes `folder`/.luals/ anew, and `folder`/.luarc.json if there is none. Gives what was done, a line each. Throws
// SetupError.
std::string set_up_editor(const std::string& folder);

}  // namespace engine::check
