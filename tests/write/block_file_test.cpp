// Whole blocks only: disks that fill up, pipes with slow, stuck and vanished readers.
#include "engine/write/block_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>

#include "engine/base/error.h"
#include "tests/write/blocks.h"

namespace {

using namespace engine;
using namespace write_test;

constexpr std::uint64_t kSecond_ns = 1'000'000'000;

class BlockFileTest : public testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    path_ = testing::TempDir() + "block_file_test." + std::to_string(::getpid());
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  void add(BlockFile& file, std::size_t frame_bytes = 100) {
    const std::string frame(frame_bytes, 'x');
    ++added_;
    pcapng::append_packet(file.gathered(), {.time_ns = 1,
                                            .len = static_cast<std::uint32_t>(frame_bytes),
                                            .frame = std::as_bytes(std::span(frame)),
                                            .queue = {},
                                            .comments = {}});
  }
  static constexpr std::size_t kBlock_bytes = 132;  // of such a packet

  std::size_t whole_packets() const {
    const auto blocks = blocks_of(read_bytes(path_));
    EXPECT_TRUE(blocks) << "a part of a block";
    return blocks ? packets_of(*blocks).size() : 0;
  }

  // A disk with so many bytes left.
  BlockFile::Write disk() {
    return [this](int fd, const void* data, std::size_t bytes) -> ssize_t {
      ++writes_;
      if (room_ == 0) {
        errno = ENOSPC;
        return -1;
      }
      const ssize_t written = ::write(fd, data, std::min(bytes, room_));
      room_ -= static_cast<std::size_t>(written);
      return written;
    };
  }

  std::string path_;
  std::size_t room_ = SIZE_MAX;
  int writes_ = 0;
  std::uint64_t added_ = 0;
};

TEST_F(BlockFileTest, GathersUntilThereIsEnoughOrItIsOldEnough) {
  BlockFile file(path_, {}, disk());
  add(file);
  file.write_some(kSecond_ns);
  EXPECT_EQ(writes_, 0);
  file.write_some(kSecond_ns + BlockFile::kLatest_ns);
  EXPECT_EQ(writes_, 1);
  EXPECT_EQ(whole_packets(), 1u);
  while (file.gathered().size() < BlockFile::kGroup_bytes) add(file);
  file.write_some(2 * kSecond_ns);
  EXPECT_EQ(writes_, 2);
  EXPECT_EQ(file.packets(), whole_packets());
  EXPECT_EQ(file.bytes(), read_bytes(path_).size());
}

TEST_F(BlockFileTest, AFullDiskLeavesWholeBlocksAndWhatWaitsIsWrittenOnceThereIsRoom) {
  BlockFile file(path_, {}, disk());
  for (int i = 0; i < 10; ++i) add(file);
  room_ = 3 * kBlock_bytes + 50;
  file.flush(kSecond_ns);
  EXPECT_EQ(file.state(), BlockFile::State::failing);
  EXPECT_EQ(file.failure(), "No space left on device");
  EXPECT_EQ(whole_packets(), 3u);

  const int writes = writes_;
  file.write_some(kSecond_ns + 1);
  EXPECT_EQ(writes_, writes) << "not tried again at once";
  file.write_some(2 * kSecond_ns);
  EXPECT_EQ(writes_, writes + 1) << "but later";
  EXPECT_EQ(whole_packets(), 3u);

  room_ = SIZE_MAX;
  file.write_some(10 * kSecond_ns);
  EXPECT_EQ(file.state(), BlockFile::State::good);
  EXPECT_EQ(whole_packets(), 10u);
  EXPECT_EQ(file.packets(), 10u);
  EXPECT_EQ(file.dropped(), 0u);
}

TEST_F(BlockFileTest, ADiskThatStaysFullCostsWhatWaited) {
  BlockFile file(path_, {}, disk());
  for (int i = 0; i < 10; ++i) add(file);
  room_ = 7 * kBlock_bytes + 1;
  file.finish([] { return UINT64_MAX; });
  EXPECT_EQ(whole_packets(), 7u);
  EXPECT_EQ(file.packets(), 7u);
  EXPECT_EQ(file.dropped(), 3u);
}

TEST_F(BlockFileTest, ARealLimitOnTheFilesSizeIsMetInWholeBlocks) {
  // In a process of its own: a limit can't be raised again.
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{10'000, 10'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
    BlockFile file(path_, {});
    for (int i = 0; i < 100; ++i) add(file);
    file.flush(kSecond_ns);
    ::_exit(file.state() == BlockFile::State::failing && file.packets() == 10'000 / kBlock_bytes ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(whole_packets(), 10'000 / kBlock_bytes);
}

TEST_F(BlockFileTest, APipeGetsNoHalfBlockFromAReaderThatIsStuck) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK));
  BlockFile file(path_, {});
  while (file.has_room()) add(file);
  while (file.waiting_fd() < 0) {
    for (int i = 0; i < 100; ++i) add(file);
    file.flush(kSecond_ns);
  }
  file.finish([] { return 0; });
  std::string taken;
  char buffer[1 << 16];
  for (ssize_t n; (n = ::read(reader.get(), buffer, sizeof buffer)) > 0;)
    taken.append(buffer, static_cast<std::size_t>(n));
  const auto blocks = blocks_of(taken);
  ASSERT_TRUE(blocks);
  EXPECT_EQ(packets_of(*blocks).size(), file.packets());
  EXPECT_GT(file.dropped(), 0u);
  EXPECT_EQ(file.packets() + file.dropped(), added_);
}

TEST_F(BlockFileTest, ABlockThatIsLongerThanAPipeTakesAtOnceGoesInPieces) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK));
  BlockFile file(path_, {});
  for (int i = 0; i < 40; ++i) add(file, 60'000);
  std::string taken;
  char buffer[5000];
  while (file.packets() < 40) {
    file.flush(kSecond_ns);
    for (ssize_t n; (n = ::read(reader.get(), buffer, sizeof buffer)) > 0;)
      taken.append(buffer, static_cast<std::size_t>(n));
  }
  for (ssize_t n; (n = ::read(reader.get(), buffer, sizeof buffer)) > 0;)
    taken.append(buffer, static_cast<std::size_t>(n));
  const auto blocks = blocks_of(taken);
  ASSERT_TRUE(blocks);
  EXPECT_EQ(packets_of(*blocks).size(), 40u);
}

TEST_F(BlockFileTest, AReaderThatIsGoneEndsItForGood) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK));
  BlockFile file(path_, {});
  add(file);
  file.flush(kSecond_ns);
  reader.reset();
  add(file);
  file.flush(2 * kSecond_ns);
  EXPECT_EQ(file.state(), BlockFile::State::reader_gone);
  add(file);
  file.write_some(100 * kSecond_ns);
  EXPECT_EQ(file.packets(), 1u);
  EXPECT_EQ(file.dropped(), 2u);
}

TEST_F(BlockFileTest, TheInputIsNotOverwritten) {
  { std::ofstream(path_) << "precious"; }
  try {
    BlockFile file(path_, path_);
    FAIL() << "it was taken";
  } catch (const SetupError& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_usage);
    EXPECT_NE(std::string(error.what()).find("is the file that packets are read from"), std::string::npos);
  }
  EXPECT_EQ(read_bytes(path_), "precious");
}

TEST_F(BlockFileTest, AFolderThatIsMissingIsTheUsersMistake) {
  try {
    BlockFile file(path_ + "/no/such", {});
    FAIL() << "it was opened";
  } catch (const SetupError& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_usage);
  }
}

}  // namespace
