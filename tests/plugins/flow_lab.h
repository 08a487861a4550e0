// A flow table with packets that are written as one line each, and its published flows as text by name.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plugins/flows/flow_table.h"
#include "tests/plugins/lab.h"

namespace lab {

inline engine_addr address(const std::string& text) {
  std::uint8_t bytes[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (text.find(':') != std::string::npos) {
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), bytes), 1) << text;
  } else {
    EXPECT_EQ(inet_pton(AF_INET, text.c_str(), bytes + 12), 1) << text;
  }
  engine_addr made;
  std::memcpy(static_cast<void*>(&made), bytes, sizeof made);
  return made;
}

// What a packet is made of; the rest is as an Ethernet frame of this payload has it.
struct Say {
  double at_s = 0;
  std::string from = "10.0.0.1";
  std::uint16_t from_port = 1000;
  std::string to = "10.0.0.2";
  std::uint16_t to_port = 80;
  std::uint8_t proto = 17;
  std::uint8_t flags = 0;
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint32_t payload = 0;
  std::uint16_t vlan = 0;
  std::uint16_t inner_vlan = 0;
  bool fragment = false;
  std::uint8_t type = 0;
  std::uint8_t code = 0;
};

inline engine_packet packet_of(const Say& say) {
  engine_packet p;
  std::memset(static_cast<void*>(&p), 0, sizeof p);
  const bool has_ports = say.proto == 6 || say.proto == 17 || say.proto == 132;
  LAB_SET(p, time, say.at_s * 1e9);
  set(p, offsetof(engine_packet, src), address(say.from));
  set(p, offsetof(engine_packet, dst), address(say.to));
  LAB_SET(p, ip_version, say.from.find(':') == std::string::npos ? 4 : 6);
  LAB_SET(p, proto, say.proto);
  LAB_SET(p, src_port, has_ports ? say.from_port : 0);
  LAB_SET(p, dst_port, has_ports ? say.to_port : 0);
  LAB_SET(p, l4_off, 34);
  LAB_SET(p, payload_off, 54);
  LAB_SET(p, payload_len, say.payload);
  LAB_SET(p, len, 54 + say.payload);
  LAB_SET(p, caplen, 54 + say.payload);
  LAB_SET(p, tcp_flags, say.flags);
  LAB_SET(p, tcp_seq, say.seq);
  LAB_SET(p, tcp_ack, say.ack);
  LAB_SET(p, vlan, say.vlan);
  LAB_SET(p, inner_vlan, say.inner_vlan);
  LAB_SET(p, is_fragment, say.fragment);
  LAB_SET(p, icmp_type, say.type);
  LAB_SET(p, icmp_code, say.code);
  return p;
}

// A published line: members by name, those of an object behind its name and a dot.
class Members final : public plugins::Visitor {
 public:
  void unsigned_number(std::string_view name, std::uint64_t value) override { put(name, std::to_string(value)); }
  void signed_number(std::string_view name, std::int64_t value) override { put(name, std::to_string(value)); }
  void real(std::string_view name, double value) override {
    char text[40];
    std::snprintf(text, sizeof text, "%.9g", value);
    put(name, text);
  }
  void boolean(std::string_view name, bool value) override { put(name, value ? "true" : "false"); }
  void text(std::string_view name, std::string_view value) override { put(name, std::string(value)); }
  void address(std::string_view name, const engine_addr& value) override {
    std::uint8_t bytes[16];
    std::memcpy(bytes, &value, sizeof bytes);
    char text[INET6_ADDRSTRLEN];
    const bool mapped = bytes[10] == 0xff && bytes[11] == 0xff;
    inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? bytes + 12 : bytes, text, sizeof text);
    put(name, text);
  }
  void time(std::string_view name, std::uint64_t utc_ns) override { put(name, std::to_string(utc_ns)); }
  void begin_object(std::string_view name) override { object_ = std::string(name) + "."; }
  void end_object() override { object_.clear(); }
  void begin_list(std::string_view) override {}
  void end_list() override {}
  void begin_item() override {}
  void end_item() override {}

  std::map<std::string, std::string> all;
  std::string text_of_all() const {
    std::string text;
    for (const auto& [name, value] : all) text += name + "=" + value + " ";
    return text;
  }

 private:
  void put(std::string_view name, const std::string& value) { all[object_ + std::string(name)] = value; }
  std::string object_;
};

using Line = std::map<std::string, std::string>;

inline std::vector<Line> lines_of(const plugins::Part& part) {
  std::vector<Line> lines;
  for (std::size_t i = 0; i < part.lines(); ++i) {
    Members members;
    part.publish_line(i, members);
    lines.push_back(members.all);
  }
  return lines;
}

class Flows {
 public:
  explicit Flows(plugins::FlowOptions options = {}, std::size_t room = 1024)
      : options_(std::make_shared<plugins::FlowOptions>(std::move(options))), part(options_, room), table(options_) {
    table.attach(part);
  }

  engine_flow* say(const Say& what) {
    const engine_packet packet = packet_of(what);
    table.before_batch(&packet, nullptr, 1);
    return table.add(packet);
  }
  void advance(double at_s) { table.advance(at_s * 1e9); }

  // The flows of the interval that ends now, and its counts behind them; the next interval begins.
  std::vector<Line> publish() {
    std::vector<Line> lines = lines_of(part);
    counts = lines.back();
    lines.pop_back();
    part.clear();
    table.attach(part);
    return lines;
  }
  // All flows end with the capture.
  std::vector<Line> finish(double at_s) {
    table.finish(at_s * 1e9);
    return publish();
  }

 private:
  std::shared_ptr<plugins::FlowOptions> options_;

 public:
  plugins::FlowPart part;
  plugins::FlowTable table;
  Line counts;
};

inline plugins::FlowOptions limits(double idle_s, double active_s, std::uint32_t max = 1000) {
  plugins::FlowOptions options;
  options.idle_ns = idle_s * 1e9;
  options.active_ns = active_s * 1e9;
  options.max_flows = max;
  return options;
}

}  // namespace lab
