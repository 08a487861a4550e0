#include "engine/cli/filter_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "engine/base/error.h"

namespace engine::cli {
namespace {

constexpr std::size_t max_bytes = 1u << 20;

// `#` begins a comment, as in tcpdump -F (tcpdump.c: read_infile); lines are joined.
std::string without_comments(std::string text) {
  bool comment = false;
  for (char& c : text) {
    comment = c != '\n' && (comment || c == '#');
    if (comment || c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
  const std::size_t first = text.find_first_not_of(' ');
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

}  // namespace

std::string filter_text(const Settings& settings) {
  if (settings.filter_path.empty()) return settings.filter;
  const std::string object = "filter file " + settings.filter_path;
  std::ifstream file(settings.filter_path, std::ios::binary);
  if (!file) throw SetupError(ExitCode::bad_usage, object, std::strerror(errno));
  std::string text(max_bytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) throw SetupError(ExitCode::bad_usage, object, std::strerror(errno));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() == max_bytes) throw SetupError(ExitCode::bad_usage, object, "is a megabyte or more");
  if (text.find('\0') != text.npos) throw SetupError(ExitCode::bad_usage, object, "holds a NUL byte", "give text");
  text = without_comments(std::move(text));
  if (text.empty())
    throw SetupError(ExitCode::bad_usage, object, "holds no filter", "write one, or give --take-all without a filter");
  return text;
}

}  // namespace engine::cli
