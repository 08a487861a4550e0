// The collector over real rings, with workers played by the test: what comes out as JSON lines, and what is merged.
#include "engine/results/collector.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/results/json_lines.h"
#include "tests/results/fake_worker.h"

namespace {

using engine::Collector;
using engine::CollectorConfig;
using engine_tests::FakeWorker;
using engine_tests::Values;
using plugins::FieldType;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kEpoch = 1'700'000'000 * kSecond;  // 2023-11-14T22:13:20Z

class CollectorTest : public testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    file_ = testing::TempDir() + "collector_test." + std::to_string(::getpid());
    config_.epoch_ns = kEpoch;
    give_records({{"number", {{"n", FieldType::u64}}}});
    config_.log = [this](int level, std::string_view plugin, std::string_view text) {
      logged_.push_back(std::to_string(level) + " " + std::string(plugin) + ": " + std::string(text));
    };
    config_.on_failure = [this](const std::string& line) { failures_.push_back(line); };
    config_.on_reader_gone = [this] { ++gone_; };
  }
  void TearDown() override { ::unlink(file_.c_str()); }
  void give_records(std::vector<plugins::RecordSchema> records) {
    plugin_ = engine_tests::FakePlugin(std::move(records));
    config_.plugins = {{"p", kSecond, plugin_.registry.get()}};
  }

  Collector& make(std::size_t workers, std::string where = {}) {
    std::vector<std::unique_ptr<engine::Output>> outputs;
    const auto when_full = config_.in_order ? engine::Sink::WhenFull::wait : engine::Sink::WhenFull::drop;
    outputs.push_back(
        std::make_unique<engine::JsonLines>(std::make_unique<engine::Sink>(where.empty() ? file_ : where, when_full)));
    collector_ = std::make_unique<Collector>(config_, std::move(outputs));
    for (std::size_t i = 0; i < workers; ++i) {
      workers_.push_back(std::make_unique<FakeWorker>());
      collector_->add_worker(workers_.back()->ring());
    }
    return *collector_;
  }
  FakeWorker& worker(std::size_t i) { return *workers_[i]; }

  // The lines that came out since the last call.
  std::vector<std::string> lines() {
    for (auto& worker : workers_) worker->publish();
    while (collector_->round() != 0) {
    }
    std::ifstream in(file_);
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);) all.push_back(line);
    const std::vector<std::string> fresh(all.begin() + static_cast<std::ptrdiff_t>(seen_), all.end());
    seen_ = all.size();
    return fresh;
  }

  CollectorConfig config_;
  engine_tests::FakePlugin plugin_;
  std::vector<std::unique_ptr<FakeWorker>> workers_;  // outlive the collector
  std::unique_ptr<Collector> collector_;
  std::vector<std::string> logged_, failures_;
  int gone_ = 0;
  std::string file_;
  std::size_t seen_ = 0;
};

using Lines = std::vector<std::string>;

TEST_F(CollectorTest, WritesEveryTypeOfFieldAsTheContractSays) {
  give_records({{"all",
                 {{"a", FieldType::u8},
                  {"b", FieldType::u16},
                  {"c", FieldType::u32},
                  {"d", FieldType::u64},
                  {"e", FieldType::i64},
                  {"f", FieldType::f64},
                  {"g", FieldType::boolean},
                  {"h", FieldType::ip},
                  {"i", FieldType::mac},
                  {"j", FieldType::time},
                  {"k", FieldType::string}}}});
  make(1);
  Values values;
  values.number(std::uint8_t{255}).number(std::uint16_t{65535}).number(std::uint32_t{1});
  values.number(UINT64_MAX).number(std::int64_t{-5}).number(1.5).number(std::uint8_t{1});
  values.bytes(std::string_view("\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01", 16));
  values.bytes(std::string_view("\x02\0\0\0\0\x01", 6)).number(1.0).text("x\"y");
  worker(0).record(3, values);
  EXPECT_EQ(lines(), Lines{R"({"ts":"2023-11-14T22:13:20.000003000Z","type":"all","plugin":"p","a":255,"b":65535,)"
                           R"("c":1,"d":18446744073709551615,"e":-5,"f":1.5,"g":true,"h":"10.0.0.1",)"
                           R"("i":"02:00:00:00:00:01","j":"2023-11-14T22:13:20.000000001Z","k":"x\"y"})"});
}

TEST_F(CollectorTest, LeavesOutOptionalFieldsThatAreAbsent) {
  give_records({{"r", {{"a", FieldType::u8, true}, {"b", FieldType::string, true}}}});
  make(1);
  worker(0).record(0, Values().number(std::uint8_t{0}).number(std::uint8_t{1}).text("here"));
  worker(0).record(0, Values().number(std::uint8_t{1}).number(std::uint8_t{7}).number(std::uint8_t{0}));
  const Lines got = lines();
  ASSERT_EQ(got.size(), 2u);
  EXPECT_NE(got[0].find(R"("plugin":"p","b":"here"})"), std::string::npos) << got[0];
  EXPECT_NE(got[1].find(R"("plugin":"p","a":7})"), std::string::npos) << got[1];
}

TEST_F(CollectorTest, PassesEmittedJsonThrough) {
  make(1);
  worker(0).emit(1, "seen", R"("a":1,"b":[true])");
  worker(0).emit(1, "bare", "");
  EXPECT_EQ(lines(), (Lines{R"({"ts":"2023-11-14T22:13:20.000001000Z","type":"seen","plugin":"p","a":1,"b":[true]})",
                            R"({"ts":"2023-11-14T22:13:20.000001000Z","type":"bare","plugin":"p"})"}));
}

TEST_F(CollectorTest, SendsLogsAndErrorsToTheLogNotToTheResults) {
  make(1);
  worker(0).text(ENGINE_MESSAGE_LOG, "\x02hello");
  worker(0).text(ENGINE_MESSAGE_ERROR, "x.lua:3: boom");
  EXPECT_TRUE(lines().empty());
  EXPECT_EQ(logged_, (Lines{"2 p: hello", "0 p: x.lua:3: boom"}));
}

TEST_F(CollectorTest, CountsResultsPerWorker) {
  make(2);
  for (int i = 0; i < 3; ++i) worker(1).record(i, Values().number(std::uint64_t{1}));
  worker(1).record(0, Values().number(std::uint64_t{1}), 5);     // no such plugin
  worker(1).record(0, Values().number(std::uint64_t{1}), 0, 9);  // no such schema
  EXPECT_EQ(lines().size(), 3u);
  EXPECT_EQ(collector_->results(0), 0u);
  EXPECT_EQ(collector_->results(1), 3u);
  EXPECT_EQ(collector_->results_dropped(1), 2u);
}

TEST_F(CollectorTest, MergesAnIntervalOnceEveryWorkerHasEndedIt) {
  make(2);
  const std::uint64_t k = kEpoch / kSecond + 4;
  worker(0).value() = 3;
  worker(0).end_interval(k, 5e9);
  EXPECT_TRUE(lines().empty());
  worker(1).value() = 4;
  worker(1).end_interval(k, 5e9);
  EXPECT_EQ(lines(),
            Lines{R"({"ts":"2023-11-14T22:13:25.000000000Z","type":"sum","plugin":"p",)"
                  R"("from":"2023-11-14T22:13:24.000000000Z","to":"2023-11-14T22:13:25.000000000Z","sum":7})"});
}

TEST_F(CollectorTest, PublishesEmptyIntervalsToo) {
  make(1);
  worker(0).end_interval(kEpoch / kSecond, 1e9);
  const Lines got = lines();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_NE(got[0].find("\"sum\":0"), std::string::npos);
}

TEST_F(CollectorTest, TakesALaterIntervalForTheEndOfAnEarlierOne) {
  make(2);
  worker(0).value() = 1;
  worker(0).end_interval(1700000000);
  worker(1).end_interval(1700000002);
  ASSERT_EQ(lines().size(), 1u);
}

TEST_F(CollectorTest, DoesNotWaitForAWorkerThatHasEnded) {
  make(2);
  collector_->worker_ended(1);
  worker(0).value() = 1;
  worker(0).end_interval(1700000000);
  EXPECT_EQ(lines().size(), 1u);
}

TEST_F(CollectorTest, LosesNothingOfAPartWhoseSpareIsStillOut) {
  make(1);
  worker(0).value() = 5;
  ASSERT_TRUE(worker(0).end_interval(1700000000));
  worker(0).value() = 6;
  ASSERT_FALSE(worker(0).end_interval(1700000001)) << "the collector has not run yet";
  EXPECT_EQ(lines().size(), 1u);
  worker(0).value() += 1;
  ASSERT_TRUE(worker(0).end_interval(1700000002));
  const Lines got = lines();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_NE(got[0].find("\"sum\":7"), std::string::npos) << got[0];
}

TEST_F(CollectorTest, PublishesPartsWhoseIntervalMessageFoundNoRoom) {
  make(1);
  worker(0).value() = 9;
  plugins::Part* part = worker(0).sum().swap();
  worker(0).send_part(part);
  EXPECT_TRUE(lines().empty());
  collector_->worker_ended(0);
  const Lines got = lines();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_NE(got[0].find("\"sum\":9"), std::string::npos) << got[0];
}

TEST_F(CollectorTest, IsNotHeldBackForGoodByAWorkerThatIsStuck) {
  make(2);
  constexpr std::uint64_t kCount = 40;
  std::size_t published = 0;
  for (std::uint64_t k = 0; k < kCount; ++k) {
    worker(0).value() = 1;
    worker(0).end_interval(1700000000 + k);
    published += lines().size();
  }
  EXPECT_EQ(published, kCount - engine::Intervals::kMaxWaiting);
  worker(1).value() = 100;  // comes late: joins the next one
  worker(1).end_interval(1700000000);
  EXPECT_TRUE(lines().empty());
  worker(1).end_interval(1700000000 + kCount);
  const Lines got = lines();
  ASSERT_EQ(got.size(), engine::Intervals::kMaxWaiting);
  EXPECT_NE(got[0].find("\"sum\":101"), std::string::npos) << got[0];
}

TEST_F(CollectorTest, CutsTheFirstAndLastIntervalToTheRun) {
  config_.epoch_ns = kEpoch + kSecond / 4;
  make(1);
  worker(0).end_interval(1700000000, 0.75e9);
  worker(0).publish();
  Lines got = lines();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_NE(got[0].find(R"("from":"2023-11-14T22:13:20.250000000Z","to":"2023-11-14T22:13:21.000000000Z")"),
            std::string::npos)
      << got[0];
  worker(0).end_interval(1700000001, 1.25e9);  // half a second into the interval: the run ends
  got = lines();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_NE(got[0].find(R"("from":"2023-11-14T22:13:21.000000000Z","to":"2023-11-14T22:13:21.500000000Z")"),
            std::string::npos)
      << got[0];
}

TEST_F(CollectorTest, WritesEventsFromAnyThread) {
  make(1);
  std::thread([&] { collector_->event(kEpoch, "link_down", R"("interface":"eth0")"); }).join();
  EXPECT_EQ(lines(), Lines{R"({"ts":"2023-11-14T22:13:20.000000000Z","type":"event","event":"link_down",)"
                           R"("interface":"eth0"})"});
}

TEST_F(CollectorTest, ReportsAnOutputThatFailsOnce) {
  make(1, "/dev/full");
  for (int i = 0; i < 3; ++i) {
    worker(0).record(i, Values().number(std::uint64_t{1}));
    worker(0).publish();
    collector_->round();
  }
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_NE(failures_[0].find("/dev/full"), std::string::npos);
  EXPECT_EQ(gone_, 0);
  EXPECT_EQ(collector_->results_dropped(0), 2u);
}

TEST_F(CollectorTest, TellsOnceThatNobodyReadsAnyMore) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  make(1, "/proc/self/fd/" + std::to_string(ends[1]));
  ::close(ends[0]);
  for (int i = 0; i < 3; ++i) {
    worker(0).record(i, Values().number(std::uint64_t{1}));
    worker(0).publish();
    collector_->round();
  }
  ::close(ends[1]);
  EXPECT_EQ(gone_, 1);
  EXPECT_TRUE(failures_.empty());
}

// The thread itself: everything that was sent is delivered or was refused at the ring, in each worker's order.
TEST_F(CollectorTest, DeliversWhatSeveralThreadsSend) {
  constexpr std::uint64_t kRecords = 50'000;
  make(2);
  collector_->start();
  std::vector<std::uint64_t> refused(2);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      for (std::uint64_t n = 0; n < kRecords; ++n) {
        if (!worker(i).record(0, Values().number(n * 2 + i))) ++refused[i];
        if (n % 64 == 0) worker(i).publish();
        if (n % 5000 == 0) {
          ++worker(i).value();
          worker(i).end_interval(1700000000 + n / 5000);
        }
      }
      worker(i).publish();
      collector_->worker_ended(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  collector_->join();
  std::ifstream in(file_);
  std::uint64_t records[2] = {}, sum = 0;
  std::int64_t last[2] = {-1, -1};
  for (std::string line; std::getline(in, line);) {
    ASSERT_EQ(line.back(), '}');
    if (const std::size_t at = line.find("\"sum\":"); at != std::string::npos) {
      sum += std::stoull(line.substr(at + 6));
      continue;
    }
    const std::int64_t n = std::stoll(line.substr(line.find("\"n\":") + 4));
    ASSERT_GT(n, last[n % 2]);
    last[n % 2] = n;
    ++records[n % 2];
  }
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(records[i] + refused[i], kRecords);
    EXPECT_EQ(records[i], collector_->results(i));
    sum += worker(i).value();  // what never found its spare
  }
  EXPECT_EQ(sum, 2 * kRecords / 5000);
}

}  // namespace
