// Shipped analyzers (examples/*.lua) once more in C++, over the same native structures and parsers: what somebody would
// write who had no Lua. bench/analyzer_bench.cpp compares the two, results included.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "plugins/counter.h"
#include "plugins/flows/flow_table.h"
#include "plugins/flows/tcp_track.h"
#include "plugins/histogram.h"
#include "plugins/protocols/dns.h"
#include "plugins/protocols/http.h"
#include "plugins/protocols/tls.h"
#include "plugins/rate_table.h"
#include "plugins/set_table.h"
#include "plugins/topk.h"

namespace bench {

// What an analyzer finds for a batch. `index`: the packets that its filter has let through; null: all.
struct Batch {
  const engine_packet* packets;
  const std::uint16_t* index;
  std::uint32_t count;
  const std::uint8_t* frames;
  engine_outbox* outbox;
};

class Analyzer {
 public:
  virtual ~Analyzer() = default;
  virtual void run(const Batch& batch) noexcept = 0;
  virtual std::vector<const plugins::Part*> parts() const = 0;  // in the order of the Lua code
};

template <typename Each>
inline void for_each(const Batch& batch, const Each& each) noexcept {
  if (batch.index == nullptr) {
    for (std::uint32_t i = 0; i < batch.count; ++i) each(batch.packets[i]);
  } else {
    for (std::uint32_t k = 0; k < batch.count; ++k) each(batch.packets[batch.index[k]]);
  }
}

// A record in the outbox, as plugins/record.h has it.
class Record {
 public:
  Record(engine_outbox& outbox, std::uint16_t schema, const engine_packet& packet, std::size_t body_bytes) noexcept {
    const auto length = static_cast<std::uint32_t>((sizeof(engine_message) + body_bytes + 7) / 8 * 8);
    if (outbox.limit - outbox.used < length) {
      ++outbox.dropped;
      return;
    }
    at_ = outbox.data + outbox.used;
    std::memset(at_ + length - 8, 0, 8);
    const engine_message head{length, ENGINE_MESSAGE_RECORD, 0, schema, packet.time, packet._place};
    put(head);
    outbox.used += length;
    ++outbox.emitted;
  }
  bool has_room() const noexcept { return at_ != nullptr; }
  template <typename Value>
  void put(const Value& value) noexcept {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }
  void text(std::string_view text) noexcept {
    put(static_cast<std::uint16_t>(text.size()));
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  // An empty text is none.
  void optional_text(std::string_view value) noexcept {
    put(static_cast<std::uint8_t>(value.empty() ? 0 : 1));
    if (!value.empty()) text(value);
  }

 private:
  std::uint8_t* at_ = nullptr;
};

inline std::size_t optional_bytes(std::string_view text) { return 1 + (text.empty() ? 0 : 2 + text.size()); }

class Protocols final : public Analyzer {
 public:
  void run(const Batch& batch) noexcept override {
    for_each(batch, [&](const engine_packet& p) { protocols_.add(p); });
  }
  std::vector<const plugins::Part*> parts() const override { return {&protocols_}; }

 private:
  plugins::Counter protocols_{plugins::KeySpec::of({"proto"})};
};

class TopTalkers final : public Analyzer {
 public:
  void run(const Batch& batch) noexcept override {
    for_each(batch, [&](const engine_packet& p) {
      if (p.ip_version != 0) talkers_.add(p);
    });
  }
  std::vector<const plugins::Part*> parts() const override { return {&talkers_}; }

 private:
  plugins::TopK talkers_{plugins::KeySpec::of({"src"})};
};

class PortScan final : public Analyzer {
 public:
  PortScan() {
    seen_.attach(seen_part_);
    scanners_.attach(scanners_part_);
  }
  void run(const Batch& batch) noexcept override {
    seen_.before_batch(batch.packets, batch.index, batch.count);
    scanners_.before_batch(batch.packets, batch.index, batch.count);
    for_each(batch, [&](const engine_packet& p) {
      if ((p.tcp_flags & 0x12) == 0x02 && seen_.add(p) != plugins::SetTable::Added::known) scanners_.add(p);
    });
  }
  std::vector<const plugins::Part*> parts() const override { return {&seen_part_, &scanners_part_}; }

 private:
  static constexpr double kWindow_ns = 60e9, kLimit = 100 / 60.0;
  static constexpr std::uint32_t kPairs = 1'000'000, kScanners = 65536;
  const plugins::KeySpec pair_ = plugins::KeySpec::of({"src", "dst", "dst_port"});
  const plugins::KeySpec source_ = plugins::KeySpec::of({"src"});
  plugins::SetTable seen_{pair_, kPairs, kWindow_ns, false};
  plugins::SetPart seen_part_{pair_, kPairs, false};
  plugins::RateTable scanners_{source_, kScanners, kWindow_ns, kLimit, false};
  plugins::RatePart scanners_part_{source_, kScanners, kWindow_ns, kLimit, false};
};

class DnsNames final : public Analyzer {
 public:
  void run(const Batch& batch) noexcept override {
    engine_cell cell{batch.frames, 0, batch.count, 1};
    for_each(batch, [&](const engine_packet& p) {
      cell.next = static_cast<std::uint32_t>(&p - batch.packets);
      engine_dns q;
      if (!plugins::protocols::parse_dns(&q, &cell, &p, false)) return;
      if ((q._flags & 0x8000) == 0) {
        const std::string_view name = name_of(q, cell);
        if (name.empty()) return;
        names_.add_value(plugins::ValueKey(name), 1);
        types_.add_value(plugins::ValueKey(type_name(q._qtype)), 1);
      } else if ((q._flags & 15) != 0) {
        tell(q, cell, p, *batch.outbox);
      }
    });
  }
  std::vector<const plugins::Part*> parts() const override { return {&names_, &types_}; }

 private:
  std::string_view name_of(const engine_dns& q, const engine_cell& cell) noexcept {
    if (q._qname == 0) return {};
    return {name_, plugins::protocols::dns_name(cell.frames + q._off, q._len, q._qname, true, name_)};
  }
  // Those that occur here.
  static std::string_view type_name(std::uint16_t type) noexcept {
    switch (type) {
      case 1:
        return "A";
      case 2:
        return "NS";
      case 5:
        return "CNAME";
      case 6:
        return "SOA";
      case 12:
        return "PTR";
      case 15:
        return "MX";
      case 16:
        return "TXT";
      case 28:
        return "AAAA";
      case 33:
        return "SRV";
      case 65:
        return "HTTPS";
      default:
        return "other";
    }
  }
  static std::string_view rcode_name(std::uint16_t rcode) noexcept {
    constexpr std::string_view kNames[16] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",  "REFUSED",
                                             "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE", "DSOTYPENI",
                                             "RCODE12",  "RCODE13", "RCODE14",  "RCODE15"};
    return kNames[rcode];
  }
  void tell(const engine_dns& q, const engine_cell& cell, const engine_packet& p, engine_outbox& outbox) noexcept {
    const std::string_view name = name_of(q, cell), rcode = rcode_name(q._flags & 15);
    Record record(outbox, kFailed, p, 2 * sizeof(engine_addr) + optional_bytes(name) + 2 + rcode.size());
    if (!record.has_room()) return;
    record.put(p.dst);
    record.put(p.src);
    record.optional_text(name);
    record.text(rcode);
  }

  static constexpr std::uint16_t kFailed = 0;
  plugins::TopK names_{plugins::KeySpec::values()};
  plugins::Counter types_{plugins::KeySpec::values()};
  char name_[ENGINE_DNS_NAME_BYTES];
};

class TlsSni final : public Analyzer {
 public:
  void run(const Batch& batch) noexcept override {
    engine_cell cell{batch.frames, 0, batch.count, 1};
    for_each(batch, [&](const engine_packet& p) {
      cell.next = static_cast<std::uint32_t>(&p - batch.packets);
      engine_tls hello;
      if (!plugins::protocols::parse_tls(&hello, &cell, &p)) return;
      const char* message = reinterpret_cast<const char*>(cell.frames + hello._off);
      const std::string_view name(message + hello._sni, hello._sni_len), version = version_name(hello._version);
      names_.add_value(plugins::ValueKey(!name.empty() ? name : hello._truncated ? "(cut)" : "(none)"), 1);
      if (version.empty()) return;
      versions_.add_value(plugins::ValueKey(version), 1);
      if (hello._version <= 0x302 && !hello._truncated) tell(p, name, version, *batch.outbox);
    });
  }
  std::vector<const plugins::Part*> parts() const override { return {&names_, &versions_}; }

 private:
  static std::string_view version_name(std::uint16_t version) noexcept {
    constexpr std::string_view kNames[] = {"SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"};
    return version >= 0x300 && version <= 0x304 ? kNames[version - 0x300] : std::string_view();
  }
  static void tell(const engine_packet& p, std::string_view name, std::string_view version,
                   engine_outbox& outbox) noexcept {
    Record record(outbox, kOld, p,
                  2 * sizeof(engine_addr) + sizeof p.dst_port + optional_bytes(name) + 2 + version.size());
    if (!record.has_room()) return;
    record.put(p.src);
    record.put(p.dst);
    record.put(p.dst_port);
    record.optional_text(name);
    record.text(version);
  }

  static constexpr std::uint16_t kOld = 0;
  plugins::TopK names_{plugins::KeySpec::values()};
  plugins::Counter versions_{plugins::KeySpec::values()};
};

// What engine.flows makes of its options.
inline std::shared_ptr<plugins::FlowOptions> flow_options(plugins::FlowField field) {
  auto options = std::make_shared<plugins::FlowOptions>();
  options->fields = plugins::FlowFields({std::move(field)});
  return options;
}
inline std::size_t flow_room(const plugins::FlowOptions& options) { return 2 * std::size_t{options.max_flows}; }

class Flows final : public Analyzer {
 public:
  Flows() { table_.attach(part_); }
  void run(const Batch& batch) noexcept override {
    table_.before_batch(batch.packets, batch.index, batch.count);
    engine_cell cell{batch.frames, 0, batch.count, 1};
    for_each(batch, [&](const engine_packet& p) {
      engine_flow* flow = table_.add(p);
      if (flow == nullptr || p.proto != 6 || p.payload_len == 0) return;
      auto* user = reinterpret_cast<std::uint8_t*>(flow + 1);
      if (flow->packets[plugins::initiator_of(*flow)] > 8 || (user[0] & 1) != 0) return;
      cell.next = static_cast<std::uint32_t>(&p - batch.packets);
      const std::string_view name = server_name(p, cell).substr(0, kMostName_bytes);
      if (name.data() == nullptr) return;
      const auto length = static_cast<std::uint16_t>(name.size());
      std::memcpy(user + name_at_, &length, sizeof length);
      std::memcpy(user + name_at_ + sizeof length, name.data(), name.size());
      user[0] |= 1;
    });
  }
  std::vector<const plugins::Part*> parts() const override { return {&part_}; }

 private:
  static std::string_view server_name(const engine_packet& p, const engine_cell& cell) noexcept {
    const char* frames = reinterpret_cast<const char*>(cell.frames);
    engine_tls hello;
    if (plugins::protocols::parse_tls(&hello, &cell, &p)) {
      if (hello._sni_len == 0) return {};
      return {frames + hello._off + hello._sni, hello._sni_len};
    }
    engine_http head;
    engine_span host;
    if (!plugins::protocols::parse_http(&head, &cell, &p)) return {};
    if (!plugins::protocols::http_field(&head, &cell, "host", 4, &host)) return {};
    return {frames + host.off, host.len};
  }

  static constexpr std::uint16_t kMostName_bytes = 64;
  const std::shared_ptr<const plugins::FlowOptions> options_ =
      flow_options({"name", plugins::FieldType::string, kMostName_bytes});
  const std::uint16_t name_at_ = options_->fields.all()[0].offset;
  plugins::FlowTable table_{options_};
  plugins::FlowPart part_{options_, flow_room(*options_)};
};

class TcpRtt final : public Analyzer {
 public:
  TcpRtt() {
    table_.attach(flows_);
    table_.set_pending(&pending_);
  }
  void run(const Batch& batch) noexcept override {
    table_.before_batch(batch.packets, batch.index, batch.count);
    for_each(batch, [&](const engine_packet& p) {
      engine_flow* flow = table_.add(p);
      if (flow == nullptr) return;
      auto* user = reinterpret_cast<std::uint8_t*>(flow + 1);
      if ((user[0] & 1) != 0 && user[measured_at_] != 0) return;
      const plugins::FlowRtt rtt = plugins::rtt_of(*flow);
      if (rtt.responder_ns < 0 || rtt.initiator_ns < 0) return;
      user[0] |= 1;
      user[measured_at_] = 1;
      servers_.add(rtt.responder_ns / 1e6);
      clients_.add(rtt.initiator_ns / 1e6);
      const double ms = (rtt.responder_ns + rtt.initiator_ns) / 1e6;
      if (ms >= kSlow_ms) tell(*flow, p, ms, *batch.outbox);
    });
    if (pending_ == 0) return;
    pending_ = 0;
    while (const engine_flow* ended = table_.next_ended()) {
      const std::uint32_t again = ended->retransmissions[0] + ended->retransmissions[1];
      if (again > 0) again_.add_value(plugins::ValueKey(endpoint(*ended, false).address), again);
    }
  }
  std::vector<const plugins::Part*> parts() const override { return {&servers_, &clients_, &again_, &flows_}; }

 private:
  static plugins::FlowEndpoint endpoint(const engine_flow& flow, bool initiator) noexcept {
    const unsigned side = plugins::initiator_of(flow);
    return plugins::endpoint_of(flow.key, initiator ? side : 1 - side);
  }
  static void tell(const engine_flow& flow, const engine_packet& p, double ms, engine_outbox& outbox) noexcept {
    const plugins::FlowEndpoint client = endpoint(flow, true), server = endpoint(flow, false);
    Record record(outbox, kSlow, p, 2 * sizeof(engine_addr) + sizeof server.port + sizeof ms);
    if (!record.has_room()) return;
    record.put(client.address);
    record.put(server.address);
    record.put(server.port);
    record.put(ms);
  }
  static std::shared_ptr<const plugins::FlowOptions> options() {
    auto options = flow_options({"measured", plugins::FieldType::boolean});
    options->callback = true;
    options->published = false;
    return options;
  }

  static constexpr std::uint16_t kSlow = 0;
  static constexpr double kSlow_ms = 500;
  plugins::Histogram servers_{1e15, 2}, clients_{1e15, 2};  // engine.histogram's defaults
  plugins::TopK again_{plugins::KeySpec::values()};
  const std::shared_ptr<const plugins::FlowOptions> options_ = options();
  const std::uint16_t measured_at_ = options_->fields.all()[0].offset;
  plugins::FlowTable table_{options_};
  plugins::FlowPart flows_{options_, flow_room(*options_)};
  std::uint32_t pending_ = 0;  // flows that ended
};

}  // namespace bench
