// The ledger on a real interface, also where a frame is lost on purpose, and 100 rounds of set-up and tear-down. The
// sender's count is the fourth party. Needs root: a veth pair in a network namespace of the test's own.
#include "engine/capture.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "bpf/root_program.h"
#include "engine/base/unique_fd.h"
#include "engine/clock.h"
#include "engine/gen/gen.h"
#include "engine/session.h"
#include "engine/source/xdp_port.h"
#include "tests/bpf/lossy.h"
#include "tests/engine/parts.h"
#include "tests/xsk/lab.h"

namespace engine {
namespace {

constexpr std::uint64_t kFramesPerQueue = 500;

// A capture with its workers on threads, as a live run has them.
class Session {
 public:
  Session(const cli::Settings& settings, const cli::Log& log, std::optional<bpf::RootProgram> ready = std::nullopt)
      : settings(settings), capture(this->settings, log, request(std::move(ready))) {
    for (CaptureShare& share : capture.shares()) {
      analyses_.push_back(
          std::make_unique<Analysis>(AnalysisConfig{.ring_bytes = 64u << 10, .make_room = {}, .epoch_ns = wall_ns()}));
      analyses_.back()->add_summary(1'000'000'000);
      analyses_.back()->begin(share.frames(), wall_ns());
      workers_.push_back(std::make_unique<Worker>(share.lanes, *analyses_.back(), control_, share.frames(), Idling{}));
    }
  }
  ~Session() {
    end();
    for (auto& analysis : analyses_) test::take_messages(*analysis);
  }

  void start() {
    capture.start();
    for (auto& worker : workers_) threads_.emplace_back([&worker] { worker->run(); });
  }
  // The interface is let go and taken again while the workers run.
  void reopen() {
    for (const auto& port : capture.ports()) {
      capture.let_go(*port, control_, {});
      capture.take(*port, control_);
    }
  }
  std::vector<QueueLedger> end() {
    capture.stop();
    control_.phase = RunControl::draining;
    control_.wake_workers();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    return capture.ledger(true);
  }

  const cli::Settings settings;  // the ports refer to them when they are opened again
  Capture capture;

 private:
  static CaptureRequest request(std::optional<bpf::RootProgram> ready) {
    CaptureRequest request;
    request.program = std::move(ready);
    return request;
  }

  RunControl control_;
  std::vector<std::unique_ptr<Analysis>> analyses_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
};

class CaptureTest : public xsk::test::Lab {
 protected:
  cli::Settings settings() const {
    cli::Settings settings;
    settings.interfaces = {{near(), {}}};
    settings.queues = queues;
    return settings;
  }

  // Frames to every queue. Returns how many went to each.
  std::vector<std::uint64_t> send() {
    gen::Settings generator;
    generator.interface_name = far();
    generator.method = gen::Method::tx;
    generator.queues = {0, 1, 2, 3};
    generator.count = kFramesPerQueue * queues;
    generator.rate_pps = 20000;
    const gen::Outcome outcome = gen::generate(generator);
    EXPECT_EQ(outcome.failure, "");
    const gen::NotTaken& refused = outcome.report.not_taken.value();
    EXPECT_EQ(refused.tx_dropped, 0u) << "the rate is far below what veth takes";
    std::vector<std::uint64_t> sent(queues);
    for (const auto& [queue, there] : outcome.report.queues) sent.at(queue) = there.packets;
    return sent;
  }

  // Everything closed but for `queue`, which misses exactly one frame.
  static void expect_one_missing(const std::vector<QueueLedger>& ledgers, std::uint32_t queue) {
    for (const QueueLedger& ledger : ledgers)
      EXPECT_EQ(ledger.unaccounted(), ledger.queue == queue ? 1u : 0u) << "queue " << ledger.queue;
  }

  std::vector<QueueLedger> run_with(lose_at where, std::uint32_t queue) {
    bpf_test::Lossy lossy(8, queue, where);
    Session session(settings(), log_, bpf::RootProgram(lossy.take_fds(), 8));
    session.start();
    lossy.lose_one();
    send();
    EXPECT_TRUE(lossy.has_lost());
    return session.end();
  }

  cli::Log log_{cli::LogLevel::error};
};

TEST_F(CaptureTest, ClosesTheLedgerOfEveryQueueAndAgreesWithTheSender) {
  Session session(settings(), log_);
  session.start();
  const auto sent = send();
  const auto ledgers = session.end();
  ASSERT_EQ(ledgers.size(), static_cast<std::size_t>(queues));
  for (const QueueLedger& ledger : ledgers) {
    EXPECT_EQ(ledger.unaccounted(), 0u) << "queue " << ledger.queue;
    EXPECT_EQ(ledger.xdp_seen, sent[ledger.queue]);
    EXPECT_GT(ledger.analysed, 0u);
  }
}

TEST_F(CaptureTest, KeepsItsCountsWhereTheInterfaceIsLetGoAndTakenAgain) {
  Session session(settings(), log_);
  session.start();
  std::vector<std::uint64_t> sent(queues);
  for (int round = 0; round < 3; ++round) {
    if (round > 0) session.reopen();
    const auto more = send();
    for (std::size_t queue = 0; queue < sent.size(); ++queue) sent[queue] += more[queue];
  }
  for (const QueueLedger& ledger : session.end()) {
    EXPECT_EQ(ledger.unaccounted(), 0u) << "queue " << ledger.queue;
    EXPECT_EQ(ledger.xdp_seen, sent[ledger.queue]);
    EXPECT_EQ(ledger.analysed, sent[ledger.queue]);
  }
}

TEST_F(CaptureTest, ShowsAFrameThatTheProgramLostAfterItWasSeen) {
  expect_one_missing(run_with(LOSE_AFTER_SEEN, 1), 1);
}

TEST_F(CaptureTest, ShowsAFrameThatWasLostBetweenProgramAndSocket) {
  expect_one_missing(run_with(LOSE_AFTER_REDIRECTED, 2), 2);
}

TEST_F(CaptureTest, ShowsADescriptorThatTheWorkerSkipped) {
  Session session(settings(), log_);
  session.capture.start();  // no worker yet: the frames wait in the rings
  send();
  for (CaptureShare& share : session.capture.shares())
    for (Lane* lane : share.lanes)
      if (lane->index == 3) {
        const xsk::RxBatch lost = lane->queue->receive(1);
        ASSERT_EQ(lost.size(), 1u);
      }
  session.start();
  expect_one_missing(session.end(), 3);
}

TEST_F(CaptureTest, CountsFramesThatWentToAWrongSlotAsRedirectErrors) {
  Session session(settings(), log_);
  session.start();
  // Slot 1 holds the socket of queue 0: the kernel refuses each of queue 1's frames (xsk_rcv_check: EINVAL).
  auto& port = dynamic_cast<XdpPort&>(*session.capture.ports().front());
  for (const xsk::Socket* socket : port.sockets())
    if (socket->queue().value() == 0) port.program()->set_socket(1, socket->fd());
  const auto sent = send();
  const auto ledgers = session.end();
  for (const QueueLedger& ledger : ledgers) {
    if (!ledger.redirect_errors) GTEST_SKIP() << "needs CAP_PERFMON and the tracepoint xdp_redirect_err";
    EXPECT_EQ(*ledger.redirect_errors, ledger.queue == 1 ? sent[1] : 0u);
    EXPECT_EQ(ledger.unaccounted(), 0u);
  }
}

TEST_F(CaptureTest, ReportsAQueueThatGetsTrafficButWasNotAskedFor) {
  cli::Settings some = settings();
  some.queues = 2;
  Session session(some, log_);
  session.start();
  const auto sent = send();
  const auto ledgers = session.end();
  ASSERT_EQ(ledgers.size(), 4u);
  EXPECT_EQ(ledgers[3].no_socket, sent[3]);
  for (const QueueLedger& ledger : ledgers) EXPECT_EQ(ledger.unaccounted(), 0u);
}

// AddressSanitizer does, for a while; it finds leaks by itself.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kKeepsWhatWasFreed = true;
#else
constexpr bool kKeepsWhatWasFreed = false;
#endif

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmRSS:") {
      std::size_t kib = 0;
      status >> kib;
      return kib;
    }
  return 0;
}

// The ids of the maps that this process holds.
std::set<__u32> own_maps() {
  std::set<__u32> ids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream info(entry.path());
    for (std::string word; info >> word;)
      if (__u32 id = 0; word == "map_id:" && info >> id) ids.insert(id);
  }
  return ids;
}

bool exists(__u32 map_id) { return UniqueFd(bpf_map_get_fd_by_id(map_id)).valid(); }

TEST_F(CaptureTest, LeaksNeitherMemoryNorDescriptorsNorMapsOver100Rounds) {
  std::set<__u32> maps;
  const auto round = [&] {
    Session session(settings(), log_);
    session.start();
    maps.merge(own_maps());
  };
  for (int i = 0; i < 5; ++i) round();  // what is allocated once and kept
  const std::size_t descriptors = open_descriptors(), kib = resident_kib();
  for (int i = 0; i < 100; ++i) round();
  malloc_trim(0);
  EXPECT_EQ(open_descriptors(), descriptors);
  if (!kKeepsWhatWasFreed) {
    EXPECT_LE(resident_kib(), kib + 1024);
  }
  ASSERT_GE(maps.size(), 105u);
  // The kernel frees maps after a grace period.
  const std::uint64_t until_ns = monotonic_ns() + 60'000'000'000;
  for (const __u32 id : maps)
    while (exists(id) && monotonic_ns() < until_ns) std::this_thread::yield();
  EXPECT_TRUE(std::ranges::none_of(maps, exists));
}

}  // namespace
}  // namespace engine
