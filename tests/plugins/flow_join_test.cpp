// Flows over several workers: parts that merge, halves that are joined, names that are the same everywhere.
#include <algorithm>
#include <functional>
#include <random>

#include "plugins/flows/community_id.h"
#include "tests/plugins/flow_lab.h"

using lab::Flows;
using lab::Line;
using lab::packet_of;
using lab::Say;
using plugins::FlowOptions;
using plugins::FlowPart;
using plugins::FlowTable;

namespace {

enum : std::uint8_t { F = 1, S = 2, R = 4, P = 8, A = 16 };

std::string community_id(const Say& say) {
  plugins::FlowKey key{};
  EXPECT_TRUE(plugins::make_key(packet_of(say), key));
  return plugins::community_id(key.words);
}

Say back(Say say) {
  std::swap(say.from, say.to);
  std::swap(say.from_port, say.to_port);
  return say;
}

// The values are those that implementations of the specification test with (pycommunityid's and others' baselines).
TEST(CommunityId, AgreesWithThePublishedValues) {
  const Say tcp{.from = "128.232.110.120", .from_port = 34855, .to = "66.35.250.204", .to_port = 80, .proto = 6};
  EXPECT_EQ(community_id(tcp), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
  EXPECT_EQ(community_id(back(tcp)), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
  const Say udp{.from = "192.168.1.52", .from_port = 54585, .to = "8.8.8.8", .to_port = 53, .proto = 17};
  EXPECT_EQ(community_id(udp), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
  EXPECT_EQ(community_id(back(udp)), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
  const Say sctp{.from = "192.168.170.8", .from_port = 7, .to = "192.168.170.56", .to_port = 7, .proto = 132};
  EXPECT_EQ(community_id(sctp), "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=");
  EXPECT_EQ(community_id(back(sctp)), "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=");
  const Say tcp6{.from = "2001:470:e5bf:dead:4957:2174:e82c:4887",
                 .from_port = 63943,
                 .to = "2607:f8b0:400c:c03::1a",
                 .to_port = 25,
                 .proto = 6};
  EXPECT_EQ(community_id(tcp6), "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=");
  EXPECT_EQ(community_id(back(tcp6)), "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=");
  EXPECT_EQ(community_id({.from = "192.168.0.89", .to = "192.168.0.1", .proto = 1, .type = 8}),
            "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
  EXPECT_EQ(community_id({.from = "192.168.0.1", .to = "192.168.0.89", .proto = 1, .type = 0}),
            "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
  EXPECT_EQ(community_id({.from = "fe80::260:97ff:fe07:69ea", .to = "ff02::1", .proto = 58, .type = 134}),
            "1:pkvHqCL88/tg1k4cPigmZXUtL00=");
}

// --- several workers
// --------------------------------------------------------------------------------------------------

// Tables of several workers, and the collector's side: what it would print.
class Workers {
 public:
  using Deal = std::function<std::size_t(const engine_packet&)>;

  Workers(std::size_t count, FlowOptions options, bool split, Deal deal)
      : options_(std::make_shared<FlowOptions>(std::move(options))), deal_(std::move(deal)) {
    for (std::size_t i = 0; i < count; ++i) {
      parts_.push_back(std::make_unique<FlowPart>(options_, 100'000));
      tables_.push_back(std::make_unique<FlowTable>(options_));
      tables_.back()->attach(*parts_.back());
      tables_.back()->seat(0, split);
    }
  }
  engine_flow* say(const Say& say) {
    const engine_packet packet = packet_of(say);
    return tables_[deal_(packet) % tables_.size()]->add(packet);
  }
  void interval(double at_s) {
    for (auto& table : tables_) table->advance(at_s * 1e9);
    merge();
  }
  void end(double at_s) {
    for (auto& table : tables_) table->finish(at_s * 1e9);
    merge();
    if (total_) {
      total_->finish();
      print(*total_);
    }
  }
  std::vector<Line> flows;
  std::map<std::string, std::uint64_t> counts;

  std::vector<std::string> text() const {
    std::vector<std::string> all;
    for (const Line& line : flows) {
      std::string text;
      for (const auto& [name, value] : line) text += name + "=" + value + " ";
      all.push_back(text);
    }
    return all;
  }

 private:
  void merge() {
    auto merged = parts_[0]->make_empty();
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      merged->merge(*parts_[i]);
      parts_[i]->clear();
      tables_[i]->attach(*parts_[i]);
    }
    if (!merged->cumulative()) return print(*merged);
    if (!total_) total_ = merged->make_empty();
    total_->carry(*merged);
    print(*total_);
  }
  void print(const plugins::Part& part) {
    std::vector<Line> lines = lab::lines_of(part);
    if (!lines.empty() && lines.back().contains("began")) {
      for (const auto& [name, value] : lines.back()) counts[name] += std::stoull(value);
      lines.pop_back();
    }
    for (Line& line : lines) flows.push_back(std::move(line));
  }
  std::shared_ptr<FlowOptions> options_;
  Deal deal_;
  std::vector<std::unique_ptr<FlowPart>> parts_;
  std::vector<std::unique_ptr<FlowTable>> tables_;
  std::unique_ptr<plugins::Part> total_;
};

std::uint64_t by_flow(const engine_packet& packet) {
  plugins::FlowKey key{};
  plugins::make_key(packet, key);
  return plugins::flow_id(key.words, false, 0) >> 7;
}

// As a NIC with a hash that is not symmetric: each direction has its own worker.
std::uint64_t by_direction(const engine_packet& packet) {
  return by_flow(packet) * 3 + (packet.src._lo > packet.dst._lo ? 1 : 0) + packet.src_port * 7u;
}

std::vector<Say> conversation() {
  std::vector<Say> all;
  std::mt19937 random(11);
  for (std::uint16_t i = 0; i < 300; ++i) {
    const double at = i * 0.05;
    Say c{.at_s = at, .from = "10.0.0." + std::to_string(i % 200), .from_port = static_cast<std::uint16_t>(2000 + i)};
    const auto add = [&](Say say, double after, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack,
                         std::uint32_t payload) {
      say.at_s = at + after;
      say.flags = flags;
      say.seq = seq;
      say.ack = ack;
      say.payload = payload;
      all.push_back(say);
    };
    if (i % 3 == 0) {  // a question and its answer
      c.proto = 17;
      add(c, 0, 0, 0, 0, 30);
      add(back(c), 0.02, 0, 0, 0, 200);
      continue;
    }
    c.proto = 6;
    const std::uint32_t isn = random(), other = random();
    add(c, 0, S, isn, 0, 0);
    add(back(c), 0.010, S | A, other, isn + 1, 0);
    add(c, 0.012, A, isn + 1, other + 1, 0);
    add(c, 0.013, A | P, isn + 1, other + 1, 100);
    add(back(c), 0.05, A | P, other + 1, isn + 101, 1000);
    if (i % 3 == 1) {
      add(c, 0.06, F | A, isn + 101, other + 1001, 0);
      add(back(c), 0.07, F | A, other + 1001, isn + 102, 0);
      add(c, 0.08, A, isn + 102, other + 1002, 0);
    } else {
      add(back(c), 0.06, R | A, other + 1001, isn + 101, 0);
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const Say& a, const Say& b) { return a.at_s < b.at_s; });
  return all;
}

Workers play(std::size_t count, bool split, const Workers::Deal& deal) {
  FlowOptions options;
  options.idle_ns = 5e9;
  Workers workers(count, options, split, deal);
  double next = 1;
  for (const Say& say : conversation()) {
    for (; say.at_s >= next; next += 1) workers.interval(next);
    workers.say(say);
  }
  for (; next < 60; next += 1) workers.interval(next);
  workers.end(60);
  return workers;
}

TEST(FlowJoin, FlowsThatStayOnTheirWorkerComeOutTheSameWithAnyNumberOfWorkers) {
  const Workers one = play(1, false, by_flow), two = play(2, false, by_flow), eight = play(8, false, by_flow);
  EXPECT_EQ(one.flows.size(), 300u);
  EXPECT_EQ(one.text(), two.text());
  EXPECT_EQ(one.text(), eight.text());
  EXPECT_EQ(one.counts, eight.counts);
}

TEST(FlowJoin, HalvesOfDifferentWorkersBecomeTheFlowsThatOneWorkerSees) {
  const Workers whole = play(1, false, by_flow);
  for (const std::size_t count : {2u, 8u}) {
    const Workers joined = play(count, true, by_direction);
    ASSERT_EQ(joined.flows.size(), whole.flows.size());
    std::map<std::string, Line> by_id;
    for (const Line& line : whole.flows) by_id[line.at("community_id")] = line;
    std::size_t split = 0;
    for (Line line : joined.flows) {
      split += line.contains("split");
      const bool was_split = line.erase("split") != 0;
      Line expected = by_id[line.at("community_id")];
      if (was_split && expected["reason"] == "idle") line["reason"] = "idle";
      EXPECT_EQ(line, expected);
    }
    EXPECT_GT(split, 100u) << "of 300 at " << count;
  }
}

TEST(FlowJoin, AFlowOfOneDirectionIsPublishedWhenNothingCanFollow) {
  FlowOptions options;
  options.idle_ns = 10e9;
  Workers workers(2, options, true, by_flow);
  workers.say({.at_s = 1});
  for (int s = 1; s <= 15; ++s) workers.interval(s);
  EXPECT_TRUE(workers.flows.empty());
  workers.interval(16);
  ASSERT_EQ(workers.flows.size(), 1u);
  EXPECT_FALSE(workers.flows[0].contains("split"));
  EXPECT_EQ(workers.flows[0].at("reason"), "idle");
}

TEST(FlowJoin, TheEndOfTheRunPublishesWhatWaits) {
  FlowOptions options;
  Workers workers(2, options, true, by_flow);
  workers.say({.at_s = 1});
  workers.end(2);
  ASSERT_EQ(workers.flows.size(), 1u);
  EXPECT_EQ(workers.flows[0].at("reason"), "end");
}

TEST(FlowJoin, HalvesFarApartInTimeAreTwoFlows) {
  FlowOptions options;
  options.idle_ns = 1e9;
  Workers workers(2, options, true, [](const engine_packet& p) { return p.src_port == 80 ? 1u : 0u; });
  workers.say({.at_s = 1});
  for (int s = 2; s <= 20; ++s) workers.interval(s);
  workers.say(back({.at_s = 20}));
  workers.end(30);
  EXPECT_EQ(workers.flows.size(), 2u);
}

TEST(FlowJoin, TheRoundTripIsFoundAcrossWorkers) {
  FlowOptions options;
  Workers workers(2, options, true, [](const engine_packet& p) { return p.src_port == 80 ? 1u : 0u; });
  const Say c{.proto = 6, .flags = S, .seq = 7};
  workers.say(c);
  Say answer = back(c);
  answer.at_s = 0.025;
  answer.flags = S | A;
  answer.ack = 8;
  workers.say(answer);
  Say third = c;
  third.at_s = 0.030;
  third.flags = A;
  third.seq = 8;
  third.ack = 1;
  workers.say(third);
  workers.end(1);
  ASSERT_EQ(workers.flows.size(), 1u);
  EXPECT_EQ(workers.flows[0].at("rtt_ms"), "30");
  EXPECT_EQ(workers.flows[0].at("state"), "established");
  EXPECT_EQ(workers.flows[0].at("split"), "true");
}

TEST(FlowJoin, AFloodOfHalvesStaysBounded) {
  FlowOptions options;
  options.max_flows = 1000;
  auto shared = std::make_shared<FlowOptions>(options);
  FlowPart total(shared, 0);
  std::size_t published = 0;
  constexpr std::size_t kIntervals = 30, kEach = 10'000;
  for (std::size_t k = 0; k < kIntervals; ++k) {
    FlowPart part(shared, kEach);
    FlowTable table(shared);
    table.attach(part);
    for (std::size_t i = 0; i < kEach; ++i)
      table.add(packet_of({.at_s = static_cast<double>(k),
                           .from_port = static_cast<std::uint16_t>(i),
                           .to_port = static_cast<std::uint16_t>(k)}));
    table.finish(static_cast<double>(k) * 1e9);
    total.carry(part);
    published += total.size();
  }
  EXPECT_EQ(kIntervals * kEach - published, plugins::FlowHalves::kMostHeld);
}

// --- the plugin's own fields
// ------------------------------------------------------------------------------------------

void set_field(engine_flow& flow, const plugins::FlowFields& fields, std::size_t i, const void* value,
               std::size_t size) {
  auto* user = reinterpret_cast<std::byte*>(&flow + 1);
  std::uint64_t set = 0;
  std::memcpy(&set, user, sizeof set);
  set |= std::uint64_t{1} << i;
  std::memcpy(user, &set, sizeof set);
  std::memcpy(user + fields.all()[i].offset, value, size);
}

TEST(FlowFields, EveryTypeIsPublishedIfItIsSet) {
  using plugins::FieldType;
  FlowOptions options;
  options.fields = plugins::FlowFields({{"a", FieldType::u8},
                                        {"b", FieldType::u64},
                                        {"c", FieldType::string, 7},
                                        {"d", FieldType::f64},
                                        {"e", FieldType::boolean},
                                        {"f", FieldType::ip},
                                        {"g", FieldType::i64},
                                        {"h", FieldType::u32},
                                        {"m", FieldType::mac},
                                        {"n", FieldType::time},
                                        {"never", FieldType::u16}});
  for (const auto& field : options.fields.all()) {
    const bool wide = field.type == FieldType::u64 || field.type == FieldType::ip || field.type == FieldType::f64;
    EXPECT_EQ(wide ? field.offset % 8 : 0, 0) << field.name;
  }
  Flows flows(options);
  flows.table.seat(1'000'000'000'000, false);
  engine_flow& flow = *flows.say({});
  const std::uint8_t a = 255, e = 1, mac[6] = {2, 0, 0, 0, 0xab, 1};
  const std::uint64_t b = UINT64_MAX;
  const char c[] = "\x03\x00sni";
  const double d = 0.5, n = 5e9;
  const engine_addr f = lab::address("2001:db8::1");
  const std::int64_t g = -9;
  const std::uint32_t h = 70'000;
  set_field(flow, options.fields, 0, &a, sizeof a);
  set_field(flow, options.fields, 1, &b, sizeof b);
  set_field(flow, options.fields, 2, c, 5);
  set_field(flow, options.fields, 3, &d, sizeof d);
  set_field(flow, options.fields, 4, &e, sizeof e);
  set_field(flow, options.fields, 5, &f, sizeof f);
  set_field(flow, options.fields, 6, &g, sizeof g);
  set_field(flow, options.fields, 7, &h, sizeof h);
  set_field(flow, options.fields, 8, mac, sizeof mac);
  set_field(flow, options.fields, 9, &n, sizeof n);
  const Line line = flows.finish(1)[0];
  EXPECT_EQ(line.at("user.a"), "255");
  EXPECT_EQ(line.at("user.b"), "18446744073709551615");
  EXPECT_EQ(line.at("user.c"), "sni");
  EXPECT_EQ(line.at("user.d"), "0.5");
  EXPECT_EQ(line.at("user.e"), "true");
  EXPECT_EQ(line.at("user.f"), "2001:db8::1");
  EXPECT_EQ(line.at("user.g"), "-9");
  EXPECT_EQ(line.at("user.h"), "70000");
  EXPECT_EQ(line.at("user.m"), "02:00:00:00:ab:01");
  EXPECT_EQ(line.at("user.n"), "1005000000000");
  EXPECT_EQ(line.at("first"), "1000000000000");
  EXPECT_FALSE(line.contains("user.never"));
}

TEST(FlowFields, ANewFlowHasNoneOfTheLastOnesInItsRow) {
  FlowOptions options;
  options.max_flows = 1;
  options.fields = plugins::FlowFields({{"a", plugins::FieldType::u8}});
  Flows flows(options);
  const std::uint8_t a = 1;
  set_field(*flows.say({}), options.fields, 0, &a, sizeof a);
  flows.say({.at_s = 1, .from_port = 7});
  const std::vector<Line> lines = flows.finish(2);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].contains("user.a"));
  EXPECT_FALSE(lines[1].contains("user.a"));
}

TEST(FlowFields, AJoinedFlowHasThoseOfBothHalves) {
  FlowOptions options;
  options.fields = plugins::FlowFields({{"a", plugins::FieldType::u8}, {"b", plugins::FieldType::u8}});
  Workers workers(2, options, true, [](const engine_packet& p) { return p.src_port == 80 ? 1u : 0u; });
  const std::uint8_t one = 1, two = 2;
  set_field(*workers.say({}), options.fields, 0, &one, 1);
  set_field(*workers.say(back({})), options.fields, 1, &two, 1);
  workers.end(1);
  ASSERT_EQ(workers.flows.size(), 1u);
  EXPECT_EQ(workers.flows[0].at("user.a"), "1");
  EXPECT_EQ(workers.flows[0].at("user.b"), "2");
}

}  // namespace
