#include "plugins/protocols/http.h"

#include <cstring>
#include <string_view>

#include "plugins/protocols/bytes.h"

namespace plugins::protocols {
namespace {

constexpr std::uint32_t kLongestMethod_bytes = 20;
constexpr std::string_view kVersion = "HTTP/1.";

std::string_view text_of(Bytes bytes) noexcept { return {reinterpret_cast<const char*>(bytes.data), bytes.size}; }

// The line that begins at `at`, without its end; `next` is where the one behind it begins, 0 if this one is cut. A
// recipient may take a bare LF for a line's end (RFC 9112, 2.2).
std::string_view line_at(std::string_view text, std::size_t at, std::size_t& next) noexcept {
  const std::size_t end = text.find('\n', at);
  next = end == std::string_view::npos ? 0 : end + 1;
  std::string_view line = text.substr(at, end == std::string_view::npos ? end : end - at);
  if (next != 0 && line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// "HTTP/1.x" and nothing else; the minor version, or -1.
int minor_of(std::string_view version) noexcept {
  if (version.size() != kVersion.size() + 1 || !version.starts_with(kVersion)) return -1;
  const char digit = version.back();
  return digit >= '0' && digit <= '9' ? digit - '0' : -1;
}

bool is_known_method(std::string_view method) noexcept {
  for (const std::string_view known :
       {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PROPFIND", "REPORT"}) {
    if (method == known) return true;
  }
  return false;
}

// Upper case letters, '-' and '_': all that are registered, and those of UPnP (RFC 9110, 9.1 allows any token).
std::size_t method_length(std::string_view text) noexcept {
  std::size_t length = 0;
  while (length < text.size() && length <= kLongestMethod_bytes &&
         ((text[length] >= 'A' && text[length] <= 'Z') || text[length] == '-' || text[length] == '_'))
    ++length;
  return length;
}

bool is_visible(std::string_view text) noexcept {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return false;
  }
  return true;
}

// method SP target SP version. Strict about single spaces (RFC 9112, 3).
bool parse_request(engine_http& http, std::string_view text) noexcept {
  const std::size_t method = method_length(text);
  if (method == 0 || method > kLongestMethod_bytes || method == text.size() || text[method] != ' ') return false;
  std::size_t next;
  const std::string_view line = line_at(text, 0, next);
  const std::size_t target = method + 1;
  const std::size_t space = next != 0 ? line.rfind(' ') : std::string_view::npos;
  const std::size_t target_end = next != 0 ? space : line.size();
  if (next != 0) {
    const int minor = space > method && space != std::string_view::npos ? minor_of(line.substr(space + 1)) : -1;
    if (minor < 0) return false;
    http._minor = static_cast<std::uint8_t>(minor);
  } else {
    // Cut: the version may be missing in part or whole.
    if (!is_known_method(text.substr(0, method)) || target == text.size()) return false;
    if (text[target] != '/' && !text.substr(target).starts_with("http://")) return false;
  }
  if (target_end <= target || !is_visible(text.substr(target, target_end - target))) return false;
  http._is_request = true;
  http._method_len = static_cast<std::uint32_t>(method);
  http._target = static_cast<std::uint32_t>(target);
  http._target_len = next != 0 ? static_cast<std::uint32_t>(target_end - target) : 0;
  http._fields = static_cast<std::uint32_t>(next);
  return true;
}

// version SP status SP reason (RFC 9112, 4); many leave the last space away with the reason.
bool parse_status(engine_http& http, std::string_view text) noexcept {
  std::size_t next;
  const std::string_view line = line_at(text, 0, next);
  const std::size_t status = kVersion.size() + 2;
  if (line.size() < status + 3 || line[status - 1] != ' ') return false;
  const int minor = minor_of(line.substr(0, status - 1));
  if (minor < 0) return false;
  unsigned number = 0;
  for (const char c : line.substr(status, 3)) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  if (number < 100 || (line.size() > status + 3 && line[status + 3] != ' ')) return false;
  http._minor = static_cast<std::uint8_t>(minor);
  http._status = static_cast<std::uint16_t>(number);
  http._fields = static_cast<std::uint32_t>(next);
  if (next != 0 && line.size() > status + 4) {
    http._reason = static_cast<std::uint32_t>(status + 4);
    http._reason_len = static_cast<std::uint32_t>(line.size() - status - 4);
  }
  return true;
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool same_name(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

// Calls field(line) for each whole line of the fields, until it says true; that is the result. `behind` is where the
// empty line ends, 0 if it was not reached.
template <typename Field>
bool walk_fields(std::string_view text, std::size_t at, std::size_t& behind, const Field& field) noexcept {
  behind = 0;
  while (at != 0 && at < text.size()) {
    std::size_t next;
    const std::string_view line = line_at(text, at, next);
    if (next == 0) return false;
    if (line.empty()) {
      behind = next;
      return false;
    }
    if (field(line)) return true;
    at = next;
  }
  return false;
}

std::string_view text_of(const engine_http& http, const engine_cell& cell) noexcept {
  return text_of(Bytes{cell.frames + http._off, http._len});
}

}  // namespace

bool parse_http(engine_http* http, const engine_cell* cell, const engine_packet* packet) noexcept {
  constexpr std::uint32_t kLeast_bytes = 12;  // "HTTP/1.1 200"
  if (packet->proto != kTcp) return false;
  const Bytes payload = payload_of(*cell, *packet);
  if (payload.size < kLeast_bytes || payload.u8(0) < 'A' || payload.u8(0) > 'Z') return false;
  const std::string_view text = text_of(payload);
  http->_len = payload.size;
  http->_method_len = http->_target = http->_target_len = http->_reason = http->_reason_len = http->_fields = 0;
  http->_status = 0;
  http->_minor = 0;
  http->_is_request = false;
  const bool is_one = text.starts_with(kVersion) ? parse_status(*http, text) : parse_request(*http, text);
  if (!is_one) return false;
  open(*http, *cell, *packet, packet->payload_off);
  return true;
}

bool http_field(const engine_http* http, const engine_cell* cell, const char* name, std::uint32_t name_len,
                engine_span* value) noexcept {
  const std::string_view wanted(name, name_len), text = text_of(*http, *cell);
  std::size_t behind;
  return walk_fields(text, http->_fields, behind, [&](std::string_view line) {
    if (line.size() <= name_len || line[name_len] != ':' || !same_name(line.substr(0, name_len), wanted)) return false;
    line.remove_prefix(name_len + 1);
    while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
    while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
    *value = {http->_off + static_cast<std::uint32_t>(line.data() - text.data()),
              static_cast<std::uint32_t>(line.size())};
    return true;
  });
}

std::uint32_t http_head_len(const engine_http* http, const engine_cell* cell) noexcept {
  std::size_t behind;
  walk_fields(text_of(*http, *cell), http->_fields, behind, [](std::string_view) { return false; });
  return static_cast<std::uint32_t>(behind);
}

double decimal(const std::uint8_t* text, std::uint32_t length) noexcept {
  if (length == 0 || length > 15) return -1;
  double value = 0;
  for (std::uint32_t i = 0; i < length; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

}  // namespace plugins::protocols
