// Sending on a real veth pair, counted by an XDP program at the far side. As root.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "engine/base/error.h"
#include "engine/gen/capture_file.h"
#include "engine/gen/gen.h"
#include "engine/gen/interrupts.h"
#include "engine/gen/redirect_target.h"
#include "engine/gen/traffic.h"
#include "tests/gen/independent.h"
#include "tests/gen/lab.h"

namespace engine::gen::test {
namespace {

#define IN_LAB(queues, ...)                                       \
  do {                                                            \
    const std::string reason = Lab::run((queues), (__VA_ARGS__)); \
    if (!reason.empty()) GTEST_SKIP() << reason;                  \
  } while (false)

Settings to_near_side(Method method, std::uint64_t count) {
  Settings settings;
  settings.interface_name = near_side;
  settings.method = method;
  settings.count = count;
  return settings;
}

std::string refusal(const Settings& settings) {
  try {
    generate(settings);
  } catch (const SetupError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(LiveFrames, ArriveOnTheQueueAskedForExactlyAsManyAsWereSent) {
  IN_LAB(4, [](Lab& lab) {
    lab.count(false);
    const Outcome outcome = generate(to_near_side(Method::live, 30'001));
    EXPECT_EQ(outcome.failure, "");
    EXPECT_EQ(outcome.report.method, "live");
    EXPECT_EQ(outcome.report.total.packets, 30'001U);
    EXPECT_EQ(outcome.report.stamped, 30'001U);
    ASSERT_TRUE(outcome.report.not_taken && outcome.report.not_taken->xdp_xmit);
    EXPECT_EQ(*outcome.report.not_taken->xdp_xmit + *outcome.report.not_taken->xdp_xmit_errors, 30'001U);
    EXPECT_EQ(lab.counts()[0], *outcome.report.not_taken->xdp_xmit);
    EXPECT_EQ(lab.counted(), lab.counts()[0]);
  });
}

TEST(LiveFrames, AreWholePacketsWithTheTimeOfTheirBatch) {
  IN_LAB(1, [](Lab& lab) {
    lab.count(true);
    Tap tap;
    Settings settings = to_near_side(Method::live, 5000);
    settings.traffic.flows = 10;
    const std::uint64_t start_ns = clock_ns(CLOCK_REALTIME);
    ASSERT_EQ(generate(settings).report.total.packets, 5000U);
    const std::uint64_t end_ns = clock_ns(CLOCK_REALTIME);
    for (std::uint64_t i = 0; i < 5000; ++i) {
      const std::vector<std::byte> frame = tap.next();
      ASSERT_EQ(frame.size(), 64U) << i;
      const Seen seen = read_packet(frame);
      ASSERT_EQ(seen.fault, "");
      ASSERT_EQ(number(seen.payload, 0, 8), i);
      // A microsecond for the two clocks, which are read one after the other.
      ASSERT_GT(number(seen.payload, 8, 8), start_ns - 1000);
      ASSERT_LT(number(seen.payload, 8, 8), end_ns + 1000);
    }
  });
}

TEST(LiveFrames, AreRefusedWhereTheyWouldNotDoAndAutoTakesSockets) {
  IN_LAB(4, [](Lab& lab) {
    lab.count(false);
    Settings settings = to_near_side(Method::live, 100);
    settings.queues = {0, 1};
    EXPECT_NE(refusal(settings).find("live frames reach only one queue"), std::string::npos);
    settings.queues = {0};
    settings.traffic.sizes = parse_sizes("imix");
    EXPECT_NE(refusal(settings).find("one kind and one size"), std::string::npos);
    settings.method = Method::automatic;
    const Report report = generate(settings).report;
    EXPECT_EQ(report.method, "tx");
    ASSERT_FALSE(report.notes.empty());
    EXPECT_NE(report.notes.back().find("one kind and one size"), std::string::npos);
    EXPECT_EQ(lab.counted(), 100U);
  });
}

TEST(LiveFrames, AreRefusedWhereTheDeviceWouldDropThem) {
  IN_LAB(1, [](Lab& lab) {
    if (!is_redirect_target(1)) GTEST_SKIP() << "needs Linux 6.3: devices tell their XDP features";
    ASSERT_TRUE(Lab::shell(std::string("ethtool -K ") + far_side + " gro off"));
    EXPECT_NE(refusal(to_near_side(Method::live, 1000)).find("gro on"), std::string::npos);
    EXPECT_EQ(generate(to_near_side(Method::automatic, 1000)).report.method, "tx");
    lab.count(false);  // an XDP program on the far side makes the near side a target
    EXPECT_EQ(generate(to_near_side(Method::automatic, 1000)).report.method, "live");
    EXPECT_EQ(lab.counted(), 1000U);
    ASSERT_TRUE(Lab::shell("ip link set lo up"));
    Settings settings = to_near_side(Method::live, 1000);
    settings.interface_name = "lo";
    EXPECT_NE(refusal(settings).find("lo does not"), std::string::npos);
  });
}

TEST(TxSockets, GiveEachOfFourQueuesItsShare) {
  IN_LAB(4, [](Lab& lab) {
    lab.count(false);
    Settings settings = to_near_side(Method::tx, 40'000);
    settings.queues = {0, 1, 2, 3};
    settings.traffic.flows = 8;
    const Outcome outcome = generate(settings);
    EXPECT_EQ(outcome.failure, "");
    EXPECT_EQ(outcome.report.total.packets, 40'000U);
    EXPECT_EQ(outcome.report.unfinished, 0U);
    for (const auto& [queue, sent] : outcome.report.queues) EXPECT_EQ(sent.packets, 10'000U) << queue;
    ASSERT_TRUE(outcome.report.not_taken);
    EXPECT_EQ(lab.counted() + outcome.report.not_taken->tx_dropped, 40'000U);
    if (outcome.report.not_taken->tx_dropped == 0) {
      EXPECT_EQ(lab.counts(), std::vector<std::uint64_t>(4, 10'000));
    }
  });
}

TEST(TxSockets, SendTheRealisticMixWithEveryChecksumRight) {
  IN_LAB(2, [](Lab& lab) {
    lab.count(true);
    Settings settings = to_near_side(Method::tx, 6000);
    settings.queues = {0, 1};
    settings.rate_pps = 60'000;
    settings.traffic.mix = parse_mix("udp4=3,udp6=3,tcp4=3,tcp6=3,dns4=2,dns6=2,icmp4,icmp6");
    settings.traffic.sizes = parse_sizes("imix");
    settings.traffic.flows = 100;
    ASSERT_TRUE(Lab::shell(std::string("ethtool -K ") + far_side + " gro off"));
    Tap tap;
    const Report report = generate(settings).report;
    ASSERT_EQ(report.total.packets, 6000U);
    std::vector<std::uint64_t> sequence;
    for (int i = 0; i < 6000; ++i) {
      const std::vector<std::byte> frame = tap.next();
      ASSERT_FALSE(frame.empty()) << i;
      const Seen seen = read_packet(frame);
      ASSERT_EQ(seen.fault, "") << i;
      const bool dns = seen.proto == 17 && (seen.source_port == 53 || seen.destination_port == 53);
      if (seen.payload.size() >= stamp_bytes && !dns) sequence.push_back(number(seen.payload, 0, 8));
    }
    std::sort(sequence.begin(), sequence.end());
    ASSERT_EQ(sequence.size(), report.stamped);
    for (std::size_t i = 0; i < sequence.size(); ++i) ASSERT_EQ(sequence[i], i);
  });
}

TEST(TxSockets, ReplayACaptureUntouched) {
  const std::string path = testing::TempDir() + "gen_replay." + std::to_string(getpid()) + ".pcap";
  Settings file;
  file.write_path = path;
  file.count = 2000;
  file.traffic.mix = parse_mix("udp4,tcp6,dns4");
  file.traffic.sizes = parse_sizes("imix");
  generate(file);
  const Replay replay = read_replay(path, max_frame_bytes);
  std::filesystem::remove(path);
  ASSERT_EQ(replay.frames.size(), 2000U);
  generate(file);
  const std::string reason = Lab::run(1, [&](Lab& lab) {
    lab.count(true);
    ASSERT_TRUE(Lab::shell(std::string("ethtool -K ") + far_side + " gro off"));
    Tap tap;
    Settings settings = to_near_side(Method::automatic, 0);
    settings.replay_path = path;
    settings.rate_pps = 50'000;
    settings.loops = 2;
    const Outcome outcome = generate(settings);
    EXPECT_EQ(outcome.failure, "");
    ASSERT_EQ(outcome.report.replayed.packets, 4000U);
    for (std::size_t i = 0; i < 4000; ++i) {
      const auto expected = replay.bytes(replay.frames[i % 2000]);
      const std::vector<std::byte> frame = tap.next();
      ASSERT_TRUE(std::equal(frame.begin(), frame.end(), expected.begin(), expected.end())) << i;
    }
  });
  std::filesystem::remove(path);
  if (!reason.empty()) GTEST_SKIP() << reason;
}

// Wall-clock time of a run, without set-up: from the far side's counter moving to the run's end would miss the first
// packet, so the report's own figure is held against the clock around the whole call, set-up included.
void expect_rate(Method method, double rate_pps, double duration_s) {
  IN_LAB(1, [&](Lab& lab) {
    lab.count(false);
    Settings settings = to_near_side(method, 0);
    settings.rate_pps = rate_pps;
    settings.duration_s = duration_s;
    const std::uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
    const Report report = generate(settings).report;
    const double around_s = static_cast<double>(clock_ns(CLOCK_MONOTONIC) - start_ns) * 1e-9;
    EXPECT_LE(report.seconds, around_s);
    EXPECT_EQ(report.total.packets, static_cast<std::uint64_t>(rate_pps * duration_s));
    EXPECT_NEAR(static_cast<double>(report.total.packets) / report.seconds / rate_pps, 1, 0.01);
    EXPECT_NEAR(report.seconds, duration_s, duration_s * 0.01);
  });
}

TEST(Rate, OfTxSocketsIsKeptWithinOnePercent) { expect_rate(Method::tx, 20'000, 1); }
TEST(Rate, OfLiveFramesIsKeptWithinOnePercent) { expect_rate(Method::live, 250'000, 1); }

TEST(Rate, ThatIsOutOfReachIsSaid) {
  IN_LAB(1, [](Lab& lab) {
    lab.count(false);
    Settings settings = to_near_side(Method::tx, 0);
    settings.rate_pps = 900e6;
    settings.duration_s = 0.1;
    const Report report = generate(settings).report;
    EXPECT_LT(report.seconds, 0.5);
    ASSERT_FALSE(report.notes.empty());
    EXPECT_NE(report.notes.back().find("not reached"), std::string::npos);
  });
}

TEST(Interrupt, EndsARunOfEitherMethodWithAReport) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer lets no thread start after a fork";
#endif
  for (Method method : {Method::live, Method::tx}) {
    IN_LAB(1, [&](Lab& lab) {
      lab.count(true);
      Tap tap;
      const pid_t child = fork();
      if (child == 0) {
        const Report report = generate(to_near_side(method, 0)).report;
        _exit(report.interrupted && report.total.packets > 0 ? 0 : 1);
      }
      EXPECT_FALSE(tap.next().empty());
      kill(child, SIGINT);
      int status = -1;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    });
  }
}

TEST(Duration, EndsARunAtFullSpeed) {
  for (Method method : {Method::live, Method::tx}) {
    IN_LAB(1, [&](Lab& lab) {
      lab.count(false);
      Settings settings = to_near_side(method, 0);
      settings.duration_s = 0.3;
      const Report report = generate(settings).report;
      EXPECT_NEAR(report.seconds, 0.3, 0.05);
      EXPECT_GT(report.total.packets, 1000U);
      EXPECT_FALSE(report.interrupted);
    });
  }
}

TEST(Refusal, NamesTheInterfaceAndWhatWouldHelp) {
  IN_LAB(1, [](Lab&) {
    Settings settings = to_near_side(Method::tx, 10);
    settings.interface_name = "absent0";
    EXPECT_NE(refusal(settings).find("absent0"), std::string::npos);
    settings.interface_name = near_side;
    settings.traffic.sizes = {{2000, 1}};
    EXPECT_NE(refusal(settings).find("ip link set gen0 mtu 1986"), std::string::npos);
    settings.traffic.sizes = {{64, 1}};
    settings.queues = {5};
    EXPECT_NE(refusal(settings).find("queue 5"), std::string::npos);
    ASSERT_TRUE(Lab::shell(std::string("ip link set ") + far_side + " down"));
    EXPECT_NE(refusal(settings).find("no carrier"), std::string::npos);
    ASSERT_TRUE(Lab::shell(std::string("ip link set ") + near_side + " down"));
    EXPECT_NE(refusal(settings).find("ip link set gen0 up"), std::string::npos);
  });
}

}  // namespace
}  // namespace engine::gen::test
