// Packet memory in pages of 2 MiB. As root, which reserves them for the test and gives them back.
#include "numa/huge_pages.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

#include "engine/base/error.h"
#include "numa/memory.h"
#include "numa/range.h"

namespace numa::test {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr auto on_first_touch = NodeMemory::Populate::on_first_touch;

class HugePagesTest : public ::testing::Test {
 protected:
  static constexpr std::size_t reserved = 8;

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to reserve huge pages";
    const std::optional<HugePages> there = huge_pages_of(0);
    if (!there) GTEST_SKIP() << "this kernel has no pages of 2 MiB";
    before_ = there->all;
    set(there->all + reserved - std::min(there->free, reserved));
    if (huge_pages_of(0)->free < reserved) GTEST_SKIP() << "no memory in pieces of 2 MiB is left";
  }
  void TearDown() override {
    if (before_) set(*before_);
  }
  // By the very command that is given to operators.
  static void set(std::size_t pages) {
    const std::string command = reserve_command(0, 0);
    std::ofstream(command.substr(command.find('/'))) << pages;
  }
  static std::size_t free_pages() { return huge_pages_of(0)->free; }

  std::optional<std::size_t> before_;
};

// Of the mapping that begins there, from the kernel's own list.
std::string kernel_page_size(const std::byte* data) {
  std::ifstream maps("/proc/self/smaps");
  char start[32];
  std::snprintf(start, sizeof start, "%lx-", reinterpret_cast<unsigned long>(data));
  std::string line;
  while (std::getline(maps, line) && line.rfind(start, 0) != 0) {
  }
  while (std::getline(maps, line) && line.rfind("KernelPageSize:", 0) != 0) {
  }
  return line;
}

TEST_F(HugePagesTest, MemoryIsMadeOfThemWhereThereAreEnough) {
  const std::size_t free = free_pages();
  {
    const NodeMemory memory(5 * mib, 0, on_first_touch, Pages::automatic);
    EXPECT_EQ(memory.why_normal_pages(), "");
    EXPECT_EQ(memory.page_bytes(), huge_page_bytes);
    EXPECT_EQ(memory.bytes().size(), 6 * mib) << "whole pages";
    EXPECT_NE(kernel_page_size(memory.bytes().data()).find("2048 kB"), std::string::npos);
    EXPECT_EQ(free_pages(), free - 3) << "they are there before the first touch";
    EXPECT_TRUE(std::ranges::all_of(memory.bytes(), [](std::byte byte) { return byte == std::byte{0}; }));
    memory.bytes().back() = std::byte{1};
  }
  EXPECT_EQ(free_pages(), free);
}

TEST_F(HugePagesTest, TheyFitIntoAWorkersAddressesAndGoWithTheirPart) {
  const std::size_t free = free_pages();
  AddressRange range(64 * mib);
  for (int round = 0; round < 3; ++round) {
    AddressPart part = range.take(4 * mib);
    std::byte* const place = part.bytes().data();
    NodeMemory memory(std::move(part), 4 * mib, 0, on_first_touch, Pages::huge);
    EXPECT_EQ(memory.bytes().data(), place);
    EXPECT_EQ(memory.page_bytes(), huge_page_bytes);
    std::ranges::fill(memory.bytes(), std::byte{7});
    const NodeMemory moved(std::move(memory));
    EXPECT_EQ(moved.page_bytes(), huge_page_bytes);
    EXPECT_EQ(free_pages(), free - 2);
  }
  EXPECT_EQ(free_pages(), free);
}

TEST_F(HugePagesTest, TooFewOfThemAreSaidAndNormalOnesTaken) {
  const std::size_t free = free_pages();
  AddressRange range(64 * mib);
  const std::size_t too_many = (free + 1) * huge_page_bytes;
  NodeMemory memory(range.take(too_many), too_many, 0, on_first_touch, Pages::automatic);
  EXPECT_EQ(memory.page_bytes(), static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
  EXPECT_NE(memory.why_normal_pages().find("node 0 has " + std::to_string(free) + " pages of 2 MiB free"),
            std::string::npos)
      << memory.why_normal_pages();
  memory.bytes().back() = std::byte{1};
  EXPECT_EQ(free_pages(), free);
}

TEST_F(HugePagesTest, ForcedOnesThatAreNotThereAreRefusedWithTheCommandThatReservesThem) {
  const std::size_t too_many = (free_pages() + 1) * huge_page_bytes;
  std::string command;
  try {
    const NodeMemory memory(too_many, 0, on_first_touch, Pages::huge);
    FAIL() << "there were more";
  } catch (const engine::SetupError& error) {
    EXPECT_EQ(error.code(), engine::ExitCode::machine_cannot);
    const std::string line = error.what();
    ASSERT_NE(line.find("; echo "), std::string::npos) << line;
    command = line.substr(line.find("echo "), line.find(", or") - line.find("echo "));
  }
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  EXPECT_NO_THROW(NodeMemory(too_many, 0, on_first_touch, Pages::huge)) << "after: " << command;
}

TEST(HugePages, NormalPagesAreTakenUnlessTheyAreWanted) {
  const NodeMemory memory(4 * mib, 0, on_first_touch);
  EXPECT_NE(memory.page_bytes(), huge_page_bytes);
  EXPECT_EQ(memory.why_normal_pages(), "");
}

TEST(HugePages, ANodeThatIsNotThereHasNone) {
  try {
    const NodeMemory memory(2 * mib, 900, on_first_touch, Pages::huge);
    FAIL() << "memory of node 900";
  } catch (const engine::SetupError& error) {
    EXPECT_NE(std::string(error.what()).find("node 900"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace numa::test
