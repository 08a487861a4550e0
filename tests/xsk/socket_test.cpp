// Socket on real queues of a veth pair. As root; without, what the kernel refuses and how that is explained.
#include "xsk/socket.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "engine/base/error.h"
#include "tests/xsk/lab.h"

namespace xsk::test {
namespace {

using engine::ExitCode;
using engine::SetupError;
using std::chrono::steady_clock;

constexpr std::uint32_t chunk_bytes = 2048;
constexpr std::uint32_t frames = 256;

// Page-aligned, and zeroed so that the frames are there.
class Memory {
 public:
  explicit Memory(std::size_t size_bytes = std::size_t{frames} * chunk_bytes)
      : bytes_(static_cast<std::byte*>(std::aligned_alloc(4096, size_bytes)), size_bytes) {
    std::memset(bytes_.data(), 0, bytes_.size());
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { std::free(bytes_.data()); }
  std::span<std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

SocketConfig receiving(const Link& link, std::uint32_t queue, const Memory& memory) {
  SocketConfig config;
  config.interface_name = link.name;
  config.ifindex = link.ifindex;
  config.queue = QueueId(queue);
  config.umem = memory.bytes();
  config.chunk_bytes = chunk_bytes;
  config.rx_entries = 128;
  return config;
}

SocketConfig sending(const Link& link, std::uint32_t queue, const Memory& memory) {
  SocketConfig config = receiving(link, queue, memory);
  config.rx_entries = 0;
  config.tx_entries = 64;
  return config;
}

// The error of an open() that must fail.
SetupError refusal(const SocketConfig& config) {
  try {
    (void)Socket::open(config);
  } catch (const SetupError& error) {
    return error;
  }
  ADD_FAILURE() << "the socket was opened";
  return {ExitCode::done, "", ""};
}

// A socket map and, natively attached, the shortest program that uses it: redirect by receive queue, else pass.
class Redirect {
 public:
  explicit Redirect(unsigned ifindex)
      : map_(bpf_map_create(BPF_MAP_TYPE_XSKMAP, "sockets", sizeof(int), sizeof(int), 8, nullptr)) {
    const std::array<bpf_insn, 6> code{{
        {BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, offsetof(xdp_md, rx_queue_index), 0},
        {BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map_.get()},
        {0, 0, 0, 0, 0},
        {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, XDP_PASS},
        {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    }};
    bpf_prog_load_opts options{};
    options.sz = sizeof options;
    options.expected_attach_type = BPF_XDP;
    program_.reset(bpf_prog_load(BPF_PROG_TYPE_XDP, "redirect", "GPL", code.data(), code.size(), &options));
    bpf_link_create_opts native{};
    native.sz = sizeof native;
    native.flags = XDP_FLAGS_DRV_MODE;
    link_.reset(bpf_link_create(program_.get(), static_cast<int>(ifindex), BPF_XDP, &native));
  }
  bool attached() const noexcept { return link_.valid(); }
  bool add(const Socket& socket) const noexcept {
    const std::uint32_t slot = socket.queue().value();
    const int fd = socket.fd();
    return bpf_map_update_elem(map_.get(), &slot, &fd, BPF_ANY) == 0;
  }

 private:
  engine::UniqueFd map_;
  engine::UniqueFd program_;
  engine::UniqueFd link_;
};

class SocketInLab : public Lab {
 protected:
  void SetUp() override {
    Lab::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    near_link_ = read_link(near());
    far_link_ = read_link(far());
  }
  Link near_link_;
  Link far_link_;
};

TEST_F(SocketInLab, FourQueuesAreServedAtOnceInCopyMode) {
  const std::array<Memory, 4> memory;
  std::vector<Socket> sockets;
  for (std::uint32_t queue = 0; queue < 4; ++queue)
    sockets.push_back(Socket::open(receiving(near_link_, queue, memory[queue])));
  for (Socket& socket : sockets) {
    EXPECT_FALSE(socket.obtained_zero_copy());
    EXPECT_EQ(socket.mode(), ObtainedMode::copy);
    EXPECT_EQ(socket.fallback_reason(), "the driver has no zero-copy AF_XDP");
    EXPECT_EQ(socket.wake_rx(), 0);
    EXPECT_TRUE(socket.rx_queue().receive(64).empty());
    EXPECT_EQ(socket.statistics().rx_dropped, 0U);
  }
}

TEST_F(SocketInLab, ForcedModesAreObtainedOrRefused) {
  const Memory memory;
  SocketConfig config = receiving(near_link_, 0, memory);
  config.mode = RequestedMode::zerocopy;
  const SetupError refused = refusal(config);
  EXPECT_EQ(refused.code(), ExitCode::machine_cannot);
  EXPECT_NE(std::string(refused.what()).find("zero-copy was refused"), std::string::npos) << refused.what();
  config.mode = RequestedMode::copy;
  {
    const Socket copy = Socket::open(config);
    EXPECT_EQ(copy.mode(), ObtainedMode::copy);
    EXPECT_EQ(copy.fallback_reason(), "") << "nothing better was asked for";
  }
  config.mode = RequestedMode::skb;
  config.attached_generic = true;
  EXPECT_EQ(Socket::open(config).mode(), ObtainedMode::skb);
}

TEST_F(SocketInLab, AQueueIsBoundAgainRightAfterItsSocketWasClosed) {
  const Memory memory;
  for (int round = 0; round < 10; ++round) (void)Socket::open(receiving(near_link_, 1, memory));
}

TEST_F(SocketInLab, AQueueThatIsTakenIsReportedAfterASecond) {
  const Memory memory;
  const Memory other;
  const Socket holder = Socket::open(receiving(near_link_, 2, memory));
  const auto start = steady_clock::now();
  const SetupError busy = refusal(receiving(near_link_, 2, other));
  const auto waited = steady_clock::now() - start;
  EXPECT_EQ(busy.code(), ExitCode::machine_cannot);
  EXPECT_NE(std::string(busy.what()).find("busy"), std::string::npos) << busy.what();
  EXPECT_GE(waited, std::chrono::milliseconds(900));
  EXPECT_LT(waited, std::chrono::milliseconds(3000));
}

TEST_F(SocketInLab, AQueueThatIsNotThereIsRefused) {
  const Memory memory;
  const SetupError refused = refusal(receiving(near_link_, 64, memory));
  EXPECT_EQ(refused.code(), ExitCode::machine_cannot);
  EXPECT_NE(std::string(refused.what()).find("bind queue 64 of " + near()), std::string::npos) << refused.what();
}

// What was received on one queue: how many, and whether each came once.
struct Received {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
};

void drain(Socket& socket, Received& received) {
  for (;;) {
    const RxBatch batch = socket.rx_queue().receive(64);
    if (batch.empty()) return;
    for (std::uint32_t i = 0; i < batch.size(); ++i) {
      std::uint64_t number = 0;
      std::memcpy(&number, socket.rx_queue().umem().data() + batch[i].offset + 14, sizeof number);
      EXPECT_EQ(batch[i].len, 60U);
      ++received.count;
      received.sum += number;
    }
  }
}

// Sends n numbered frames and lets the receiver drain as they arrive.
void send_numbered(Socket& sender, std::uint64_t n, const std::function<void()>& receive) {
  TxQueue& queue = sender.tx_queue();
  std::uint64_t next = 0;
  const auto give_up = steady_clock::now() + std::chrono::seconds(10);
  while (queue.completed() < n && steady_clock::now() < give_up) {
    TxBatch batch = queue.reserve(static_cast<std::uint32_t>(std::min<std::uint64_t>(32, n - next)));
    while (batch.room() != 0) {
      const std::span<std::byte> frame = batch.buffer();
      std::memset(frame.data(), 0, 60);
      frame[0] = frame[6] = std::byte{2};  // locally administered addresses
      frame[12] = std::byte{0x88};         // ethertype 88b5, for local experiments (IEEE 802)
      frame[13] = std::byte{0xb5};
      std::memcpy(frame.data() + 14, &next, sizeof next);
      next += batch.push(60);
    }
    queue.submit(std::move(batch));
    if (queue.in_flight() != 0) sender.wake_tx();
    queue.drain_completions();
    receive();
  }
  EXPECT_EQ(queue.completed(), n);
}

TEST_F(SocketInLab, FramesSentOnAQueueArriveOnThatQueueOnceAndAreCountedByTheKernel) {
  constexpr std::uint64_t n = 2000;
  const std::array<Memory, 4> near_memory;
  const std::array<Memory, 4> far_memory;
  const Redirect redirect(near_link_.ifindex);
  ASSERT_TRUE(redirect.attached()) << "needs root: CAP_BPF and CAP_NET_ADMIN";
  std::vector<Socket> receivers;
  for (std::uint32_t queue = 0; queue < 4; ++queue) {
    receivers.push_back(Socket::open(receiving(near_link_, queue, near_memory[queue])));
    ASSERT_TRUE(redirect.add(receivers.back()));
  }
  for (std::uint32_t queue = 0; queue < 4; ++queue) {
    Socket sender = Socket::open(sending(far_link_, queue, far_memory[queue]));
    Socket& receiver = receivers[queue];
    Received received;
    send_numbered(sender, n, [&] { drain(receiver, received); });
    pollfd readable{receiver.fd(), POLLIN, 0};
    while (received.count < n && ::poll(&readable, 1, 2000) == 1) drain(receiver, received);
    EXPECT_EQ(received.count, n) << "queue " << queue;
    EXPECT_EQ(received.sum, n * (n - 1) / 2) << "queue " << queue;
    EXPECT_EQ(receiver.rx_queue().rx_packets(), n);
    EXPECT_EQ(receiver.rx_queue().bad_descriptors(), 0U);
    EXPECT_EQ(receiver.statistics().rx_dropped + receiver.statistics().rx_ring_full, 0U);
    EXPECT_EQ(sender.tx_queue().bad_completions(), 0U);
  }
  for (std::uint32_t queue = 0; queue < 4; ++queue) EXPECT_EQ(receivers[queue].rx_queue().rx_packets(), n);
}

TEST_F(SocketInLab, WhatAFullRingLosesIsInTheKernelsStatistics) {
  constexpr std::uint64_t n = 500;
  const Memory near_memory;
  const Memory far_memory;
  const Redirect redirect(near_link_.ifindex);
  ASSERT_TRUE(redirect.attached());
  Socket receiver = Socket::open(receiving(near_link_, 0, near_memory));
  ASSERT_TRUE(redirect.add(receiver));
  Socket sender = Socket::open(sending(far_link_, 0, far_memory));
  send_numbered(sender, n, [] {});
  // 128 fit into the RX ring; the device's own queue is empty when as many as were sent are accounted for.
  const auto accounted = [&] {
    const SocketStatistics lost = receiver.statistics();
    return receiver.rx_queue().rx_packets() + lost.rx_dropped + lost.rx_ring_full;
  };
  const auto give_up = steady_clock::now() + std::chrono::seconds(5);
  while (accounted() < n && steady_clock::now() < give_up) std::this_thread::yield();
  EXPECT_EQ(accounted(), n);
  EXPECT_EQ(receiver.rx_queue().rx_packets(), 128U);
  Received received;
  drain(receiver, received);
  EXPECT_EQ(received.count, 128U);
}

TEST_F(SocketInLab, ASocketThatDoesBothKeepsItsFramesApart) {
  constexpr std::uint64_t n = 1000;
  const Memory near_memory;
  const Memory far_memory;
  const Redirect near_redirect(near_link_.ifindex);
  ASSERT_TRUE(near_redirect.attached());
  SocketConfig config = receiving(near_link_, 0, near_memory);
  config.tx_entries = 64;
  config.tx_frames = 64;
  Socket both = Socket::open(config);
  ASSERT_TRUE(near_redirect.add(both));
  Socket sender = Socket::open(sending(far_link_, 0, far_memory));
  EXPECT_EQ(both.rx_queue().layout().frames(), frames - 64);
  EXPECT_EQ(both.tx_queue().pool().size(), 64U);
  Received received;
  send_numbered(sender, n, [&] { drain(both, received); });
  send_numbered(both, n, [&] { drain(both, received); });
  pollfd readable{both.fd(), POLLIN, 0};
  while (received.count < n && ::poll(&readable, 1, 2000) == 1) drain(both, received);
  EXPECT_EQ(received.count, n);
  EXPECT_EQ(both.tx_queue().pool().free(), 64U);
}

TEST_F(SocketInLab, WakingTellsThatTheInterfaceIsDownOrGone) {
  const Memory memory;
  Socket socket = Socket::open(receiving(near_link_, 0, memory));
  ASSERT_TRUE(run("ip link set " + near() + " down"));
  EXPECT_EQ(socket.wake_rx(), ENETDOWN);
  ASSERT_TRUE(run("ip link set " + near() + " up"));
  EXPECT_EQ(socket.wake_rx(), 0);
  ASSERT_TRUE(run("ip link del " + near()));
  int error = socket.wake_rx();
  if (error == ENETDOWN) error = socket.wake_rx();  // said once, as the socket's pending error
  EXPECT_EQ(error, ENXIO);
}

// Runs an action that must end in a SetupError, in a child that may give up its rights; returns the line, after a digit
// that is the exit code.
std::string line_of_child(const std::function<void()>& action) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    std::string line = "no error";
    try {
      action();
    } catch (const SetupError& error) {
      line = std::to_string(static_cast<int>(error.code())) + error.what();
    }
    (void)!::write(pipe[1], line.data(), line.size());
    ::_exit(0);
  }
  ::close(pipe[1]);
  std::string line(4096, '\0');
  const ssize_t got = ::read(pipe[0], line.data(), line.size());
  ::close(pipe[0]);
  ::waitpid(child, nullptr, 0);
  line.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return line;
}

void keep_capabilities(std::uint32_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, 2> data{{{kept, kept, 0}, {0, 0, 0}}};
  ASSERT_EQ(::syscall(SYS_capset, &header, data.data()), 0);
}

TEST(SocketWithoutRights, TheMissingCapabilityIsNamed) {
  const std::string line = line_of_child([] {
    keep_capabilities(0);
    const Memory memory;
    (void)Socket::open(receiving(read_link("lo"), 0, memory));
  });
  EXPECT_EQ(line[0], '3') << line;
  EXPECT_NE(line.find("CAP_NET_RAW"), std::string::npos) << line;
}

TEST(SocketWithoutRights, TooLittleLockedMemoryIsExplained) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: CAP_NET_RAW, to get as far as the memory";
  const std::string line = line_of_child([] {
    const rlimit little{256 << 10, 256 << 10};
    ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &little), 0);
    keep_capabilities(1U << CAP_NET_RAW);
    const Memory memory(std::size_t{1} << 20);
    (void)Socket::open(receiving(read_link("lo"), 0, memory));
  });
  EXPECT_EQ(line[0], '3') << line;
  for (const char* word : {"1.0 MiB", "0.3 MiB", "RLIMIT_MEMLOCK", "CAP_IPC_LOCK"})
    EXPECT_NE(line.find(word), std::string::npos) << line;
}

TEST(SocketConfig, WhatCannotWorkIsRefusedBeforeTheKernelIsAsked) {
  const Memory memory;
  Link link;
  link.name = "eth0";
  SocketConfig neither = receiving(link, 0, memory);
  neither.rx_entries = 0;
  SocketConfig odd = receiving(link, 0, memory);
  odd.rx_entries = 100;
  SocketConfig without_tx_frames = receiving(link, 0, memory);
  without_tx_frames.tx_entries = 64;
  SocketConfig tap = receiving(link, 0, memory);
  tap.mode = RequestedMode::afpacket;
  for (const SocketConfig& config : {neither, odd, without_tx_frames, tap})
    EXPECT_EQ(refusal(config).code(), ExitCode::runtime_failure);
}

}  // namespace
}  // namespace xsk::test
