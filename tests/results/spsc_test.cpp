// The queue between workers and collector: random schedules on one thread against a model, and two threads for real
// (the same file is built with -fsanitize=thread by tests/results/meson.build).
#include "engine/spsc.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <thread>
#include <vector>

namespace {

using engine::SpscRing;

// A record whose every byte follows from its number and length, so that any mix-up shows.
std::vector<std::byte> make_record(std::uint32_t length, std::uint64_t number) {
  std::vector<std::byte> record(length);
  std::memcpy(record.data(), &length, sizeof length);
  for (std::size_t i = 4; i < length; ++i) record[i] = static_cast<std::byte>(number * 31 + i);
  return record;
}

bool is_record(std::span<const std::byte> bytes, std::uint64_t number) {
  const std::vector<std::byte> expected = make_record(static_cast<std::uint32_t>(bytes.size()), number);
  return std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end());
}

std::uint32_t length_at(std::span<const std::byte> bytes) {
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  return length;
}

std::uint32_t random_length(std::mt19937& random, std::uint32_t most) {
  return 8 * std::uniform_int_distribution<std::uint32_t>(1, most / 8)(random);
}

TEST(Spsc, RefusesSizesThatAreNoPowerOfTwoOrTooSmall) {
  EXPECT_THROW(SpscRing(0), engine::SetupError);
  EXPECT_THROW(SpscRing(2048), engine::SetupError);
  EXPECT_THROW(SpscRing(5000), engine::SetupError);
  EXPECT_EQ(SpscRing(8192).capacity(), 8192u);
}

TEST(Spsc, ShowsNothingBeforeItIsPublished) {
  SpscRing ring(4096);
  ASSERT_TRUE(ring.push(make_record(16, 0)));
  EXPECT_TRUE(ring.readable().empty());
  ring.publish();
  EXPECT_EQ(ring.readable().size(), 16u);
}

TEST(Spsc, TakesExactlyItsCapacityAndThenRefuses) {
  SpscRing ring(4096);
  for (int i = 0; i < 4096 / 32; ++i) ASSERT_TRUE(ring.push(make_record(32, i)));
  EXPECT_FALSE(ring.push(make_record(8, 0)));
  EXPECT_TRUE(ring.window(8).empty());
  ring.publish();
  ASSERT_EQ(ring.readable().size(), 4096u);
  // Room is given back in pieces of a sixteenth.
  for (int i = 0; i < 4096 / 16 / 32 - 1; ++i) ring.consume(32);
  EXPECT_FALSE(ring.push(make_record(32, 0)));
  ring.consume(32);
  for (int i = 0; i < 4096 / 16 / 32; ++i) EXPECT_TRUE(ring.push(make_record(32, 0)));
  EXPECT_FALSE(ring.push(make_record(8, 0)));
}

TEST(Spsc, GivesAllRoomBackWhenItHasBeenReadToTheEnd) {
  SpscRing ring(4096);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ring.push(make_record(32, i)));
  ring.publish();
  for (int i = 0; i < 3; ++i) {
    ASSERT_FALSE(ring.readable().empty());
    ring.consume(32);
  }
  for (int i = 0; i < (4096 - 96) / 32; ++i) ASSERT_TRUE(ring.push(make_record(32, i)));
  EXPECT_TRUE(ring.push(make_record(96, 0)));
  EXPECT_FALSE(ring.push(make_record(8, 0)));
}

TEST(Spsc, AlwaysHasRoomForHalfItsCapacityWhenEmpty) {
  for (std::uint32_t start = 0; start < 4096; start += 8) {
    SpscRing ring(4096);
    if (start != 0) {
      std::span<std::byte> room = ring.window(start);
      const std::uint32_t length = start;
      std::memcpy(room.data(), &length, sizeof length);
      ring.advance(start);
      ring.publish();
      ring.consume(ring.readable().size());
    }
    EXPECT_FALSE(ring.window(2048).empty()) << "from position " << start;
  }
}

TEST(Spsc, GivesTheSkippedEndOfALapBackEvenIfNothingFollowsYet) {
  SpscRing ring(4096);
  ASSERT_TRUE(ring.push(make_record(2040, 0)));
  ASSERT_TRUE(ring.push(make_record(2048, 1)));
  ring.publish();
  ring.consume(ring.readable().size());
  ASSERT_FALSE(ring.window(2048).empty());  // skips the last 8 bytes
  ring.publish();
  EXPECT_TRUE(ring.readable().empty());
  EXPECT_EQ(ring.window(4096).size(), 4096u);
}

TEST(Spsc, CountsAWindowUpToTheOldestUnreadByte) {
  SpscRing ring(4096);
  ASSERT_TRUE(ring.push(make_record(1024, 0)));
  ASSERT_TRUE(ring.push(make_record(1024, 1)));
  ring.publish();
  ASSERT_EQ(ring.readable().size(), 2048u);
  ring.consume(1024);
  EXPECT_EQ(ring.window(8).size(), 2048u);
  ASSERT_TRUE(ring.push(make_record(2048, 2)));
  EXPECT_EQ(ring.window(1024).size(), 1024u);
  EXPECT_TRUE(ring.window(1032).empty());
}

// One thread plays both sides in random order; a deque is the model.
TEST(Spsc, KeepsEveryRecordInOrderUnderRandomSchedules) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    SpscRing ring(4096);
    const std::uint32_t longest = seed % 2 == 0 ? 64 : 2048;
    std::deque<std::uint32_t> unpublished, published;
    std::uint64_t sent = 0, received = 0;
    for (int step = 0; step < 3000; ++step) {
      const unsigned action = random() % 4;
      if (action < 2) {
        const std::uint32_t length = random_length(random, longest);
        if (ring.push(make_record(length, sent))) {
          unpublished.push_back(length);
          ++sent;
        } else {
          ASSERT_FALSE(unpublished.empty() && published.empty()) << "refused although empty";
        }
      } else if (action == 2) {
        ring.publish();
        published.insert(published.end(), unpublished.begin(), unpublished.end());
        unpublished.clear();
      } else {
        std::span<const std::byte> bytes = ring.readable();
        ASSERT_EQ(bytes.empty(), published.empty());
        std::size_t take = bytes.empty() ? 0 : random() % 8 + 1, used = 0;
        for (; take > 0 && used < bytes.size(); --take) {
          const std::uint32_t length = length_at(bytes.subspan(used));
          ASSERT_EQ(length, published.front());
          ASSERT_TRUE(is_record(bytes.subspan(used, length), received));
          published.pop_front();
          used += length;
          ++received;
        }
        ring.consume(used);
      }
    }
    EXPECT_EQ(sent - received, unpublished.size() + published.size());
  }
}

struct Traffic {
  std::uint32_t longest;
  std::uint32_t batch;  // records per publish
};

class SpscThreads : public testing::TestWithParam<Traffic> {};

TEST_P(SpscThreads, DeliverEveryByteInOrder) {
  const Traffic traffic = GetParam();
  const std::uint64_t records = traffic.longest > 64 ? 10'000 : 200'000;
  SpscRing ring(8192);
  std::uint64_t refused = 0;
  std::thread producer([&] {
    std::mt19937 random(7);
    for (std::uint64_t number = 0; number < records; ++number) {
      const std::vector<std::byte> record = make_record(random_length(random, traffic.longest), number);
      while (!ring.push(record)) {
        ++refused;
        ring.publish();  // the consumer can only make room for what it can see
        std::this_thread::yield();
      }
      if (number % traffic.batch == 0) ring.publish();
    }
    ring.publish();
  });
  std::mt19937 random(7);
  std::uint64_t received = 0, wrong = 0;
  while (received < records) {
    const std::span<const std::byte> bytes = ring.readable();
    if (bytes.empty()) std::this_thread::yield();
    std::size_t used = 0;
    while (used < bytes.size()) {
      const std::uint32_t length = length_at(bytes.subspan(used));
      if (length != random_length(random, traffic.longest)) ++wrong;
      if (length < 8 || length > bytes.size() - used) break;
      if (!is_record(bytes.subspan(used, length), received)) ++wrong;
      used += length;
      ++received;
    }
    ring.consume(used);
    if (wrong != 0) break;
  }
  if (wrong != 0) {  // let the producer end before failing
    for (std::size_t idle = 0; idle < 1000; ++idle) {
      const std::size_t bytes = ring.readable().size();
      if (bytes != 0) idle = 0;
      ring.consume(bytes);
      std::this_thread::yield();
    }
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(received, records);
  EXPECT_TRUE(ring.readable().empty());
}

INSTANTIATE_TEST_SUITE_P(Spsc, SpscThreads,
                         testing::Values(Traffic{32, 1}, Traffic{32, 64}, Traffic{1024, 1}, Traffic{4096, 16}));

}  // namespace
