// What the root program's stages cost a frame, over a bare redirect, by BPF_PROG_TEST_RUN on one CPU; and what it takes
// to load a million addresses. Needs root.
//
//   root_bench [ROUNDS]
//
// Each round runs all variants one after the other, so that what else the machine does meets all of them; the best
// round counts. Sources are drawn at random in the program (root_drawn.bpf.c), none is in a list or over its rate: each
// frame goes through all stages.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/udp_frame.h"
#include "bpf/kernel_error.h"
#include "bpf/options.h"
#include "bpf/root_program.h"
#include "engine/base/error.h"
#include "root_drawn.skel.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

namespace {

using Skeleton = std::unique_ptr<root_drawn_bpf, decltype(&root_drawn_bpf::destroy)>;

constexpr std::uint32_t kRepeat = 500'000;

void check(bool good, const char* what) {
  if (!good) throw bpf::kernel_error(what, errno);
}

engine::UniqueFd socket_for_the_map() {
  engine::UniqueFd fd(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  const int slots = 64;  // the map takes none without a ring (net/xdp/xsk.c: xsk_is_setup_for_bpf_map)
  check(fd.valid() && setsockopt(fd.get(), SOL_XDP, XDP_RX_RING, &slots, sizeof slots) == 0, "make an AF_XDP socket");
  return fd;
}

root_block_address address(std::uint32_t ipv4) {
  root_block_address key = {};
  key.bytes[10] = key.bytes[11] = 0xff;
  ipv4 = htonl(ipv4);
  std::memcpy(key.bytes + 12, &ipv4, sizeof ipv4);
  return key;
}

// None of 10.0.0.0/16, which frames come from.
bpf::BlockList addresses(std::uint32_t count) {
  bpf::BlockList list;
  for (std::uint32_t i = 0; i < count; ++i) list.addresses.push_back(address(0xac100000 + i * 7));
  return list;
}

// As a table of routes has them: /16 to /32 all over.
bpf::BlockList networks(std::uint32_t count) {
  bpf::BlockList list;
  std::mt19937 random(1);
  while (list.networks.size() < count) {
    const std::uint32_t bits = 16 + random() % 17;
    const std::uint32_t base = static_cast<std::uint32_t>(random()) & (bits == 32 ? ~0U : ~(~0U >> bits));
    if (base >> 16 == 0x0a00) continue;
    root_block_network key = {};
    key.prefix_bits = ROOT_FAMILY_BITS + bits;
    key.family = 4;
    const std::uint32_t wire = htonl(base);
    std::memcpy(key.bytes, &wire, sizeof wire);
    list.networks.push_back(key);
  }
  return list;
}

// The drawing program over the maps of a root program that was loaded as the product does.
class Variant {
 public:
  Variant(std::string name, const bpf::RootConfig& config, std::uint32_t sources, bool bare, int socket_fd)
      : name_(std::move(name)), bare_(bare), root_(bpf::RootProgram::load(config)), drawing_(nullptr, nullptr) {
    root_.set_socket(0, socket_fd);
    for (std::uint32_t i = 0; i < config.bypass_flows; ++i) {
      root_flow flow = {};
      const root_block_address near = address(0xc0a80000 + i), far = address(0xc6336401);
      root_flow_of(&near, htons(1000), &far, htons(53), IPPROTO_UDP, &flow);
      check(root_.bypass(flow) == 0, "bypass a flow");
    }
    load(config, sources);
  }

  void run(const std::array<std::uint8_t, 64>& frame) {
    bpf::Options<bpf_test_run_opts> options;
    options.data_in = frame.data();
    options.data_size_in = frame.size();
    options.repeat = kRepeat;
    const bpf_program* program = bare_ ? drawing_->progs.drawn_bare : drawing_->progs.drawn_root;
    check(bpf_prog_test_run_opts(bpf_program__fd(program), &options) == 0, "BPF_PROG_TEST_RUN");
    best_ns_ = std::min<double>(best_ns_, options.duration);
    if (options.retval != XDP_REDIRECT) throw std::runtime_error(name_ + ": a frame did not reach the socket");
  }
  const std::string& name() const noexcept { return name_; }
  double best_ns() const noexcept { return best_ns_; }

 private:
  void load(const bpf::RootConfig& config, std::uint32_t sources) {
    const bpf::QuietLibbpf quiet;
    drawing_ = Skeleton(root_drawn_bpf::open(), &root_drawn_bpf::destroy);
    check(drawing_ != nullptr, "open the drawing program");
    auto& data = *drawing_->rodata;
    data.source_mask = sources - 1;
    data.has_block = use("root_block", drawing_->maps.root_block);
    data.has_block_networks = use("root_block_nets", drawing_->maps.root_block_nets);
    data.has_bypass = use("root_bypass", drawing_->maps.root_bypass);
    data.has_rate = use("root_rates", drawing_->maps.root_rates);
    data.has_filter = use("root_slots", drawing_->maps.root_slots);
    data.has_frags = config.frags;
    use("root_now", drawing_->maps.root_now);
    use("root_counts", drawing_->maps.root_counts);
    use("root_sockets", drawing_->maps.root_sockets);
    for (bpf_program* program : {drawing_->progs.root, drawing_->progs.root_deliver, drawing_->progs.root_pass})
      bpf_program__set_autoload(program, false);
    check(root_drawn_bpf::load(drawing_.get()) == 0, "load the drawing program");
  }

  bool use(const std::string& name, bpf_map* map) {
    std::array<std::uint32_t, 16> ids = {};
    bpf_prog_info info = {};
    info.nr_map_ids = ids.size();
    info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
    std::uint32_t size = sizeof info;
    check(bpf_obj_get_info_by_fd(root_.program_fd(), &info, &size) == 0, "read the program's maps");
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(info.nr_map_ids, ids.size()); ++i) {
      const engine::UniqueFd fd(bpf_map_get_fd_by_id(ids[i]));
      bpf_map_info found = {};
      size = sizeof found;
      check(bpf_obj_get_info_by_fd(fd.get(), &found, &size) == 0, "read a map's name");
      if (name == found.name) return bpf_map__reuse_fd(map, fd.get()) == 0;
    }
    bpf_map__set_autocreate(map, false);
    return false;
  }

  std::string name_;
  bool bare_;
  bpf::RootProgram root_;
  Skeleton drawing_;
  double best_ns_ = 1e9;
};

bpf::RootConfig all_three(std::uint32_t sources) {
  bpf::RootConfig config;
  config.filter = "udp and dst host 198.51.100.1 and port 53";
  config.block = addresses(100'000);
  config.rate_sources = std::max<std::uint32_t>(65'536, 2 * sources);
  config.rate = {.max_pps = bpf::RateLimit::max_max_pps, .burst = 0};
  return config;
}

std::vector<std::unique_ptr<Variant>> variants(int socket_fd) {
  std::vector<std::unique_ptr<Variant>> all;
  const auto add = [&](const char* name, const bpf::RootConfig& config, std::uint32_t sources, bool bare = false) {
    all.push_back(std::make_unique<Variant>(name, config, sources, bare, socket_fd));
  };
  for (const std::uint32_t sources : {1024U, 65'536U}) {
    add(sources == 1024 ? "1,024 sources: bare redirect" : "65,536 sources: bare redirect", {}, sources, true);
    bpf::RootConfig config;
    add("  nothing configured", config, sources);
    config.more_addresses = config.more_networks = config.bypass_flows = config.rate_sources = 65'536;
    config.bypass_flows = 0;
    add("  lists in, all of them empty, no limit", config, sources);
    config = {};
    config.filter = all_three(sources).filter;
    add("  filter of three terms", config, sources);
    config = {};
    config.block = addresses(100'000);
    add("  100,000 addresses", config, sources);
    config = all_three(sources);
    config.block = {};
    config.filter.reset();
    add("  rate limit", config, sources);
    add("  filter + 100,000 addresses + rate limit", all_three(sources), sources);
    config = {};
    config.bypass_flows = 1000;
    add("  1,000 flows bypassed", config, sources);
    config = {};
    config.block = networks(100'000);
    add("  100,000 prefixes, /16 to /32", config, sources);
  }
  return all;
}

double cpu_seconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// As the kernel charges it (kernel/bpf/syscall.c: bpf_map_show_fdinfo).
double megabytes_of(int map_fd) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(map_fd));
  double bytes = 0;
  for (std::string word; info >> word;)
    if (word == "memlock:") info >> bytes;
  return bytes / 1e6;
}

void print_load_of_a_million() {
  bpf::RootConfig config;
  config.block = addresses(1'000'000);
  const auto start = std::chrono::steady_clock::now();
  const double cpu_start = cpu_seconds();
  bpf::RootProgram root = bpf::RootProgram::load(config);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("a million addresses: loaded in %.2f s, of which %.2f s on the CPU; %.0f MB\n", seconds,
              cpu_seconds() - cpu_start, megabytes_of(root.lists().held().addresses.get()));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(sched_getcpu(), &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);
  try {
    const engine::UniqueFd socket = socket_for_the_map();
    const auto all = variants(socket.get());
    const auto frame = bench::udp_frame();
    for (int round = 0; round < rounds; ++round)
      for (const auto& variant : all) variant->run(frame);
    std::printf("%-45s %8s %18s   (best of %d x %u frames)\n", "", "ns", "over bare", rounds, kRepeat);
    double bare_ns = 0;
    for (const auto& variant : all) {
      if (variant->name()[0] != ' ') bare_ns = variant->best_ns();
      std::printf("%-45s %8.0f %18.0f\n", variant->name().c_str(), variant->best_ns(), variant->best_ns() - bare_ns);
    }
    print_load_of_a_million();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "root_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
