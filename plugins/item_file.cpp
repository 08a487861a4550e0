#include "plugins/item_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "engine/base/error.h"

namespace plugins {
namespace {

constexpr std::string_view kBlank = " \t\r\n\v\f";

[[noreturn]] void fail(const std::string& file, const std::string& reason) {
  throw engine::SetupError(engine::ExitCode::bad_usage, "file " + file, reason);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

struct FreeLine {
  char* text = nullptr;
  std::size_t room = 0;
  ~FreeLine() { std::free(text); }
};

}  // namespace

std::string item_file_path(const PluginSpec& plugin, const std::string& file) {
  for (const auto& [name, value] : plugin.args) {
    const auto* text = std::get_if<std::string>(&value);
    if (text != nullptr && *text == file) return file;
  }
  if (file.find('/') != std::string::npos || file == "." || file == "..") {
    fail(file, "a name without '/' (a file beside the plugin) expected, or one of the plugin's arguments");
  }
  if (plugin.path.empty()) fail(file, "code without a file has no folder; give the path as an argument");
  const std::size_t slash = plugin.path.rfind('/');
  return (slash == std::string::npos ? std::string() : plugin.path.substr(0, slash + 1)) + file;
}

std::vector<Item> read_items(const std::string& path, std::size_t at_most, bool values) {
  struct stat status;  // before opening: that of a FIFO would wait for its writer
  if (stat(path.c_str(), &status) != 0) fail(path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(path, "is no regular file");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (file == nullptr) fail(path, std::strerror(errno));
  std::vector<Item> items;
  FreeLine line;
  std::uint32_t number = 0;
  while (items.size() < at_most) {
    const ssize_t length = getline(&line.text, &line.room, file.get());
    if (length < 0) break;
    ++number;
    std::string_view text(line.text, static_cast<std::size_t>(length));
    text = trimmed(text.substr(0, text.find('#')));
    if (text.empty()) continue;
    const std::string_view first = values ? text.substr(0, text.find_first_of(kBlank)) : text;
    items.push_back({std::string(first), std::string(trimmed(text.substr(first.size()))), number});
  }
  if (std::ferror(file.get()) != 0) fail(path, std::strerror(EIO));
  return items;
}

}  // namespace plugins
