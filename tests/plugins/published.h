// What a structure's part publishes, as text to compare with, and packets to fill it with.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/structure.h"
#include "tests/plugins/lab.h"

namespace published {

using Published = std::vector<std::string>;

// One line per item of a list ("list: name=value ..."), and one per member outside of lists ("name=value").
class Lines : public plugins::Visitor {
 public:
  void unsigned_number(std::string_view name, std::uint64_t value) override { put(name, std::to_string(value)); }
  void signed_number(std::string_view name, std::int64_t value) override { put(name, std::to_string(value)); }
  void real(std::string_view name, double value) override { put(name, std::to_string(value)); }
  void boolean(std::string_view name, bool value) override { put(name, value ? "yes" : "no"); }
  void text(std::string_view name, std::string_view value) override { put(name, "'" + std::string(value) + "'"); }
  void address(std::string_view name, const engine_addr& value) override {
    std::uint8_t bytes[16];
    std::memcpy(bytes, &value, sizeof bytes);
    put(name, std::to_string(bytes[12]) + "." + std::to_string(bytes[15]));
  }
  void begin_list(std::string_view name) override { list_ = name; }
  void end_list() override {}
  void begin_item() override {
    lines.push_back(list_ + ":");
    in_item_ = true;
  }
  void end_item() override { in_item_ = false; }
  Published lines;

 private:
  void put(std::string_view name, const std::string& value) {
    if (!in_item_) return lines.push_back(std::string(name) + "=" + value);
    lines.back() += " " + std::string(name) + "=" + value;
  }
  std::string list_;
  bool in_item_ = false;
};

inline Published published_by(const plugins::Part& part) {
  Lines lines;
  part.publish(lines);
  return lines.lines;
}

inline engine_packet packet(unsigned host, std::uint8_t proto = 17, std::uint16_t port = 53, std::uint32_t len = 100) {
  engine_packet p;
  std::memset(static_cast<void*>(&p), 0, sizeof p);
  lab::set(p, offsetof(engine_packet, src), lab::v4(10, host >> 16 & 255, host >> 8 & 255, host & 255));
  LAB_SET(p, proto, proto);
  LAB_SET(p, dst_port, port);
  LAB_SET(p, len, len);
  return p;
}

inline engine_packet packet_at(unsigned host, double time_ns) {
  engine_packet p = packet(host);
  LAB_SET(p, time, time_ns);
  return p;
}

}  // namespace published
