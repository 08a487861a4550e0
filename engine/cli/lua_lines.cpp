// Where in a configuration's text a key stands. Lua keeps the line of a call, not those of the keys in its table, and
// with one setting a line the key's own line is what the reader of a message wants.
#include <algorithm>
#include <cctype>

#include "engine/cli/lua_data.h"

namespace engine::cli {
namespace {

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// A cursor over Lua's text that steps over comments and strings as one unit and counts lines.
struct Cursor {
  std::string_view text;
  std::size_t at = 0;
  int line = 1;

  bool done() const { return at >= text.size(); }
  std::string_view rest() const { return text.substr(at); }

  void skip(std::size_t count) {
    count = std::min(count, text.size() - at);
    line += static_cast<int>(std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                                        text.begin() + static_cast<std::ptrdiff_t>(at + count), '\n'));
    at += count;
  }

  void skip_past(std::string_view end, std::size_t from) {
    const std::size_t found = rest().find(end, from);
    skip(found == std::string_view::npos ? rest().size() : found + end.size());
  }

  // [[…]] or [=[…]=]; returns false if no long bracket opens here.
  bool skip_long_bracket(std::size_t offset) {
    if (rest().size() <= offset || rest()[offset] != '[') return false;
    std::size_t level = 0;
    while (offset + 1 + level < rest().size() && rest()[offset + 1 + level] == '=') ++level;
    if (offset + 1 + level >= rest().size() || rest()[offset + 1 + level] != '[') return false;
    skip_past("]" + std::string(level, '=') + "]", offset + level + 2);
    return true;
  }

  bool skip_comment_or_string() {
    const char c = text[at];
    if (rest().starts_with("--")) {
      if (!skip_long_bracket(2)) skip_past("\n", 2);
      return true;
    }
    if (c == '[') return skip_long_bracket(0);
    if (c != '"' && c != '\'') return false;
    std::size_t end = 1;
    while (end < rest().size() && rest()[end] != c && rest()[end] != '\n') end += rest()[end] == '\\' ? 2 : 1;
    skip(end + 1);
    return true;
  }

  std::string_view take_name() {
    std::size_t end = 0;
    while (end < rest().size() && is_name_char(rest()[end])) ++end;
    const std::string_view name = rest().substr(0, end);
    skip(end);
    return name;
  }

  bool at_assignment() const {
    std::size_t i = 0;
    while (i < rest().size() && std::isspace(static_cast<unsigned char>(rest()[i])) != 0) ++i;
    return i < rest().size() && rest()[i] == '=' && rest().substr(i, 2) != "==";
  }
};

}  // namespace

int line_of_key(std::string_view source, int line, std::string_view key) {
  Cursor cursor{source};
  int depth = 0;
  while (!cursor.done()) {
    const char c = source[cursor.at];
    if (cursor.skip_comment_or_string()) continue;
    if (is_name_char(c)) {
      const int found = cursor.line;
      const std::string_view name = cursor.take_name();
      if (depth == 1 && found >= line && name == key && cursor.at_assignment()) return found;
      continue;
    }
    if (c == '{') ++depth;
    if (c == '}' && --depth == 0 && cursor.line > line) return line;
    cursor.skip(1);
  }
  return line;
}

}  // namespace engine::cli
