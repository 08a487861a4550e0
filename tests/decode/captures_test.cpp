// Decode against another reader, and over captures written by others.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "engine/base/error.h"
#include "engine/file/capture_file.h"
#include "tests/decode/capture_writer.h"
#include "tests/decode/guarded_frame.h"
#include "tests/decode/other_reader.h"
#include "tests/decode/random_traffic.h"

namespace test {
namespace {

std::string text_of(const engine_addr& address) {
  unsigned char bytes[16];
  std::memcpy(bytes, &address, sizeof bytes);
  char text[INET6_ADDRSTRLEN];
  const bool is_mapped = address._hi == 0 && bytes[10] == 0xff && bytes[11] == 0xff;
  if (is_mapped) return ::inet_ntop(AF_INET, bytes + 12, text, sizeof text);
  return ::inet_ntop(AF_INET6, bytes, text, sizeof text);
}

// Our own words for what tshark_transport() says: a transport only where its header lies in this frame.
std::string transport_of(const engine_packet& p) {
  if (p.ip_version == 0) return "";
  if (p.l4_off == 0) return "ip";
  switch (p.proto) {
    case 6:
      return "tcp";
    case 17:
      return "udp";
    case 1:
      return p.ip_version == 4 ? "icmp" : "ip";
    case 58:
      return p.ip_version == 6 ? "icmpv6" : "ip";
    case 132:
      return "sctp";
    case 136:
      return "udplite";
    default:
      return "ip";
  }
}

unsigned number(const std::string& text) {
  return text.empty() ? 0 : static_cast<unsigned>(std::stoul(text, nullptr, 0));
}

// Field by field where both have the packet's transport header.
void expect_same(const engine_packet& p, TsharkRow& row) {
  const bool six = p.ip_version == 6;
  const std::string transport = tshark_transport(row["frame.protocols"]);
  ASSERT_EQ(transport_of(p), transport) << row["frame.protocols"];
  const bool is_stacked = !row["ieee8021ad.id"].empty();  // tshark has a name of its own for the 802.1ad tag
  EXPECT_EQ(p.vlan, number(row[is_stacked ? "ieee8021ad.id" : "vlan.id"]));
  EXPECT_EQ(p.inner_vlan, is_stacked ? number(row["vlan.id"]) : 0);
  if (p.ip_version == 0) return;
  EXPECT_EQ(text_of(p.src), row[six ? "ipv6.src" : "ip.src"]);
  EXPECT_EQ(text_of(p.dst), row[six ? "ipv6.dst" : "ip.dst"]);
  EXPECT_EQ(p.ttl, number(row[six ? "ipv6.hlim" : "ip.ttl"]));
  EXPECT_EQ(p.tos, number(row[six ? "ipv6.tclass" : "ip.dsfield"]));
  if (transport == "tcp") {
    EXPECT_EQ(p.src_port, number(row["tcp.srcport"]));
    EXPECT_EQ(p.dst_port, number(row["tcp.dstport"]));
    EXPECT_EQ(p.tcp_seq, number(row["tcp.seq_raw"]));
    EXPECT_EQ(p.tcp_window, number(row["tcp.window_size_value"]));
    EXPECT_EQ(p.tcp_flags, number(row["tcp.flags"]) & 0xff);
    EXPECT_EQ(p.payload_len, number(row["tcp.len"]));
  } else if (transport == "udp") {
    EXPECT_EQ(p.src_port, number(row["udp.srcport"]));
    EXPECT_EQ(p.dst_port, number(row["udp.dstport"]));
    EXPECT_EQ(p.payload_len + 8, number(row["udp.length"]));
  } else if (transport == "sctp") {
    EXPECT_EQ(p.src_port, number(row["sctp.srcport"]));
    EXPECT_EQ(p.dst_port, number(row["sctp.dstport"]));
  } else if (transport == "icmp") {
    EXPECT_EQ(p.icmp_type, number(row["icmp.type"]));
  } else if (transport == "icmpv6") {
    EXPECT_EQ(p.icmp_type, number(row["icmpv6.type"]));
  }
}

TEST(Captures, SayTheSameAsTsharkFieldByField) {
  if (!has_tshark()) GTEST_SKIP() << "needs tshark";
  Traffic traffic;
  std::vector<Record> records;
  for (std::uint64_t i = 0; i < 3000; ++i) records.push_back({1700000000'000000000 + i * 1000000, traffic.frame()});
  const TemporaryFile file(pcap(records));
  auto rows =
      tshark(file.name(), {"frame.protocols", "vlan.id",      "ieee8021ad.id", "ip.src",      "ip.dst",
                           "ip.ttl",          "ip.dsfield",   "ipv6.src",      "ipv6.dst",    "ipv6.hlim",
                           "ipv6.tclass",     "tcp.srcport",  "tcp.dstport",   "tcp.seq_raw", "tcp.window_size_value",
                           "tcp.flags",       "tcp.len",      "udp.srcport",   "udp.dstport", "udp.length",
                           "sctp.srcport",    "sctp.dstport", "icmp.type",     "icmpv6.type"});
  ASSERT_EQ(rows.size(), records.size());
  std::map<std::string, int> counts;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const engine_packet p = decode_at_guard(records[i].frame);
    expect_same(p, rows[i]);
    if (HasFailure()) FAIL() << "packet " << i + 1;
    ++counts[transport_of(p)];
  }
  for (const char* name : {"", "ip", "tcp", "udp", "icmp", "icmpv6", "sctp"}) EXPECT_GT(counts[name], 20) << name;
}

// Every packet of every capture below $ENGINE_CORPUS, decoded at the unreadable page.
class Corpus : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("ENGINE_CORPUS") == nullptr)
      GTEST_SKIP() << "needs captures: set ENGINE_CORPUS to a folder of pcap and pcapng files";
  }

  template <class Body>
  static int for_each_packet(Body&& body) {
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(std::getenv("ENGINE_CORPUS"))) {
      if (!entry.is_regular_file()) continue;
      try {
        engine::CaptureFile file(entry.path(), -1);
        ++files;
        for (engine::CapturedPacket packet; file.next(packet);)
          body(file, packet, std::span(packet.bytes, packet.header->caplen));
      } catch (const engine::SetupError& error) {
        EXPECT_EQ(error.code(), engine::ExitCode::bad_usage) << error.what();
      }
    }
    return files;
  }
};

TEST_F(Corpus, IsReadWithoutALookBehindAnyFrame) {
  std::uint64_t packets = 0;
  const int files = for_each_packet([&](engine::CaptureFile& file, const engine::CapturedPacket&, auto bytes) {
    ++packets;
    const auto frame = bytes.first(std::min<std::size_t>(bytes.size(), 1 << 18));
    ASSERT_STREQ(broken_promise(decode_at_guard(frame, file.link()), frame.size()), "") << file.name();
  });
  EXPECT_GT(files, 0);
  EXPECT_GT(packets, 0u);
  RecordProperty("packets", std::to_string(packets));
}

TEST_F(Corpus, HasTheProtocolsThatTsharkCounts) {
  if (!has_tshark()) GTEST_SKIP() << "needs tshark";
  std::vector<Record> records;
  std::vector<std::string> origins;
  for_each_packet([&](engine::CaptureFile& file, const engine::CapturedPacket& packet, auto bytes) {
    if (file.link() != engine::LinkType::ethernet || bytes.size() > 65535) return;
    records.push_back({records.size(), Bytes(bytes.begin(), bytes.end()), packet.header->len});
    origins.push_back(file.name());
  });
  const TemporaryFile file(pcap(records));
  auto rows = tshark(file.name(), {"frame.protocols"});
  ASSERT_EQ(rows.size(), records.size());
  std::map<std::string, int> ours, theirs;
  std::size_t lies = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const engine_packet p = decode_at_guard(records[i].frame);
    const std::string mine = transport_of(p);
    std::string other = tshark_transport(rows[i]["frame.protocols"]);
    // An IP header that is cut off or lies: tshark names it, decode takes nothing from it.
    const bool is_lie = mine.empty() && other == "ip" && (p.eth_type == 0x0800 || p.eth_type == 0x86dd);
    if (is_lie) other = mine;
    lies += is_lie;
    ++ours[mine];
    ++theirs[other];
    EXPECT_EQ(mine, other) << origins[i] << ": " << rows[i]["frame.protocols"];
  }
  EXPECT_EQ(ours, theirs);
  EXPECT_LE(lies * 100, records.size());
}

}  // namespace
}  // namespace test
