// Set-up of the namespace, the counting program and the packet socket. What fails here throws: the test shows it.
#include "tests/gen/lab.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <thread>

namespace engine::gen::test {
namespace {

int checked(int value, const char* what) {
  if (value < 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
  return value;
}

// counts[ctx->rx_queue_index]++, then the verdict.
std::vector<bpf_insn> counting_program(int map_fd, bool pass) {
  const std::int32_t verdict = pass ? XDP_PASS : XDP_DROP;
  return {
      {BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(xdp_md, rx_queue_index), 0},
      {BPF_STX | BPF_MEM | BPF_W, 10, 2, -4, 0},
      {BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},
      {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4},
      {BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map_fd},
      {0, 0, 0, 0, 0},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1},
      {BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD},
      {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, verdict},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
}

}  // namespace

bool Lab::shell(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

std::string Lab::run(unsigned queues, const std::function<void(Lab&)>& body) {
  std::string reason;
  std::exception_ptr failed;
  std::thread([&] {
    if (unshare(CLONE_NEWNET) != 0) {
      reason = std::string("needs root: CAP_SYS_ADMIN for a network namespace (") + std::strerror(errno) + ")";
      return;
    }
    const std::string shape = " numrxqueues " + std::to_string(queues) + " numtxqueues " + std::to_string(queues);
    const std::string pair = std::string(near_side) + shape + " type veth peer name " + far_side + shape;
    if (!shell("ip link add " + pair)) {
      reason = "needs root: CAP_NET_ADMIN for a veth pair";
      return;
    }
    try {
      for (const char* side : {near_side, far_side}) {  // no address: no packets of the stack's own
        if (!shell(std::string("ip link set ") + side + " addrgenmode none && ip link set " + side + " up"))
          throw std::runtime_error("set the pair up");
      }
      Lab lab(queues);
      body(lab);
    } catch (...) {
      failed = std::current_exception();
    }
  }).join();
  if (failed) std::rethrow_exception(failed);
  return reason;
}

void Lab::count(bool pass) {
  map_.reset(checked(bpf_map_create(BPF_MAP_TYPE_ARRAY, "counts", 4, 8, queues_, nullptr), "bpf_map_create"));
  const auto program = counting_program(map_.get(), pass);
  const UniqueFd fd(checked(bpf_prog_load(BPF_PROG_TYPE_XDP, "count", "GPL", program.data(), program.size(), nullptr),
                            "bpf_prog_load"));
  const int ifindex = static_cast<int>(if_nametoindex(far_side));
  link_.reset();
  link_.reset(checked(bpf_link_create(fd.get(), ifindex, BPF_XDP, nullptr), "bpf_link_create"));
}

std::vector<std::uint64_t> Lab::counts() const {
  std::vector<std::uint64_t> counts(queues_);
  for (std::uint32_t i = 0; i < queues_; ++i) checked(bpf_map_lookup_elem(map_.get(), &i, &counts[i]), "lookup");
  return counts;
}

std::uint64_t Lab::counted() const {
  const auto all = counts();
  return std::accumulate(all.begin(), all.end(), std::uint64_t{0});
}

Tap::Tap() : fd_(checked(socket(AF_PACKET, SOCK_RAW, 0), "socket")) {
  const int size = 64 << 20;
  setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(far_side));
  checked(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
}

std::vector<std::byte> Tap::next() {
  std::vector<std::byte> frame(4096);
  pollfd waiting{fd_.get(), POLLIN, 0};
  if (poll(&waiting, 1, 1000) <= 0) return {};
  frame.resize(
      static_cast<std::size_t>(checked(static_cast<int>(recv(fd_.get(), frame.data(), frame.size(), 0)), "recv")));
  return frame;
}

}  // namespace engine::gen::test
