// The kernel's side on a thread of its own. Built a second time with -fsanitize=thread: the rings' memory orders are
// all that orders the accesses to entries and frames. No root.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/xsk/fake_kernel.h"

namespace xsk::test {
namespace {

constexpr std::uint64_t packets = 200'000;

TEST(Threads, ReceiveEveryPacketInOrderBesideARunningKernel) {
  constexpr std::uint32_t frames = 64;
  FakeReceiver kernel(frames, 32, 0xffff'f000U);
  RxQueue queue(kernel.rx().memory(), kernel.fill().memory(), kernel.umem(), FakeReceiver::chunk_bytes);
  std::thread other_side([&kernel] {
    std::mt19937 random(1);
    while (kernel.delivered() < packets) {
      kernel.take(1 + random() % 48);
      const std::uint64_t left = packets - kernel.delivered();
      if (kernel.deliver(static_cast<std::uint32_t>(std::min<std::uint64_t>(1 + random() % 48, left))) == 0)
        std::this_thread::yield();
      if (random() % 3 == 0) kernel.publish_taken();
    }
  });
  std::mt19937 random(2);
  std::uint64_t seen = 0;
  std::uint64_t wrong = 0;
  while (seen < packets) {
    const RxBatch batch = queue.receive(1 + random() % 40);
    if (batch.empty()) std::this_thread::yield();
    for (std::uint32_t i = 0; i < batch.size(); ++i) wrong += number_in(queue.umem(), batch[i]) != seen++;
  }
  other_side.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(queue.rx_packets(), packets);
  EXPECT_EQ(kernel.frames_held() + kernel.frames_in_fill_ring(), frames);
}

TEST(Threads, SendEveryPacketOnceBesideARunningKernel) {
  constexpr std::uint32_t frames = 64;
  FakeSender kernel(frames, 32, 0xffff'f000U);
  TxQueue queue(kernel.tx().memory(), kernel.completion().memory(), kernel.umem(), FakeSender::chunk_bytes);
  std::uint64_t wrong = 0;
  std::thread other_side([&kernel, &wrong] {
    std::mt19937 random(1);
    std::uint64_t next = 0;
    while (next < packets) {
      const std::size_t before = kernel.in_flight().size();
      if (kernel.take(1 + random() % 48) == 0) std::this_thread::yield();
      for (std::size_t i = before; i < kernel.in_flight().size(); ++i)
        wrong += number_in(kernel.umem(), {kernel.in_flight()[i].addr, 8}) != next++;
      if (random() % 3 == 0) kernel.publish_taken();
      while (!kernel.in_flight().empty() && random() % 8 != 0) kernel.complete(random() % kernel.in_flight().size());
    }
    kernel.publish_taken();
    while (!kernel.in_flight().empty()) kernel.complete(0);
  });
  std::mt19937 random(2);
  std::uint64_t next = 0;
  while (next < packets) {
    TxBatch batch =
        queue.reserve(static_cast<std::uint32_t>(std::min<std::uint64_t>(1 + random() % 40, packets - next)));
    while (batch.room() != 0) {
      std::memcpy(batch.buffer().data(), &next, sizeof next);
      next += batch.push(60);
    }
    if (queue.submit(std::move(batch)) == 0) std::this_thread::yield();
    queue.drain_completions();
  }
  other_side.join();
  queue.drain_completions();
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(queue.completed(), packets);
  EXPECT_EQ(queue.bad_completions(), 0U);
  EXPECT_EQ(queue.pool().free(), frames);
}

}  // namespace
}  // namespace xsk::test
