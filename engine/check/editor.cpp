#include "engine/check/editor.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "engine/base/error.h"
#include "plugins/author.h"

namespace engine::check {
namespace {

namespace fs = std::filesystem;

// https://luals.github.io/wiki/settings
constexpr char kSettings[] = R"({
  "runtime.version": "LuaJIT",
  "runtime.plugin": ".luals/plugin.lua",
  "runtime.builtin": {
    "debug": "disable", "ffi": "disable", "io": "disable", "jit": "disable", "os": "disable", "package": "disable"
  },
  "workspace.library": [".luals"]
}
)";

void write(const fs::path& path, const std::string& text, std::string& done) {
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) {
    throw SetupError(ExitCode::bad_usage, "write " + path.string(), std::strerror(errno != 0 ? errno : EIO),
                     "name a folder that you may write to");
  }
  done += "wrote " + path.string() + "\n";
}

}  // namespace

std::string set_up_editor(const std::string& folder) {
  const fs::path root(folder);
  std::error_code error;
  fs::create_directories(root / ".luals", error);
  if (error) throw SetupError(ExitCode::bad_usage, "make " + (root / ".luals").string(), error.message());
  std::string done;
  write(root / ".luals" / "engine.lua", plugins::definitions(), done);
  write(root / ".luals" / "plugin.lua", plugins::editor_plugin(), done);
  const fs::path settings = root / ".luarc.json";
  if (!fs::exists(settings)) {
    write(settings, kSettings, done);
  } else {
    done += settings.string() + " is there already; it should have:\n" + kSettings;
  }
  return done;
}

}  // namespace engine::check
