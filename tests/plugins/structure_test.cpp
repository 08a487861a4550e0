// The counting structures, without Lua: what they count, how they merge, what they publish when they are full.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "plugins/counter.h"
#include "plugins/record.h"
#include "plugins/topk.h"
#include "tests/plugins/lab.h"
#include "tests/plugins/published.h"

using plugins::Counter;
using plugins::KeySpec;
using plugins::TopK;
using plugins::ValueKey;
using published::packet;
using published::Published;
using published::published_by;

namespace {

TEST(Key, NamesEveryFieldItTakesAndRefusesOthers) {
  for (const std::string& name : KeySpec::known_fields()) EXPECT_EQ(KeySpec::of({name}).by_value(), false);
  EXPECT_THROW(KeySpec::of({"payload"}), engine::SetupError);
  EXPECT_THROW(KeySpec::of({"proto", "proto"}), engine::SetupError);
  EXPECT_THROW(KeySpec::of({"_off"}), engine::SetupError);
}

TEST(Key, GivesBackEveryFieldInAnyOrder) {
  std::vector<std::string> names = KeySpec::known_fields();
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::shuffle(names.begin(), names.end(), random);
    const std::vector<std::string> some(names.begin(), names.begin() + 1 + round % 12);
    engine_packet p;
    for (std::size_t i = 0; i < sizeof p; ++i) {
      lab::set(p, i, static_cast<std::uint8_t>(random()));
    }
    LAB_SET(p, is_fragment, true);
    const std::map<std::string, std::uint64_t> truth = {
        {"proto", p.proto},       {"src_port", p.src_port}, {"dst_port", p.dst_port}, {"src4", p.src4},
        {"ttl", p.ttl},           {"tcp_seq", p.tcp_seq},   {"vlan", p.vlan},         {"len", p.len},
        {"eth_type", p.eth_type}, {"queue", p.queue}};
    Counter counter(KeySpec::of(some), 4);
    counter.add(p);
    const std::string line = published_by(counter)[0];
    for (const std::string& name : some) {
      const auto known = truth.find(name);
      const std::string wanted = " " + name + "=" + (known != truth.end() ? std::to_string(known->second) + " " : "");
      EXPECT_NE(line.find(wanted), std::string::npos) << line << "\n" << wanted;
    }
  }
}

TEST(Counter, CountsPacketsAndBytesPerKeyLargestFirst) {
  Counter counter(KeySpec::of({"src", "proto", "dst_port"}));
  for (int i = 0; i < 3; ++i) counter.add(packet(1, 17, 53, 60));
  for (int i = 0; i < 5; ++i) counter.add(packet(2, 6, 443, 1500));
  counter.add(packet(1, 6, 53, 60));
  EXPECT_EQ(published_by(counter), (Published{"entries: src=10.2 proto=6 dst_port=443 packets=5 bytes=7500",
                                              "entries: src=10.1 proto=17 dst_port=53 packets=3 bytes=180",
                                              "entries: src=10.1 proto=6 dst_port=53 packets=1 bytes=60"}));
}

TEST(Counter, CountsValuesOfEveryKind) {
  Counter counter(KeySpec::values());
  counter.add_value(ValueKey("www.example.org"), 3);
  counter.add_value(ValueKey("www.example.orh"), 2);
  counter.add_value(ValueKey(""), 1);
  counter.add_value(ValueKey(53.0), 7);
  counter.add_value(ValueKey(-0.0), 1);
  counter.add_value(ValueKey(0.0), 1);
  counter.add_value(ValueKey(lab::v4(10, 0, 0, 9)), 4);
  counter.add_value(ValueKey(std::string(300, 'x')), 9);
  counter.add_value(ValueKey(std::string(253, 'x')), 1);
  EXPECT_EQ(published_by(counter),
            (Published{"entries: key='" + std::string(253, 'x') + "' count=10", "entries: key=53.000000 count=7",
                       "entries: key=10.9 count=4", "entries: key='www.example.org' count=3",
                       "entries: key='www.example.orh' count=2", "entries: key=0.000000 count=2",
                       "entries: key='' count=1"}));
}

TEST(Counter, PutsWhatComesAfterTheLastKeyIntoTheOverflow) {
  Counter counter(KeySpec::of({"src"}), 2);
  for (unsigned host : {1, 2, 3, 1, 4}) counter.add(packet(host));
  EXPECT_EQ(published_by(counter),
            (Published{"entries: src=10.1 packets=2 bytes=200", "entries: src=10.2 packets=1 bytes=100",
                       "overflow: packets=2 bytes=200"}));
  counter.clear();
  EXPECT_TRUE(counter.empty());
  EXPECT_TRUE(published_by(counter).empty());
}

TEST(Counter, MergesExactlyAndBeyondAWorkersLimit) {
  std::map<unsigned, int> truth;
  std::vector<Counter> parts;
  std::mt19937 random(1);
  for (int worker = 0; worker < 4; ++worker) {
    parts.emplace_back(KeySpec::of({"src"}), 3000);
    for (int i = 0; i < 5000; ++i) {
      const unsigned host = worker * 2000 + random() % 2500;
      ++truth[host];
      parts.back().add(packet(host));
    }
  }
  const auto merged = parts[0].make_empty(), reverse = parts[0].make_empty();
  for (const auto& part : parts) merged->merge(part);
  std::for_each(parts.rbegin(), parts.rend(), [&](const auto& part) { reverse->merge(part); });
  const Published lines = published_by(*merged);
  EXPECT_EQ(lines.size(), truth.size());
  EXPECT_EQ(lines, published_by(*reverse)) << "the order of merging does not show";
  std::uint64_t sum = 0;
  for (const auto& line : lines) sum += std::stoul(line.substr(line.find("packets=") + 8));
  EXPECT_EQ(sum, 20000u);
}

TEST(Part, SaturatesItsCountsInsteadOfWrapping) {
  constexpr std::uint64_t most = UINT64_MAX;
  Counter counter(KeySpec::values(), 1), other(KeySpec::values(), 1);
  TopK top(KeySpec::values(), 3), second(KeySpec::values(), 3);
  for (const std::uint64_t n : {most - 1, std::uint64_t{5}}) {
    for (const char* key : {"a", "b"}) counter.add_value(ValueKey(key), n);
    top.add_value(ValueKey("a"), n);
  }
  other.add_value(ValueKey("a"), most);
  other.add_value(ValueKey("b"), 7);
  second.add_value(ValueKey("a"), 7);
  const auto merged = counter.make_empty(), merged_top = top.make_empty();
  for (const Counter* part : {&counter, &other}) merged->merge(*part);
  for (const TopK* part : {&top, &second}) merged_top->merge(*part);
  const std::string text = std::to_string(most);
  const Published expected = {"entries: key='a' count=" + text, "overflow: count=" + text};
  EXPECT_EQ(published_by(counter), expected);
  EXPECT_EQ(published_by(*merged), expected);
  EXPECT_EQ(published_by(top), Published{"entries: key='a' count=" + text + " error=0"});
  EXPECT_EQ(published_by(*merged_top), Published{"entries: key='a' count=" + text + " error=0"});
}

TEST(TopK, GoesOnWhenAllItTracksIsSaturated) {
  TopK top(KeySpec::values(), 1, 4);
  for (int i = 0; i < 40; ++i) top.add_value(ValueKey(static_cast<double>(i)), UINT64_MAX);
  EXPECT_LE(top.size(), 4u);
  EXPECT_EQ(top.floor(), UINT64_MAX);
}

TEST(Part, HasAShapeThatNamesAllThatMustBeEqualToMerge) {
  const auto values = KeySpec::values();
  const auto source = KeySpec::of({"src"}), both = KeySpec::of({"src", "proto"});
  EXPECT_EQ(Counter(source, 10).shape(), Counter(source, 10).shape());
  EXPECT_EQ(Counter(source, 10).shape(), Counter(source, 10).make_empty()->shape());
  EXPECT_EQ(TopK(both, 3).shape(), TopK(both, 3).make_empty()->shape());
  const std::string shapes[] = {Counter(source, 10).shape(), Counter(source, 11).shape(), Counter(both, 10).shape(),
                                Counter(values, 10).shape(), TopK(source, 10).shape(),    TopK(source, 11).shape(),
                                TopK(values, 10).shape(),    TopK(both, 10).shape()};
  EXPECT_EQ(std::set<std::string>(std::begin(shapes), std::end(shapes)).size(), std::size(shapes));
}

TEST(RecordSchema, IsEqualWithTheSameFieldsInTheSameOrder) {
  using plugins::FieldType;
  const plugins::RecordSchema one{"r", {{"a", FieldType::u8}, {"b", FieldType::ip, true}}};
  plugins::RecordSchema two = one;
  EXPECT_EQ(one, two);
  two.fields[1].optional = false;
  EXPECT_NE(one, two);
}

TEST(Counter, CanBeUsedAgainAfterEachClear) {
  Counter counter(KeySpec::of({"src"}), 1000);
  for (unsigned round = 0; round < 200; ++round) {
    const unsigned keys = round % 3 == 0 ? 1000 : round % 7;
    for (unsigned i = 0; i < keys; ++i) counter.add(packet(round * 31 + i));
    for (unsigned i = 0; i < keys; ++i) counter.add(packet(round * 31 + i));
    ASSERT_EQ(counter.size(), keys);
    for (const auto& line : published_by(counter)) ASSERT_NE(line.find(" packets=2 "), std::string::npos) << line;
    counter.clear();
  }
}

// A stream in which host h comes with a weight of about 1/h, and its true counts.
std::vector<unsigned> skewed(std::size_t packets, unsigned hosts, std::uint32_t seed,
                             std::map<std::string, std::uint64_t>& truth) {
  std::mt19937 random(seed);
  std::vector<unsigned> stream;
  for (std::size_t i = 0; i < packets; ++i) {
    const double u = (random() % 1000000 + 1) / 1e6;
    const auto host =
        static_cast<unsigned>(std::min<double>(hosts - 1, 1 / u * 3)) + (random() % 4 == 0 ? random() % hosts : 0);
    stream.push_back(host % hosts);
    ++truth[std::to_string(host % hosts)];
  }
  return stream;
}

// key='n' count=c error=e: n's true count lies in [c - e, c].
void expect_bounds(const Published& lines, std::map<std::string, std::uint64_t>& truth) {
  for (const auto& line : lines) {
    const auto key_at = line.find('\'') + 1;
    const std::string key = line.substr(key_at, line.find('\'', key_at) - key_at);
    const auto count = std::stoull(line.substr(line.find("count=") + 6));
    const auto error = std::stoull(line.substr(line.find("error=") + 6));
    EXPECT_LE(truth[key], count) << line;
    EXPECT_GE(truth[key] + error, count) << line;
  }
}

TEST(TopK, IsExactWhileItHoldsEveryKey) {
  TopK top(KeySpec::of({"src"}), 2);
  for (unsigned host = 1; host <= 100; ++host) {
    for (unsigned i = 0; i < host; ++i) top.add(packet(host));
  }
  EXPECT_EQ(published_by(top), (Published{"entries: src=10.100 packets=100 bytes=10000 error=0",
                                          "entries: src=10.99 packets=99 bytes=9900 error=0"}));
}

TEST(TopK, BoundsItsErrorWhenThereAreMoreKeysThanItTracks) {
  std::map<std::string, std::uint64_t> truth;
  TopK top(KeySpec::values(), 20, 256);
  for (const unsigned host : skewed(200000, 20000, 3, truth)) top.add_value(ValueKey(std::to_string(host)), 1);
  const Published lines = published_by(top);
  ASSERT_EQ(lines.size(), 20u);
  expect_bounds(lines, truth);
  // Space-Saving's promise: no error above packets / tracked keys, here with the slack of evicting by halves.
  EXPECT_LE(top.floor(), 4 * 200000u / 256);
  EXPECT_GT(top.floor(), 0u);
  const auto most = std::max_element(truth.begin(), truth.end(), [](auto& a, auto& b) { return a.second < b.second; });
  EXPECT_NE(lines[0].find("'" + most->first + "'"), std::string::npos) << lines[0];
}

TEST(TopK, TakesWeights) {
  std::map<std::string, std::uint64_t> truth;
  TopK top(KeySpec::values(), 10, 64);
  std::mt19937 random(5);
  for (int i = 0; i < 50000; ++i) {
    const std::string key = std::to_string(random() % 10 == 0 ? random() % 5 : random() % 5000);
    const std::uint64_t weight = random() % 1500;
    truth[key] += weight;
    top.add_value(ValueKey(key), weight);
  }
  expect_bounds(published_by(top), truth);
}

TEST(TopK, AddsUpErrorBoundsWhenMergingInAnyOrder) {
  std::map<std::string, std::uint64_t> truth;
  std::vector<TopK> parts;
  for (std::uint32_t worker = 0; worker < 4; ++worker) {
    parts.emplace_back(KeySpec::values(), 20, 256);
    for (const unsigned host : skewed(50000, 5000, worker, truth))
      parts.back().add_value(ValueKey(std::to_string(host)), 1);
  }
  const auto merged = parts[0].make_empty(), reverse = parts[0].make_empty();
  for (const auto& part : parts) merged->merge(part);
  std::for_each(parts.rbegin(), parts.rend(), [&](const auto& part) { reverse->merge(part); });
  expect_bounds(published_by(*merged), truth);
  EXPECT_EQ(published_by(*merged), published_by(*reverse));
}

TEST(TopK, SurvivesNothingButNewKeys) {
  TopK top(KeySpec::of({"src", "dst_port"}), 5, 100);
  for (unsigned i = 0; i < 300000; ++i) top.add(packet(i & 0xffff, 17, static_cast<std::uint16_t>(i >> 16)));
  EXPECT_EQ(published_by(top).size(), 5u);
  EXPECT_LE(top.size(), 100u);
  top.clear();
  EXPECT_EQ(top.floor(), 0u);
  EXPECT_TRUE(top.empty());
}

}  // namespace
