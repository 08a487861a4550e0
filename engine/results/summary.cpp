#include "engine/results/summary.h"

#include <netinet/in.h>

#include <algorithm>
#include <string>
#include <vector>

namespace engine {
namespace {

constexpr std::uint16_t kEtherTypeArp = 0x0806;

// Keys kept while counting: below so many sources (or ports) the lists are exact.
constexpr std::uint32_t kTracked = 4096;

// Writes a structure's entries under the summary's own names: the list's, the key's, a protocol's name for its number.
class Renamed final : public plugins::Visitor {
 public:
  Renamed(plugins::Visitor& to, std::string_view list, std::string_view key, bool with_error)
      : to_(to), list_(list), key_(key), with_error_(with_error) {}

  void unsigned_number(std::string_view name, std::uint64_t value) override {
    if (name == "proto") return to_.text(name, protocol_name(static_cast<unsigned>(value)));
    if (name == "error" && !with_error_) return;
    to_.unsigned_number(name == "src_port" ? key_ : name, value);
  }
  void signed_number(std::string_view name, std::int64_t value) override { to_.signed_number(name, value); }
  void real(std::string_view name, double value) override { to_.real(name, value); }
  void boolean(std::string_view name, bool value) override { to_.boolean(name, value); }
  void text(std::string_view name, std::string_view value) override { to_.text(name, value); }
  void address(std::string_view, const engine_addr& value) override { to_.address(key_, value); }
  void time(std::string_view name, std::uint64_t utc_ns) override { to_.time(name, utc_ns); }
  void begin_object(std::string_view name) override { to_.begin_object(name); }
  void end_object() override { to_.end_object(); }
  void begin_list(std::string_view) override { to_.begin_list(list_); }
  void end_list() override { to_.end_list(); }
  void begin_item() override { to_.begin_item(); }
  void end_item() override { to_.end_item(); }

 private:
  plugins::Visitor& to_;
  std::string_view list_;
  std::string_view key_;
  bool with_error_;
};

}  // namespace

std::string_view protocol_name(unsigned protocol) noexcept {
  switch (protocol) {
    case IPPROTO_ICMP:
      return "icmp";
    case IPPROTO_IGMP:
      return "igmp";
    case IPPROTO_IPIP:
      return "ipip";
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_UDP:
      return "udp";
    case IPPROTO_DCCP:
      return "dccp";
    case IPPROTO_IPV6:
      return "ipv6";
    case IPPROTO_GRE:
      return "gre";
    case IPPROTO_ESP:
      return "esp";
    case IPPROTO_AH:
      return "ah";
    case IPPROTO_ICMPV6:
      return "icmp6";
    case 89:
      return "ospf";
    case IPPROTO_PIM:
      return "pim";
    case 112:
      return "vrrp";
    case IPPROTO_SCTP:
      return "sctp";
    case IPPROTO_UDPLITE:
      return "udplite";
    default:
      return "other";
  }
}

SummaryPart::SummaryPart(bool reproducible)
    : sources_(plugins::KeySpec::of({"src"}), kTop, kTracked),
      ports_(plugins::KeySpec::of({"proto", "src_port"}), kTop, kTracked),
      reproducible_(reproducible),
      flows_(plugins::KeySpec::of({"hash"}), reproducible) {}

void SummaryPart::add(const engine_packet& packet) noexcept {
  ++packets_;
  bytes_ += packet.len;
  const std::size_t row = packet.ip_version != 0 ? packet.proto : packet.eth_type == kEtherTypeArp ? kArp : kOther;
  ++protocols_[row].packets;
  protocols_[row].bytes += packet.len;
  if (packet.ip_version == 0) return;
  sources_.add(packet);
  flows_.add(packet);
  if ((packet.src_port | packet.dst_port) == 0) return;
  // The lower port is the service's in most conversations: a client's is taken from the high, ephemeral range
  // (RFC 6335 section 6), and both directions then count for one row.
  port_.proto = packet.proto;
  port_.src_port = std::min(packet.src_port, packet.dst_port);
  port_.len = packet.len;
  ports_.add(port_);
}

void SummaryPart::merge(const plugins::Part& other) {
  const SummaryPart& part = static_cast<const SummaryPart&>(other);
  packets_ += part.packets_;
  bytes_ += part.bytes_;
  for (std::size_t i = 0; i < kRows; ++i) {
    protocols_[i].packets += part.protocols_[i].packets;
    protocols_[i].bytes += part.protocols_[i].bytes;
  }
  sources_.merge(part.sources_);
  ports_.merge(part.ports_);
  flows_.merge(part.flows_);
}

void SummaryPart::clear() noexcept {
  packets_ = 0;
  bytes_ = 0;
  protocols_.fill({});
  sources_.clear();
  ports_.clear();
  flows_.clear();
}

void SummaryPart::publish(plugins::Visitor& visitor) const {
  visitor.unsigned_number("packets", packets_);
  visitor.unsigned_number("bytes", bytes_);
  publish_lists(visitor);
  visitor.unsigned_number("flows_active", flows_active());
}

void SummaryPart::publish_lists(plugins::Visitor& visitor) const {
  struct Row {
    std::string_view name;
    Sum sum;
  };
  std::vector<Row> rows;
  for (std::size_t i = 0; i < kRows; ++i) {
    if (protocols_[i].packets == 0) continue;
    const std::string_view name = i == kArp ? "arp" : i == kOther ? "other" : protocol_name(static_cast<unsigned>(i));
    const auto same = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == name; });
    Row& row = same != rows.end() ? *same : rows.emplace_back(Row{name, {}});
    row.sum.packets += protocols_[i].packets;
    row.sum.bytes += protocols_[i].bytes;
  }
  std::sort(rows.begin(), rows.end(), [](const Row& left, const Row& right) {
    return left.sum.packets != right.sum.packets ? left.sum.packets > right.sum.packets : left.name < right.name;
  });
  visitor.begin_list("protocols");
  for (const Row& row : rows) {
    visitor.begin_item();
    visitor.text("proto", row.name);
    visitor.unsigned_number("packets", row.sum.packets);
    visitor.unsigned_number("bytes", row.sum.bytes);
    visitor.end_item();
  }
  visitor.end_list();

  Renamed sources(visitor, "top_sources", "addr", true);
  sources_.publish(sources);
  Renamed ports(visitor, "top_ports", "port", false);
  ports_.publish(ports);
}

Summary::Summary(bool reproducible)
    : structure_("summary", std::make_unique<SummaryPart>(reproducible), std::make_unique<SummaryPart>(reproducible)) {}

void Summary::add(const engine_packet* packets, std::uint32_t n) noexcept {
  SummaryPart& part = static_cast<SummaryPart&>(structure_.active());
  for (std::uint32_t i = 0; i < n; ++i) part.add(packets[i]);
}

}  // namespace engine
