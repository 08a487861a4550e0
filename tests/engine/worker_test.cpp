// The live worker against a fake kernel over heap memory: no root, no NIC, random schedules. Frames are conserved
// whatever the two sides' timing; built a second time for ThreadSanitizer.
#include "engine/worker.h"

#include "bpf/root_abi.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <random>
#include <thread>

#include "engine/base/unique_fd.h"
#include "engine/clock.h"
#include "tests/engine/parts.h"
#include "tests/xsk/fake_kernel.h"

namespace engine {
namespace {

constexpr std::uint32_t kFrames = 256;
constexpr std::uint32_t kRxEntries = 128;

// A worker with `queues` queues, each fed by a fake kernel of its own.
class Rig {
 public:
  explicit Rig(std::uint32_t queues, std::int64_t count = 0, std::uint32_t first_index = 0)
      : analysis_({.ring_bytes = 64u << 10, .make_room = {}, .epoch_ns = wall_ns()}) {
    // All queues' frames in one address range, as the capture lays them out.
    std::vector<Lane*> lanes;
    for (std::uint32_t i = 0; i < queues; ++i) {
      kernels_.push_back(std::make_unique<xsk::test::FakeReceiver>(kFrames, kRxEntries, first_index));
      auto& kernel = *kernels_.back();
      queues_.push_back(std::make_unique<xsk::RxQueue>(kernel.rx().memory(), kernel.fill().memory(), kernel.umem(),
                                                       xsk::test::FakeReceiver::chunk_bytes));
      lanes_.push_back(std::make_unique<Lane>());
      lanes_.back()->queue = queues_.back().get();
      lanes_.back()->index = static_cast<std::uint16_t>(i);
      lanes.push_back(lanes_.back().get());
    }
    control_.limited = count > 0;
    control_.budget = count;
    done_ = UniqueFd(eventfd(0, EFD_NONBLOCK));
    control_.done_fd = done_.get();
    analysis_.add_summary(1'000'000'000);
    const auto* frames = reinterpret_cast<const std::uint8_t*>(kernels_.front()->umem().data());
    analysis_.begin(frames, wall_ns());
    worker_ = std::make_unique<Worker>(std::move(lanes), analysis_, control_, frames, Idling{.spin = true});
  }

  ~Rig() { test::take_messages(analysis_); }

  // Delivers about `packets` in bursts of random length while the worker runs, then ends it.
  void run(std::uint64_t packets, unsigned seed) {
    std::thread thread([this] { worker_->run(); });
    std::mt19937 random(seed);
    while (delivered() < packets) {
      auto& kernel = *kernels_[random() % kernels_.size()];
      kernel.take(random() % 70);
      if (random() % 3 != 0) kernel.deliver(random() % 70);
      if (random() % 8 == 0) std::this_thread::yield();
    }
    control_.phase.store(RunControl::draining, std::memory_order_release);
    thread.join();
  }

  std::uint64_t delivered() const {
    std::uint64_t sum = 0;
    for (const auto& kernel : kernels_) sum += kernel->delivered();
    return sum;
  }
  std::uint64_t sum(std::atomic<std::uint64_t> Lane::*counter) const {
    std::uint64_t sum = 0;
    for (const auto& lane : lanes_) sum += ((*lane).*counter).load();
    return sum;
  }
  bool count_was_announced() const {
    eventfd_t value = 0;
    return eventfd_read(done_.get(), &value) == 0;
  }

  std::vector<std::unique_ptr<xsk::test::FakeReceiver>> kernels_;
  std::vector<std::unique_ptr<xsk::RxQueue>> queues_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  UniqueFd done_;
  RunControl control_;
  Analysis analysis_;
  std::unique_ptr<Worker> worker_;
};

TEST(Worker, AnalysesEveryFrameThatWasDelivered) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    Rig rig(1);
    rig.run(5000, seed);
    EXPECT_EQ(rig.sum(&Lane::analysed), rig.delivered());
    EXPECT_EQ(rig.sum(&Lane::skipped), 0u);
    EXPECT_EQ(rig.queues_[0]->rx_packets(), rig.delivered());
  }
}

TEST(Worker, GoesOnWhereTheRingsIndexesWrap) {
  Rig rig(1, 0, UINT32_MAX - 1000);
  rig.run(5000, 7);
  EXPECT_EQ(rig.sum(&Lane::analysed), rig.delivered());
  EXPECT_EQ(rig.queues_[0]->rx_packets(), rig.delivered());
}

TEST(Worker, GivesEveryFrameBack) {
  Rig rig(1);
  rig.run(5000, 3);
  auto& kernel = *rig.kernels_[0];
  kernel.publish_taken();
  EXPECT_EQ(kernel.frames_held() + kernel.frames_in_fill_ring(), kFrames);
}

TEST(Worker, CountsWhatComesAfterTheLimitAsSkipped) {
  Rig rig(1, 1000);
  rig.run(5000, 5);
  EXPECT_EQ(rig.sum(&Lane::analysed), 1000u);
  EXPECT_EQ(rig.sum(&Lane::analysed) + rig.sum(&Lane::skipped), rig.delivered());
  EXPECT_TRUE(rig.count_was_announced());
}

TEST(Worker, ALimitThatIsAWholeNumberOfBatchesIsAnnouncedToo) {
  Rig rig(1, 64);
  rig.kernels_[0]->take(kFrames);
  rig.kernels_[0]->deliver(64);
  rig.run(64, 5);
  EXPECT_EQ(rig.sum(&Lane::analysed), 64u);
  EXPECT_TRUE(rig.count_was_announced());
}

// What the root program writes in front of a frame, here by hand: hash, the tag that the NIC took out, its time stamp.
TEST(Worker, TakesWhatTheNicSaysOfAFrame) {
  std::uint64_t epoch_ns = 0;
  const auto run = [&](const root_hints& hints, std::int64_t clock_to_utc_ns = Lane::kNoClock) {
    Rig rig(1);
    rig.lanes_[0]->has_hints = true;
    rig.lanes_[0]->clock_to_utc_ns = clock_to_utc_ns;
    rig.kernels_[0]->take(1);
    rig.kernels_[0]->write_before_next_frame(std::as_bytes(std::span(&hints, 1)));
    rig.kernels_[0]->deliver(1);
    rig.control_.phase = RunControl::draining;
    rig.worker_->run();
    epoch_ns = rig.analysis_.epoch_ns();
    return rig.analysis_.packets()[0];
  };
  root_hints hints{};
  hints.magic = ROOT_HINTS_MAGIC;
  hints.rx_hash = 0xabcd1234;
  hints.vlan_tci = 0x2000 | 42;
  hints.rx_timestamp_ns = wall_ns();
  hints.valid = ROOT_HINT_HASH | ROOT_HINT_VLAN | ROOT_HINT_TIMESTAMP;
  engine_packet packet = run(hints);
  EXPECT_EQ(packet.rss_hash, 0xabcd1234u);
  EXPECT_EQ(packet.vlan, 42);
  EXPECT_EQ(packet._ts_source, 0) << "the NIC's clock is not known";
  packet = run(hints, -1'000'000'000);
  EXPECT_EQ(packet._ts_source, 3);
  EXPECT_EQ(packet.time,
            static_cast<double>(static_cast<std::int64_t>(hints.rx_timestamp_ns - 1'000'000'000 - epoch_ns)));
  hints.valid = 0;  // the driver knew nothing
  packet = run(hints);
  EXPECT_EQ(packet.rss_hash, 0u);
  EXPECT_EQ(packet.vlan, 0);
  EXPECT_EQ(packet._ts_source, 0);
  hints.magic = 0;  // a frame that came without
  hints.valid = ROOT_HINT_ALL;
  packet = run(hints);
  EXPECT_EQ(packet.rss_hash, 0u);
}

// Each with its own queue's bytes: a lane with a wrong memory offset would decode other frames.
TEST(Worker, ServesSeveralQueues) {
  Rig rig(1);
  Rig other(1);
  rig.run(3000, 11);
  other.run(3000, 12);
  EXPECT_EQ(rig.sum(&Lane::analysed), rig.delivered());
  EXPECT_EQ(other.sum(&Lane::analysed), other.delivered());
}

}  // namespace
}  // namespace engine
