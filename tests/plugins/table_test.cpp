// The tables that live longer than an interval, without Lua: what they hold, when they forget, what they publish.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "plugins/map_table.h"
#include "plugins/rate_table.h"
#include "plugins/row_table.h"
#include "plugins/set_table.h"
#include "tests/plugins/published.h"

using plugins::KeySpec;
using plugins::MapPart;
using plugins::MapTable;
using plugins::RatePart;
using plugins::RateTable;
using plugins::RowTable;
using plugins::SetPart;
using plugins::SetTable;
using plugins::ValueKey;
using published::packet_at;
using published::Published;
using published::published_by;

namespace {

constexpr double kSecond = 1e9;

// Against a plain model: every find, insert and erase in any order, with expiry, in a table that is often full.
TEST(RowTable, DoesWhatAPlainModelDoes) {
  struct Entry {
    double touched;
    std::uint64_t payload;
  };
  constexpr double kTtl = 50;
  for (const double ttl : {0.0, kTtl}) {
    RowTable table(1, 8, 300, ttl);
    std::map<std::uint64_t, Entry> model;
    std::mt19937 random(5);
    double now = -100;
    const auto due = [&](const Entry& entry) { return ttl != 0 && entry.touched + ttl <= now; };
    for (int i = 0; i < 200'000; ++i) {
      now += random() % 4 == 0 ? random() % 3 : 0;
      const std::uint64_t key = random() % 500;
      std::erase_if(model, [&](const auto& entry) { return due(entry.second); });
      const auto known = model.find(key);
      const unsigned what = random() % 8;
      if (what < 4) {
        const auto [row, fresh] = table.find_or_insert(&key, 1, now);
        if (known == model.end() && model.size() == 300) {
          ASSERT_EQ(row, RowTable::kNone);
          continue;
        }
        ASSERT_NE(row, RowTable::kNone);
        ASSERT_EQ(fresh, known == model.end());
        auto& value = *reinterpret_cast<std::uint64_t*>(table.payload(row));
        ASSERT_EQ(value, fresh ? 0 : known->second.payload) << "a fresh row is zero";
        value = random();
        model[key] = {now, value};
      } else {
        const std::uint32_t row = what < 6 ? table.find(&key, 1, now) : table.peek(&key, 1, now);
        ASSERT_EQ(row != RowTable::kNone, known != model.end());
        if (row == RowTable::kNone) continue;
        ASSERT_EQ(*reinterpret_cast<std::uint64_t*>(table.payload(row)), known->second.payload);
        if (what < 6) known->second.touched = now;
        if (what == 5) {
          const std::uint32_t stamp = table.at(row).stamp;
          ASSERT_EQ(stamp % 2, 1u);
          table.erase(row);
          ASSERT_NE(table.at(row).stamp, stamp);
          model.erase(known);
        }
      }
      if (i % 1000 == 0) {
        table.expire(RowTable::kNone);
        ASSERT_EQ(table.size(), model.size());
        std::set<std::uint64_t> keys;
        table.for_each([&](std::uint32_t r) { keys.insert(*table.key(r)); });
        ASSERT_EQ(keys.size(), model.size());
        for (const auto& [k, entry] : model) ASSERT_TRUE(keys.contains(k));
      }
    }
    EXPECT_EQ(table.expired() != 0, ttl != 0);
  }
}

TEST(RowTable, ForgetsByTimeStampsAloneHoweverOftenItIsAskedTo) {
  std::vector<std::string> runs;
  for (const std::uint32_t step : {0u, 1u, 7u, RowTable::kNone}) {
    RowTable table(1, 0, 60, 1000);
    std::mt19937 random(9);
    std::string seen;
    for (int i = 0; i < 50'000; ++i) {
      const double now = i * 10 - (i % 5) * 30;  // some come late: time does not go back for them
      const std::uint64_t key = random() % 200;
      if (step != 0) table.expire(step);
      const auto found = table.find_or_insert(&key, 1, now);
      seen += found.row == RowTable::kNone ? 'x' : found.fresh ? '+' : '.';
    }
    table.expire(RowTable::kNone);
    runs.push_back(seen + std::to_string(table.size()) + " " + std::to_string(table.expired()));
  }
  EXPECT_NE(runs[0].find('x'), std::string::npos);
  for (const auto& run : runs) EXPECT_TRUE(run == runs[0]);
}

TEST(Map, CountsWhatHappensAndRefusesWhenItIsFull) {
  MapTable map(KeySpec::of({"src"}), 8, 2, 10 * kSecond);
  MapPart part("map"), next("map");
  map.attach(part);
  EXPECT_TRUE(map.put(packet_at(1, 0)).fresh);
  EXPECT_FALSE(map.put(packet_at(1, 5 * kSecond)).fresh);
  EXPECT_TRUE(map.put(packet_at(2, 6 * kSecond)).fresh);
  EXPECT_EQ(map.put(packet_at(3, 7 * kSecond)).row, RowTable::kNone) << "nothing is thrown out";
  EXPECT_NE(map.get(packet_at(1, 7 * kSecond)), RowTable::kNone);
  EXPECT_TRUE(map.put(packet_at(3, 16 * kSecond)).fresh) << "2 was last touched 10 s ago";
  EXPECT_EQ(map.get(packet_at(2, 16 * kSecond)), RowTable::kNone);
  EXPECT_TRUE(map.remove(packet_at(1, 16 * kSecond)));
  EXPECT_FALSE(map.remove(packet_at(1, 16 * kSecond)));
  map.advance(17 * kSecond);
  EXPECT_EQ(published_by(part), (Published{"entries=1", "added=3", "expired=1", "deleted=1", "refused=1"}));
  map.attach(next);
  map.advance(26 * kSecond);
  EXPECT_EQ(published_by(next), (Published{"entries=0", "added=0", "expired=1", "deleted=0", "refused=0"}));
  const auto merged = part.make_empty();
  merged->merge(part);
  merged->merge(next);
  EXPECT_EQ(published_by(*merged), (Published{"entries=1", "added=3", "expired=2", "deleted=1", "refused=1"}));
}

TEST(Map, TakesValuesAndPrefetchesLargeTables) {
  MapTable values(KeySpec::values(), 0, 100, 0);
  MapPart part("map");
  values.attach(part);
  for (const char* name : {"a", "b", "a", ""}) values.put(ValueKey(name), 0);
  values.put(ValueKey(1.0), 0);
  values.put(ValueKey(lab::v4(1, 2, 3, 4)), 0);
  EXPECT_EQ(part.added, 5u);

  constexpr unsigned kMany = 64 * 1500;
  MapTable large(KeySpec::of({"src", "dst_port"}), 16, kMany, 1e12);
  large.attach(part);
  std::vector<engine_packet> batch(64);
  std::vector<std::uint16_t> odd;
  for (std::uint16_t i = 1; i < 64; i += 2) odd.push_back(i);
  for (unsigned i = 0; i < kMany; i += 64) {
    for (unsigned j = 0; j < 64; ++j) {
      const engine_packet p = packet_at(i + j, i);
      std::memcpy(static_cast<void*>(&batch[j]), &p, sizeof p);
    }
    if (i % 128 == 0) {
      large.before_batch(batch.data(), nullptr, 64);
    } else {
      large.before_batch(batch.data(), odd.data(), static_cast<std::uint32_t>(odd.size()));
    }
    for (const auto& p : batch) ASSERT_TRUE(large.put(p).fresh);
  }
  EXPECT_EQ(large.rows().size(), kMany);
  for (const auto& p : batch) EXPECT_FALSE(large.put(p).fresh);
}

TEST(Set, SaysWhatIsNewAndJoinsWorkersAndTimeExactly) {
  const KeySpec key = KeySpec::of({"src"});
  constexpr unsigned kWorkers = 8;
  std::vector<std::unique_ptr<SetTable>> tables;
  std::vector<SetPart> parts;
  for (unsigned i = 0; i < kWorkers; ++i) {
    tables.push_back(std::make_unique<SetTable>(key, 10'000, 0.0, true));
    parts.emplace_back(key, 10'000, true);
  }
  for (unsigned i = 0; i < kWorkers; ++i) tables[i]->attach(parts[i]);
  const auto total = parts[0].make_empty();
  EXPECT_TRUE(total->cumulative());
  std::set<unsigned> truth;
  std::mt19937 random(2);
  for (int interval = 0; interval < 10; ++interval) {
    const std::size_t before = truth.size();
    for (int i = 0; i < 2000; ++i) {
      const unsigned host = random() % 9000;
      truth.insert(host);
      const bool known = tables[host % 3]->has(packet_at(host, 0));
      EXPECT_EQ(tables[host % 3]->add(packet_at(host, 0)), known ? SetTable::Added::known : SetTable::Added::fresh);
      if (i % 4 == 0) tables[3 + random() % 5]->add(packet_at(host, 0));
    }
    const auto merged = parts[0].make_empty();
    for (auto& part : parts) {
      merged->merge(part);
      part.clear();
    }
    total->carry(*merged);
    const Published lines = published_by(*total);
    EXPECT_EQ(lines[0], "members=" + std::to_string(truth.size()));
    EXPECT_EQ(lines[1], "new=" + std::to_string(truth.size() - before));
    EXPECT_EQ(lines.size(),
              std::min<std::size_t>(truth.size() - before, 1000) + (truth.size() - before > 1000 ? 3 : 2));
  }
  EXPECT_EQ(total->lines(), 1u);
  total->finish();
  EXPECT_EQ(total->lines(), 0u) << "all of it has been published";
}

TEST(Set, ListsTheNewOnesInTheirOrderAndCountsWhatIsFull) {
  SetTable set(KeySpec::values(), 3, 0, true);
  SetPart part(KeySpec::values(), 3, true);
  set.attach(part);
  const ValueKey given("given");
  EXPECT_TRUE(set.give(given.data, given.words));
  EXPECT_TRUE(set.has(given, 0));
  EXPECT_EQ(set.add(given, 0), SetTable::Added::known) << "members from the beginning are not new";
  EXPECT_EQ(set.add(ValueKey("b"), 0), SetTable::Added::fresh);
  EXPECT_EQ(set.add(ValueKey("a"), 0), SetTable::Added::fresh);
  EXPECT_EQ(set.add(ValueKey("c"), 0), SetTable::Added::refused);
  EXPECT_EQ(set.add(ValueKey("a"), 0), SetTable::Added::known);
  const auto total = part.make_empty();
  total->carry(part);
  EXPECT_EQ(published_by(*total),
            (Published{"members=2", "new=2", "refused=1", "entries: key='a'", "entries: key='b'"}));
  part.clear();
  total->carry(part);
  EXPECT_EQ(published_by(*total), (Published{"members=2", "new=0"}));
}

TEST(Set, ForgetsAfterItsTtl) {
  SetTable set(KeySpec::values(), 3, 10 * kSecond, false);
  SetPart part(KeySpec::values(), 3, false);
  set.attach(part);
  EXPECT_EQ(set.add(ValueKey("a"), 0), SetTable::Added::fresh);
  EXPECT_EQ(set.add(ValueKey("a"), 9 * kSecond), SetTable::Added::known);
  EXPECT_TRUE(set.has(ValueKey("a"), 18 * kSecond));
  EXPECT_EQ(set.add(ValueKey("a"), 28 * kSecond), SetTable::Added::fresh) << "10 s after the last touch";
  set.advance(40 * kSecond);
  EXPECT_EQ(set.size(), 0u);
  EXPECT_TRUE(part.empty()) << "what forgets publishes nothing";
}

TEST(Rate, IsExactOverTheLastSevenToEightEighthsOfTheWindow) {
  std::mt19937 random(4);
  RateTable table(KeySpec::of({"src"}), 100, 8 * kSecond, 1e9, false);
  RatePart part(KeySpec::of({"src"}), 100, 8 * kSecond, 1e9, false);
  table.attach(part);
  std::vector<double> times;
  double now = 0;
  for (int i = 0; i < 20'000; ++i) {
    now += random() % 1000 == 0 ? random() % 20 * kSecond : random() % 100 * 1e6;
    times.push_back(now);
    table.add(packet_at(1, now));
    const double begin = (std::floor(now / kSecond) - 7) * kSecond;  // a slot is one second
    const auto first = std::lower_bound(times.begin(), times.end(), begin);
    const double truth = static_cast<double>(times.end() - first) * 1e9 / (now - begin);
    ASSERT_NEAR(table.rate(packet_at(1, now)), truth, truth * 1e-9);
  }
  EXPECT_EQ(table.rate(packet_at(2, now)), 0);
  EXPECT_EQ(table.rate(packet_at(1, now + 8 * kSecond)), 0);
}

TEST(Rate, TellsACrossingOnceUntilTheRateHasFallen) {
  RateTable table(KeySpec::of({"src"}), 100, kSecond, 100, true);
  RatePart part(KeySpec::of({"src"}), 100, kSecond, 100, true);
  table.attach(part);
  RateTable::Event event;
  double now = 10 * kSecond;
  const auto steady = [&](double per_second, int events) {
    unsigned told = 0;
    for (int i = 0; i < events; ++i) told += table.add(packet_at(7, now += 1e9 / per_second)) ? 1 : 0;
    return told;
  };
  EXPECT_EQ(steady(80, 400), 0u);
  EXPECT_EQ(steady(120, 600), 1u);
  EXPECT_EQ(steady(97, 400), 0u) << "not below nine tenths";
  EXPECT_EQ(steady(120, 600), 0u);
  EXPECT_EQ(steady(70, 400), 0u);
  EXPECT_EQ(steady(120, 600), 1u);
  now += 5 * kSecond;  // quiet: forgotten
  EXPECT_EQ(steady(120, 600), 1u);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(table.take(event));
    EXPECT_GE(event.rate, 100);
    EXPECT_LT(event.rate, 125);
    engine_packet told = packet_at(0, 0);
    table.key().unpack(event.key, told);
    const engine_packet wanted = packet_at(7, 0);
    EXPECT_EQ(std::memcmp(&told.src, &wanted.src, sizeof told.src), 0);
  }
  EXPECT_FALSE(table.take(event));
}

TEST(Rate, BoundsItsQueueAndItsKeysAndCountsTheRest) {
  RateTable table(KeySpec::of({"src"}), 300, kSecond, 1, true);
  RatePart part(KeySpec::of({"src"}), 300, kSecond, 1, true);
  table.attach(part);
  unsigned told = 0;
  for (unsigned host = 0; host < 310; ++host) told += table.add(packet_at(host, kSecond)) ? 1 : 0;
  EXPECT_EQ(told, 256u);
  table.advance(kSecond);
  const Published lines = published_by(part);
  EXPECT_EQ(lines[lines.size() - 2], "refused=10");
  EXPECT_EQ(lines[lines.size() - 1], "untold=44");
  EXPECT_EQ(lines.size(), 302u);
}

TEST(Rate, AddsUpOverWorkersAndPublishesWhatIsAboveTogether) {
  const KeySpec key = KeySpec::values();
  constexpr unsigned kWorkers = 8;
  std::vector<RatePart> parts;
  std::vector<std::unique_ptr<RateTable>> tables;
  RatePart all(key, 10, kSecond, 100, false);
  RateTable one(key, 10, kSecond, 100, false);
  one.attach(all);
  for (unsigned i = 0; i < kWorkers; ++i) {
    parts.emplace_back(key, 10, kSecond, 100.0, false);
    tables.push_back(std::make_unique<RateTable>(key, 10, kSecond, 100.0, false));
  }
  for (unsigned i = 0; i < kWorkers; ++i) tables[i]->attach(parts[i]);
  // "heavy" 160 a second over all, 20 on each; "light" 80; "old" was heavy three seconds ago.
  for (unsigned i = 0; i < 480; ++i) {
    const double now = i * 1e9 / 160;
    const auto add = [&](const char* name, std::uint64_t n) {
      one.add(ValueKey(name), n, now);
      tables[i % kWorkers]->add(ValueKey(name), n, now);
    };
    add("heavy", 1);
    if (i % 2 == 0) add("light", 1);
    if (i < 160) add("old", 1000);
  }
  one.advance(3 * kSecond);
  const auto merged = parts[0].make_empty();
  for (unsigned i = 0; i < kWorkers; ++i) {
    tables[i]->advance(3 * kSecond);
    EXPECT_EQ(parts[i].lines(), 0u) << "none is above on one worker";
    merged->merge(parts[i]);
  }
  EXPECT_EQ(published_by(*merged), published_by(all));
  EXPECT_EQ(merged->lines(), 1u);
  ASSERT_EQ(published_by(*merged).size(), 1u);
  EXPECT_EQ(published_by(*merged)[0], "entries: key='heavy' rate=160.000000");
  tables[0]->advance(3 * kSecond);
  const Published again = published_by(parts[0]);
  tables[0]->advance(3 * kSecond);
  EXPECT_EQ(published_by(parts[0]), again) << "a part that could not be sent is filled anew, not twice";
}

}  // namespace
