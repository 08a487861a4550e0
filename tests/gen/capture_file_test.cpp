// Writing traffic to a capture file, and reading captures for a replay.
#include "engine/gen/capture_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/base/error.h"
#include "engine/gen/gen.h"
#include "engine/gen/traffic.h"

namespace engine::gen::test {
namespace {

class CaptureFile : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "gen_test." + std::to_string(getpid());
    std::filesystem::create_directory(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  std::string content(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name), std::ios::binary).rdbuf();
    return text.str();
  }
  Settings realistic(const std::string& name, std::uint64_t count) const {
    Settings settings;
    settings.write_path = path(name);
    settings.count = count;
    settings.rate_pps = 10'000;
    settings.traffic.mix = realistic_mix();
    settings.traffic.sizes = parse_sizes("imix");
    settings.traffic.flows = 300;
    settings.traffic.zipf = 1;
    return settings;
  }

 private:
  std::string directory_;
};

TEST_F(CaptureFile, TheSameSeedWritesTheSameFile) {
  generate(realistic("a.pcap", 3000));
  generate(realistic("b.pcap", 3000));
  EXPECT_EQ(content("a.pcap"), content("b.pcap"));
  Settings other = realistic("c.pcap", 3000);
  other.traffic.seed = 2;
  generate(other);
  EXPECT_NE(content("a.pcap"), content("c.pcap"));
}

TEST_F(CaptureFile, ScapyFindsEveryLengthAndChecksumRightAndTheSameKinds) {
  const Report report = generate(realistic("a.pcap", 2400)).report;
  EXPECT_EQ(report.total.packets, 2400U);
  EXPECT_NEAR(report.seconds, 0.24, 1e-9);
  FILE* reader = popen(("/usr/bin/python3 " CHECK_CAPTURE " " + path("a.pcap") + " 2>&1").c_str(), "r");
  ASSERT_NE(reader, nullptr);
  std::string output;
  char line[256];
  while (std::fgets(line, sizeof line, reader) != nullptr) output += line;
  const int status = pclose(reader);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "needs scapy: apt install python3-scapy";
  EXPECT_EQ(status, 0) << output;
  std::string expected;
  for (Kind kind : {Kind::dns4, Kind::dns6, Kind::icmp4, Kind::icmp6, Kind::tcp4, Kind::tcp6, Kind::udp4, Kind::udp6})
    expected +=
        std::string(name_of(kind)) + " " + std::to_string(report.kinds[static_cast<std::size_t>(kind)].packets) + "\n";
  EXPECT_EQ(output, expected);
}

TEST_F(CaptureFile, AReplayHasTheBytesThatWereWritten) {
  const Settings settings = realistic("a.pcap", 500);
  generate(settings);
  const Replay replay = read_replay(settings.write_path, max_frame_bytes);
  ASSERT_EQ(replay.frames.size(), 500U);
  EXPECT_EQ(replay.damage, "");
  Traffic traffic(settings.traffic);
  const Pacer pacer(settings.load(), 1'700'000'000'000'000'000);
  for (std::size_t i = 0; i < 500; ++i) {
    Packet packet = traffic.next();
    std::vector<std::byte> bytes(packet.size_bytes());
    packet.write(pacer.time_of(i), bytes.data());
    const auto replayed = replay.bytes(replay.frames[i]);
    ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), replayed.begin(), replayed.end())) << i;
  }
  Settings again;
  again.write_path = path("b.pcap");
  again.replay_path = settings.write_path;
  again.rate_pps = settings.rate_pps;
  EXPECT_EQ(generate(again).report.replayed.packets, 500U);
  EXPECT_EQ(content("a.pcap"), content("b.pcap"));
  again.loops = 3;
  EXPECT_EQ(generate(again).report.replayed.packets, 1500U);
}

TEST_F(CaptureFile, ACutOffCaptureIsReplayedUpToThereAndSaid) {
  generate(realistic("a.pcap", 100));
  std::filesystem::resize_file(path("a.pcap"), std::filesystem::file_size(path("a.pcap")) - 5);
  const Replay replay = read_replay(path("a.pcap"), max_frame_bytes);
  EXPECT_EQ(replay.frames.size(), 99U);
  EXPECT_NE(replay.damage, "");
  Settings settings;
  settings.replay_path = path("a.pcap");
  settings.write_path = path("b.pcap");
  const Outcome outcome = generate(settings);
  EXPECT_EQ(outcome.report.replayed.packets, 99U);
  EXPECT_NE(outcome.failure.find("a.pcap"), std::string::npos);
}

TEST_F(CaptureFile, FramesThatCannotBeSentAreCountedAndLeftOut) {
  Settings settings = realistic("a.pcap", 120);
  settings.traffic.mix = {{}};
  generate(settings);
  const Replay replay = read_replay(settings.write_path, 600);
  EXPECT_EQ(replay.frames.size(), 110U);
  EXPECT_EQ(replay.unsendable, 10U);
  EXPECT_THROW(read_replay(settings.write_path, 20), SetupError);
}

TEST_F(CaptureFile, AMissingOrForeignFileIsRefusedByName) {
  for (const char* name : {"missing.pcap", "text.pcap"}) {
    std::ofstream(path("text.pcap")) << "no capture at all, but long enough to be looked at";
    try {
      read_replay(path(name), max_frame_bytes);
      FAIL() << name;
    } catch (const SetupError& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_usage);
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos);
    }
  }
}

TEST_F(CaptureFile, AFileThatCannotBeWrittenIsARuntimeFailure) {
  Settings settings = realistic("a.pcap", 10);
  settings.write_path = path("no/such/directory");
  EXPECT_THROW(generate(settings), SetupError);
  settings.write_path = "/dev/full";
  settings.count = 1000;
  EXPECT_THROW(generate(settings), SetupError);
}

}  // namespace
}  // namespace engine::gen::test
