// Writes results as JSON text at the end of a string that the caller owns and reuses. Collector's thread.
//
// What is written is always valid JSON and valid UTF-8, whatever bytes a packet put into a value: bytes that are no
// UTF-8 become U+FFFD, control characters are escaped, numbers that JSON lacks (NaN, infinities) become null.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "plugins/abi.h"
#include "plugins/structure.h"

namespace engine {

// Appends `text` with its quotes, escaped (RFC 8259 section 7).
void append_json_string(std::string& out, std::string_view text);

// 192.0.2.1 for a mapped IPv4 address, else the text of RFC 5952.
void append_address(std::string& out, const engine_addr& address);
std::string format_address(const engine_addr& address);

void append_mac(std::string& out, const std::uint8_t (&bytes)[6]);  // 02:00:00:00:00:01

// 2026-01-31T12:00:00.000000001Z (RFC 3339). The date's text is kept for the next call: most fall into one second.
class TimeFormat {
 public:
  void append(std::string& out, std::uint64_t utc_ns);

 private:
  std::uint64_t second_ = UINT64_MAX;
  char text_[20] = {};
};

// Commas are set by the writer; names are empty for a list's plain values.
class JsonWriter final : public plugins::Visitor {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  void unsigned_number(std::string_view name, std::uint64_t value) override;
  void signed_number(std::string_view name, std::int64_t value) override;
  void real(std::string_view name, double value) override;
  void boolean(std::string_view name, bool value) override;
  void text(std::string_view name, std::string_view value) override;
  void address(std::string_view name, const engine_addr& value) override;
  void time(std::string_view name, std::uint64_t utc_ns) override;
  void begin_object(std::string_view name) override;
  void end_object() override;
  void begin_list(std::string_view name) override;
  void end_list() override;
  void begin_item() override { begin_object({}); }
  void end_item() override { end_object(); }

  void null(std::string_view name);
  void time(std::string_view name, std::uint64_t utc_ns, TimeFormat& format);
  void members(std::string_view json);  // ready-made `"name":value,…` without braces

 private:
  void key(std::string_view name);

  std::string& out_;
  bool comma_ = false;  // something stands before in this object or list
};

}  // namespace engine
