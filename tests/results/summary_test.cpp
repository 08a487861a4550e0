#include "engine/results/summary.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/results/collector.h"
#include "engine/results/json_lines.h"

namespace {

using engine::Summary;
using engine::SummaryPart;

engine_packet packet(std::uint8_t proto, const char* source, std::uint16_t source_port, std::uint16_t port,
                     std::uint32_t length) {
  engine_packet result{};
  result.ip_version = 4;
  result.eth_type = 0x0800;
  result.proto = proto;
  std::uint8_t bytes[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  inet_pton(AF_INET, source, bytes + 12);
  std::memcpy(&result.src, bytes, sizeof bytes);
  result.src_port = source_port;
  result.dst_port = port;
  result.len = length;
  // Symmetric, as the decoder's: a flow of both directions.
  result.hash = (std::uint32_t{proto} << 24) + std::uint32_t{port} * source_port + port + source_port;
  return result;
}

engine_packet frame(std::uint16_t eth_type, std::uint32_t length) {
  engine_packet result{};
  result.eth_type = eth_type;
  result.len = length;
  return result;
}

std::string lists(const SummaryPart& part) {
  std::string out;
  engine::JsonWriter writer(out);
  writer.begin_object({});
  part.publish(writer);
  writer.end_object();
  return out;
}

SummaryPart& active(Summary& summary) { return static_cast<SummaryPart&>(summary.structure().active()); }

TEST(Summary, NamesProtocolsSourcesAndTheLowerPort) {
  Summary summary;
  const std::vector<engine_packet> packets{packet(17, "10.0.0.1", 5000, 53, 100),
                                           packet(17, "10.0.0.2", 53, 5000, 200),
                                           packet(17, "10.0.0.2", 53, 5001, 200),
                                           packet(6, "10.0.0.3", 443, 50000, 60),
                                           packet(1, "10.0.0.3", 0, 0, 98),
                                           frame(0x0806, 42),
                                           frame(0x88cc, 60)};
  summary.add(packets.data(), static_cast<std::uint32_t>(packets.size()));
  EXPECT_EQ(lists(active(summary)),
            R"({"packets":7,"bytes":760,"protocols":[{"proto":"udp","packets":3,"bytes":500},)"
            R"({"proto":"arp","packets":1,"bytes":42},{"proto":"icmp","packets":1,"bytes":98},)"
            R"({"proto":"other","packets":1,"bytes":60},{"proto":"tcp","packets":1,"bytes":60}],)"
            R"("top_sources":[{"addr":"10.0.0.2","packets":2,"bytes":400,"error":0},)"
            R"({"addr":"10.0.0.3","packets":2,"bytes":158,"error":0},)"
            R"({"addr":"10.0.0.1","packets":1,"bytes":100,"error":0}],)"
            R"("top_ports":[{"proto":"udp","port":53,"packets":3,"bytes":500},)"
            R"({"proto":"tcp","port":443,"packets":1,"bytes":60}],"flows_active":4})");
}

TEST(Summary, CountsAnIpPacketOfProtocolZeroAsIp) {
  Summary summary;
  const engine_packet hop_by_hop = packet(0, "10.0.0.1", 0, 0, 60);
  const engine_packet unknown = packet(253, "10.0.0.1", 0, 0, 60);
  summary.add(&hop_by_hop, 1);
  summary.add(&unknown, 1);
  EXPECT_NE(lists(active(summary)).find(R"("protocols":[{"proto":"other","packets":2,"bytes":120}])"),
            std::string::npos);
}

TEST(Summary, PublishesTheTenLargest) {
  Summary summary;
  for (int source = 1; source <= 30; ++source)
    for (int n = 0; n < source; ++n) {
      const engine_packet one = packet(17, ("10.0.0." + std::to_string(source)).c_str(), 9, 9, 60);
      summary.add(&one, 1);
    }
  const std::string text = lists(active(summary));
  EXPECT_NE(text.find(R"("top_sources":[{"addr":"10.0.0.30","packets":30,)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("addr":"10.0.0.21")"), std::string::npos);
  EXPECT_EQ(text.find(R"("addr":"10.0.0.20")"), std::string::npos);
}

TEST(Summary, MergesIntoWhatOneWorkerWouldHaveCounted) {
  Summary one;
  std::vector<std::unique_ptr<Summary>> four;
  for (int i = 0; i < 4; ++i) four.push_back(std::make_unique<Summary>());
  for (unsigned i = 0; i < 5000; ++i) {
    const std::string source = "10.0." + std::to_string(i % 7) + "." + std::to_string(i % 113);
    const engine_packet next = packet(i % 3 == 0 ? 6 : 17, source.c_str(), static_cast<std::uint16_t>(i % 200 + 1),
                                      static_cast<std::uint16_t>(1000 + i), 60 + i % 1000);
    one.add(&next, 1);
    four[i * 2654435761u / 65536 % 4]->add(&next, 1);
  }
  SummaryPart merged;
  for (const auto& summary : four) merged.merge(active(*summary));
  EXPECT_EQ(lists(merged), lists(active(one)));
  active(one).clear();
  EXPECT_TRUE(active(one).empty());
  EXPECT_EQ(lists(active(one)), R"({"packets":0,"bytes":0,"protocols":[],"top_sources":[],"top_ports":[],"flows_active":0})");
}

// From the worker's structure through ring and collector to the line of the contract.
TEST(Summary, BecomesALineWithRatesAndTheIntervalsDrops) {
  const std::string file = testing::TempDir() + "summary_test." + std::to_string(::getpid());
  engine::CollectorConfig config;
  config.epoch_ns = 1'700'000'000'000'000'000;
  config.interfaces = {"eth0"};
  std::uint64_t lost = 5;
  config.drops = [&lost] { return std::vector<engine::LedgerRow>{{"rx_dropped", lost}, {"skipped", 0}}; };
  std::vector<std::unique_ptr<engine::Output>> outputs;
  outputs.push_back(
      std::make_unique<engine::JsonLines>(std::make_unique<engine::Sink>(file, engine::Sink::WhenFull::drop)));
  Summary summary;
  engine::SpscRing ring(4096);
  engine::Collector collector(std::move(config), std::move(outputs));
  collector.add_worker(ring);

  const auto send = [&](std::uint8_t kind, engine_part value, double time) {
    struct {
      engine_message head;
      engine_part value;
    } message{{sizeof message, kind, 0xff, 0, time, 0}, value};
    ASSERT_TRUE(ring.push(std::as_bytes(std::span(&message, 1))));
    ring.publish();
  };
  for (std::uint64_t k = 0; k < 2; ++k) {
    const engine_packet one = packet(17, "10.0.0.1", 53, 5000, 125);
    summary.add(&one, 1);
    summary.add(&one, 1);
    plugins::Part* part = summary.structure().swap();
    ASSERT_NE(part, nullptr);
    const auto owner = reinterpret_cast<std::uintptr_t>(&summary.structure());
    send(ENGINE_MESSAGE_PART, {reinterpret_cast<std::uintptr_t>(part), owner}, 0);
    send(ENGINE_MESSAGE_INTERVAL, {1'700'000'000 + k, 0}, static_cast<double>(k + 1) * 1e9);
    collector.round();
    lost = 12;
  }
  std::ifstream in(file);
  std::string first, second;
  std::getline(in, first);
  std::getline(in, second);
  ::unlink(file.c_str());
  EXPECT_EQ(first, R"({"ts":"2023-11-14T22:13:21.000000000Z","type":"summary","from":"2023-11-14T22:13:20.000000000Z",)"
                   R"("to":"2023-11-14T22:13:21.000000000Z","interfaces":["eth0"],"packets":2,"bytes":250,"pps":2,)"
                   R"("bps":2000,"drops":{"rx_dropped":5,"skipped":0},)"
                   R"("protocols":[{"proto":"udp","packets":2,"bytes":250}],)"
                   R"("top_sources":[{"addr":"10.0.0.1","packets":2,"bytes":250,"error":0}],)"
                   R"("top_ports":[{"proto":"udp","port":53,"packets":2,"bytes":250}],"flows_active":1})");
  EXPECT_NE(second.find(R"("drops":{"rx_dropped":7,"skipped":0})"), std::string::npos) << second;
}

}  // namespace
