// The arena under random blocks, against a model; what is resident; and what the cap means.
#include "plugins/arena.h"

#include <gtest/gtest.h>

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace {

using plugins::Arena;

constexpr std::size_t kMiB = 1u << 20;

struct Block {
  std::uint8_t* at;
  std::size_t bytes;
  std::uint8_t fill;
};

std::uint8_t* resize(Arena& arena, void* block, std::size_t old_bytes, std::size_t new_bytes) {
  return static_cast<std::uint8_t*>(Arena::allocate(&arena, block, old_bytes, new_bytes));
}

bool holds(const Block& block, std::size_t bytes) {
  return std::all_of(block.at, block.at + bytes, [&](std::uint8_t b) { return b == block.fill; });
}

std::size_t resident_bytes() {
  std::size_t pages = 0, resident = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  const int read = std::fscanf(file, "%zu %zu", &pages, &resident);
  std::fclose(file);
  return read == 2 ? resident * 4096 : 0;
}

// Sizes as Lua's: mostly small, some large, any.
std::size_t random_size(std::mt19937& random) {
  const std::uint32_t bits = random() % 22;
  return 1 + random() % (std::size_t{1} << (bits > 15 && random() % 4 != 0 ? bits % 10 : bits));
}

TEST(Arena, KeepsEveryBlockUnderRandomUse) {
  for (std::uint32_t seed = 1; seed <= 8; ++seed) {
    std::mt19937 random(seed);
    Arena arena(32 * kMiB);
    std::vector<Block> blocks;
    std::size_t used = 0;
    for (int step = 0; step < 60'000; ++step) {
      const std::size_t pick = blocks.empty() ? 0 : random() % blocks.size();
      const std::uint32_t what = random() % (step / 10'000 % 2 == 0 ? 5 : 8);
      if (blocks.empty() || what < 3) {
        const Block block{nullptr, random_size(random), static_cast<std::uint8_t>(random())};
        std::uint8_t* at = resize(arena, nullptr, 0, block.bytes);
        if (at == nullptr) continue;
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(at) % 16, 0u);
        std::memset(at, block.fill, block.bytes);
        blocks.push_back({at, block.bytes, block.fill});
        used += block.bytes;
      } else if (what == 3) {
        Block& block = blocks[pick];
        const std::size_t bytes = random() % 3 == 0 ? random_size(random) : block.bytes * 2;
        std::uint8_t* at = resize(arena, block.at, block.bytes, bytes);
        if (at == nullptr) continue;
        block.at = at;
        ASSERT_TRUE(holds(block, std::min(bytes, block.bytes)));
        std::memset(at, block.fill, bytes);
        used += bytes - block.bytes;
        block.bytes = bytes;
      } else {
        ASSERT_TRUE(holds(blocks[pick], blocks[pick].bytes));
        resize(arena, blocks[pick].at, blocks[pick].bytes, 0);
        used -= blocks[pick].bytes;
        blocks[pick] = blocks.back();
        blocks.pop_back();
      }
      ASSERT_EQ(arena.used_bytes(), used);
    }
    for (const Block& block : blocks) ASSERT_TRUE(holds(block, block.bytes));
  }
}

// Blocks of any one size fill the cap to the last that fits, also after the memory held blocks of another size.
TEST(Arena, IsUsableUpToTheCap) {
  constexpr std::size_t cap = 16 * kMiB;
  Arena arena(cap);
  for (const std::size_t bytes : {16u, 24u, 64u, 72u, 520u, 600u, 4104u, 20'000u, 32'776u, 300'000u, 5'000'000u, 40u}) {
    std::vector<std::uint8_t*> blocks;
    while (std::uint8_t* at = resize(arena, nullptr, 0, bytes)) {
      *at = 1;
      blocks.push_back(at);
    }
    EXPECT_EQ(blocks.size(), cap / bytes);
    for (std::size_t i = 0; i < blocks.size(); i += 2) resize(arena, blocks[i], bytes, 0);
    for (std::size_t i = 1; i < blocks.size(); i += 2) resize(arena, blocks[i], bytes, 0);
    EXPECT_EQ(arena.used_bytes(), 0u);
  }
}

TEST(Arena, RefusesGrownBlocksLikeNewOnesAndShrinksAlways) {
  Arena arena(kMiB);
  std::uint8_t* at = resize(arena, nullptr, 0, 600'000);
  ASSERT_NE(at, nullptr);
  EXPECT_EQ(resize(arena, at, 600'000, kMiB + 1), nullptr);
  EXPECT_EQ(resize(arena, nullptr, 0, kMiB - 599'999), nullptr);
  at = resize(arena, at, 600'000, kMiB);
  ASSERT_NE(at, nullptr);
  at = resize(arena, at, kMiB, 10);
  ASSERT_NE(at, nullptr);
  EXPECT_EQ(arena.used_bytes(), 10u);
  EXPECT_EQ(arena.peak_bytes(), kMiB);
}

TEST(Arena, LeavesByTheWayOutWhenTheCapIsMet) {
  Arena arena(kMiB);
  std::jmp_buf way_out;
  if (_setjmp(way_out) == 0) {
    arena.arm(&way_out);
    resize(arena, nullptr, 0, 2 * kMiB);
    FAIL() << "came back";
  }
  EXPECT_EQ(resize(arena, nullptr, 0, 2 * kMiB), nullptr) << "the way out is taken once";
}

// A block that doubles again and again is one of the largest tables; its pages move, they are not copied.
TEST(Arena, GrowsOneBlockToTheCap) {
  Arena arena(64 * kMiB);
  std::uint8_t* at = resize(arena, nullptr, 0, 100);
  std::uint8_t* wall = nullptr;  // so that it can't grow in place
  at[0] = 42;
  std::size_t bytes = 100;
  while (bytes * 2 <= 63 * kMiB) {
    at = resize(arena, at, bytes, bytes * 2);
    ASSERT_NE(at, nullptr) << bytes;
    ASSERT_EQ(at[0], 42);
    ASSERT_TRUE(bytes == 100 || at[bytes - 1] == 7);
    bytes *= 2;
    at[bytes - 1] = 7;
    if (wall != nullptr) resize(arena, wall, 5000, 0);
    wall = resize(arena, nullptr, 0, 5000);
  }
  EXPECT_GT(bytes, 40 * kMiB);
}

TEST(Arena, GivesBackWhatIsFreed) {
  Arena arena(64 * kMiB);
  std::vector<std::uint8_t*> blocks(kMiB);
  const std::size_t before = resident_bytes();
  for (const std::size_t bytes : {64u, 2000u, 100'000u, 20'000'000u}) {
    blocks.clear();
    for (std::size_t total = 0; total + bytes <= 60 * kMiB; total += bytes) {
      blocks.push_back(resize(arena, nullptr, 0, bytes));
      std::memset(blocks.back(), 1, bytes);
    }
    EXPECT_GT(resident_bytes(), before + 30 * kMiB);
    for (std::uint8_t* block : blocks) resize(arena, block, bytes, 0);
    EXPECT_LT(resident_bytes(), before + 8 * kMiB) << bytes;
  }
}

TEST(Arena, IsGivenBackAsAWhole) {
  const std::size_t before = resident_bytes();
  for (int i = 0; i < 25; ++i) {
    Arena arena(64 * kMiB);
    for (int k = 0; k < 200; ++k) std::memset(resize(arena, nullptr, 0, 100'000), 1, 100'000);
  }
  EXPECT_LT(resident_bytes(), before + 8 * kMiB);
}

}  // namespace
