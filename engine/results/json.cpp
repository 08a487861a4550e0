#include "engine/results/json.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "plugins/utf8.h"

namespace engine {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// Bytes that stand for themselves within a JSON string: printable ASCII but the quote and the backslash.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

void append_escape(std::string& out, unsigned char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  const char escape[] = {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
  out.append(escape, sizeof escape);
}

template <class Number>
void append_number(std::string& out, Number value) {
  char digits[32];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end.ptr);
}

void append_two(char* out, unsigned value) {
  out[0] = static_cast<char>('0' + value / 10);
  out[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    std::size_t plain = 0;
    while (plain < text.size() && kPlain[static_cast<unsigned char>(text[plain])]) ++plain;
    out.append(text.data(), plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const unsigned char c = static_cast<unsigned char>(text[0]);
    if (c < 0x80) {
      append_escape(out, c);
      text.remove_prefix(1);
    } else if (const std::size_t length = plugins::utf8_length(text)) {
      out.append(text.data(), length);
      text.remove_prefix(length);
    } else {
      out += plugins::kReplacementCharacter;
      text.remove_prefix(1);
    }
  }
  out += '"';
}

void append_address(std::string& out, const engine_addr& address) {
  std::uint8_t bytes[16];
  std::memcpy(bytes, &address, sizeof bytes);
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(bytes, kMapped, sizeof kMapped) == 0) {
    for (int i = 12; i < 16; ++i) {
      if (i != 12) out += '.';
      append_number(out, static_cast<unsigned>(bytes[i]));
    }
    return;
  }
  char text[INET6_ADDRSTRLEN];
  // glibc compresses the first longest run of zeros and writes lower case, as RFC 5952 sections 4.2 and 4.3 want.
  out += inet_ntop(AF_INET6, bytes, text, sizeof text);
}

std::string format_address(const engine_addr& address) {
  std::string text;
  append_address(text, address);
  return text;
}

void append_mac(std::string& out, const std::uint8_t (&bytes)[6]) {
  for (int i = 0; i < 6; ++i) {
    if (i != 0) out += ':';
    out += kHex[bytes[i] >> 4];
    out += kHex[bytes[i] & 15];
  }
}

void TimeFormat::append(std::string& out, std::uint64_t utc_ns) {
  const std::uint64_t second = utc_ns / 1'000'000'000;
  if (second != second_) {
    second_ = second;
    // Days to a civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    const std::uint64_t days = second / 86400 + 719468;
    const std::uint64_t era = days / 146097, day_of_era = days % 146097;
    const std::uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const std::uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::uint64_t shifted = (5 * day_of_year + 2) / 153;  // month from March
    const unsigned month = static_cast<unsigned>(shifted < 10 ? shifted + 3 : shifted - 9);
    const unsigned year = static_cast<unsigned>(year_of_era + era * 400 + (month <= 2 ? 1 : 0));
    const unsigned of_day = static_cast<unsigned>(second % 86400);
    std::memcpy(text_, "0000-00-00T00:00:00.", sizeof text_);
    append_two(text_, year / 100);
    append_two(text_ + 2, year % 100);
    append_two(text_ + 5, month);
    append_two(text_ + 8, static_cast<unsigned>(day_of_year - (153 * shifted + 2) / 5 + 1));
    append_two(text_ + 11, of_day / 3600);
    append_two(text_ + 14, of_day / 60 % 60);
    append_two(text_ + 17, of_day % 60);
  }
  char fraction[10];
  std::uint64_t ns = utc_ns % 1'000'000'000;
  for (int i = 8; i >= 0; --i, ns /= 10) fraction[i] = static_cast<char>('0' + ns % 10);
  fraction[9] = 'Z';
  out.append(text_, sizeof text_);
  out.append(fraction, sizeof fraction);
}

void JsonWriter::key(std::string_view name) {
  if (comma_) out_ += ',';
  comma_ = true;
  if (name.empty()) return;
  append_json_string(out_, name);
  out_ += ':';
}

void JsonWriter::unsigned_number(std::string_view name, std::uint64_t value) {
  key(name);
  append_number(out_, value);
}

void JsonWriter::signed_number(std::string_view name, std::int64_t value) {
  key(name);
  append_number(out_, value);
}

void JsonWriter::real(std::string_view name, double value) {
  if (!std::isfinite(value)) return null(name);
  key(name);
  append_number(out_, value);
}

void JsonWriter::boolean(std::string_view name, bool value) {
  key(name);
  out_ += value ? "true" : "false";
}

void JsonWriter::text(std::string_view name, std::string_view value) {
  key(name);
  append_json_string(out_, value);
}

void JsonWriter::address(std::string_view name, const engine_addr& value) {
  key(name);
  out_ += '"';
  append_address(out_, value);
  out_ += '"';
}

void JsonWriter::begin_list(std::string_view name) {
  key(name);
  out_ += '[';
  comma_ = false;
}

void JsonWriter::end_list() {
  out_ += ']';
  comma_ = true;
}

void JsonWriter::begin_object(std::string_view name) {
  key(name);
  out_ += '{';
  comma_ = false;
}

void JsonWriter::end_object() {
  out_ += '}';
  comma_ = true;
}

void JsonWriter::null(std::string_view name) {
  key(name);
  out_ += "null";
}

void JsonWriter::time(std::string_view name, std::uint64_t utc_ns, TimeFormat& format) {
  key(name);
  out_ += '"';
  format.append(out_, utc_ns);
  out_ += '"';
}

void JsonWriter::time(std::string_view name, std::uint64_t utc_ns) {
  TimeFormat format;
  time(name, utc_ns, format);
}

void JsonWriter::members(std::string_view json) {
  if (json.empty()) return;
  key({});
  out_ += json;
}

}  // namespace engine
