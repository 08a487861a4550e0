#include "tests/bpf/support.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "bpf/options.h"
#include "engine/base/error.h"

namespace bpf_test {
namespace {

void check(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": " + strerror(errno));
}

bool has(cap_t caps, cap_value_t value) {
  cap_flag_value_t flag = CAP_CLEAR;
  return cap_get_flag(caps, value, CAP_EFFECTIVE, &flag) == 0 && flag == CAP_SET;
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  check(pipe != nullptr, "popen");
  std::string text;
  std::array<char, 4096> buffer;
  while (const std::size_t size = fread(buffer.data(), 1, buffer.size(), pipe.get())) text.append(buffer.data(), size);
  return text;
}

}  // namespace

bool may_load_programs() {
  const cap_t caps = cap_get_proc();
  const bool may = has(caps, CAP_BPF) && has(caps, CAP_NET_ADMIN) && has(caps, CAP_SYS_ADMIN);
  cap_free(caps);
  return may;
}

bool drop_capabilities(std::initializer_list<cap_value_t> values) {
  const cap_t caps = cap_get_proc();
  const int count = static_cast<int>(values.size());
  cap_set_flag(caps, CAP_EFFECTIVE, count, values.begin(), CAP_CLEAR);
  cap_set_flag(caps, CAP_PERMITTED, count, values.begin(), CAP_CLEAR);
  const bool done = cap_set_proc(caps) == 0;
  cap_free(caps);
  return done;
}

Namespace::Namespace() : before_(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
  check(before_.valid(), "open the network namespace");
  check(unshare(CLONE_NEWNET) == 0, "unshare");
}

Namespace::~Namespace() { setns(before_.get(), CLONE_NEWNET); }

void shell(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

void make_veth(unsigned queues) {
  const std::string count = std::to_string(queues);
  const std::string sizes = " numrxqueues " + count + " numtxqueues " + count;
  // No IPv6: its neighbour discovery would send frames that no test asked for.
  shell("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv6.conf.all.disable_ipv6=1");
  shell("ip link add veth_a" + sizes + " type veth peer name veth_b" + sizes);
  shell("ip link set veth_a up && ip link set veth_b up");
}

std::string shown_mode(const std::string& ifname) {
  const std::string text = output_of("ip link show dev " + ifname);
  if (text.find("xdpgeneric") != std::string::npos) return "generic";
  return text.find("prog/xdp") != std::string::npos ? "native" : "none";
}

engine::UniqueFd unbound_socket() {
  engine::UniqueFd fd(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  check(fd.valid(), "socket(AF_XDP)");
  const int slots = 64;  // the map takes none without a ring (net/xdp/xsk.c: xsk_is_setup_for_bpf_map)
  check(setsockopt(fd.get(), SOL_XDP, XDP_RX_RING, &slots, sizeof slots) == 0, "XDP_RX_RING");
  return fd;
}

namespace {
constexpr std::size_t umem_bytes = 64 * 2048;
}

BoundSocket::BoundSocket(unsigned ifindex, std::uint32_t queue)
    : memory_(mmap(nullptr, umem_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
      fd_(unbound_socket()) {
  check(memory_ != MAP_FAILED, "mmap");
  xdp_umem_reg umem = {};
  umem.addr = reinterpret_cast<std::uintptr_t>(memory_);
  umem.len = umem_bytes;
  umem.chunk_size = 2048;
  check(setsockopt(fd_.get(), SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem) == 0, "XDP_UMEM_REG");
  const int slots = 64;
  check(setsockopt(fd_.get(), SOL_XDP, XDP_UMEM_FILL_RING, &slots, sizeof slots) == 0, "XDP_UMEM_FILL_RING");
  check(setsockopt(fd_.get(), SOL_XDP, XDP_UMEM_COMPLETION_RING, &slots, sizeof slots) == 0, "completion ring");
  sockaddr_xdp address = {};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_COPY;
  address.sxdp_ifindex = ifindex;
  address.sxdp_queue_id = queue;
  check(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind(AF_XDP)");
}

BoundSocket::~BoundSocket() {
  fd_.reset();
  munmap(memory_, umem_bytes);
}

FrameSender::FrameSender(const std::string& ifname) : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
  check(fd_.valid(), "socket(AF_PACKET)");
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(ifname.c_str()));
  check(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind(AF_PACKET)");
}

void FrameSender::send(const Frame& frame) const {
  ssize_t sent = -1;
  do {
    sent = ::send(fd_.get(), frame.data(), frame.size(), 0);
  } while (sent < 0 && errno == ENOBUFS);
  check(sent == static_cast<ssize_t>(frame.size()), "send");
}

void send_frame(const std::string& ifname, const Frame& frame) { FrameSender(ifname).send(frame); }

std::uint32_t run(int program_fd, std::span<const std::uint8_t> frame) {
  bpf::Options<bpf_test_run_opts> options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  check(bpf_prog_test_run_opts(program_fd, &options) == 0, "BPF_PROG_TEST_RUN");
  return options.retval;
}

double run_ns(int program_fd, std::span<const std::uint8_t> frame, std::uint32_t repeat) {
  bpf::Options<bpf_test_run_opts> options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.repeat = static_cast<int>(repeat);
  check(bpf_prog_test_run_opts(program_fd, &options) == 0, "BPF_PROG_TEST_RUN");
  return options.duration;
}

std::string error_of(const std::function<void()>& step) {
  try {
    step();
  } catch (const engine::SetupError& error) {
    return std::to_string(static_cast<int>(error.code())) + ": " + error.what();
  }
  return {};
}

namespace {

engine::UniqueFd map_where(const bpf::RootProgram& root, const std::function<bool(const bpf_map_info&)>& is_wanted) {
  std::array<std::uint32_t, 16> ids = {};
  bpf_prog_info info = {};
  info.nr_map_ids = ids.size();
  info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  std::uint32_t size = sizeof info;
  check(bpf_obj_get_info_by_fd(root.program_fd(), &info, &size) == 0, "read the program's maps");
  for (std::uint32_t i = 0; i < info.nr_map_ids; ++i) {
    engine::UniqueFd fd(bpf_map_get_fd_by_id(ids[i]));
    bpf_map_info map = {};
    size = sizeof map;
    check(bpf_obj_get_info_by_fd(fd.get(), &map, &size) == 0, "read a map's name");
    if (is_wanted(map)) return fd;
  }
  return {};
}

}  // namespace

engine::UniqueFd map_named(const bpf::RootProgram& root, const std::string& name) {
  return map_where(root, [&](const bpf_map_info& map) { return name == map.name; });
}

engine::UniqueFd map_of(const bpf::RootProgram& root, std::uint32_t type) {
  return map_where(root, [&](const bpf_map_info& map) { return map.type == type; });
}

std::uint64_t sum_of_verdicts(const root_counters& c) {
  return c.passed + c.blocked + c.rate_limited + c.bypassed + c.no_socket + c.slot_dropped + c.redirected;
}

}  // namespace bpf_test
