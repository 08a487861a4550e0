// BPF_PROG_TEST_RUN as a packet source: see net/bpf/test_run.c, bpf_test_run_xdp_live().
#include "engine/gen/live.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bpf/gen.skel.h"
#include "engine/base/error.h"
#include "engine/gen/interrupts.h"

namespace engine::gen {
namespace {

constexpr std::uint32_t frames_per_batch = 64;  // the kernel's default; 256, its largest, is no faster on veth
constexpr std::uint64_t first_chunk = 1 << 16, longest_chunk = 1 << 22;
constexpr std::uint64_t chunk_time_ns = 100'000'000;

[[noreturn]] void fail(const std::string& what, int error) {
  if (error == EPERM || error == EACCES)
    throw SetupError(ExitCode::not_permitted, what, std::strerror(error),
                     "live frames need CAP_BPF and CAP_NET_ADMIN: run as root");
  throw SetupError(ExitCode::machine_cannot, what, std::strerror(error), "use --method tx");
}

// Copies the table into the map through a mapping: an update a cell would take a system call each. 0 or the errno.
int fill(int map_fd, const std::vector<gen_alias_cell>& cells) noexcept {
  const std::size_t bytes = cells.size() * sizeof cells[0];
  void* target = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (target == MAP_FAILED) return errno;
  std::memcpy(target, cells.data(), bytes);
  munmap(target, bytes);
  return 0;
}

std::uint64_t clock_offset_ns() noexcept { return clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC); }

}  // namespace

void LiveSender::Closer::operator()(gen_bpf* skeleton) const noexcept { gen_bpf::destroy(skeleton); }

std::string LiveSender::obstacle(const Traffic& traffic) {
  if (traffic.frames().size() == 1) return {};
  return "live frames carry one kind and one size of packet, and no DNS";
}

LiveSender::LiveSender(const Traffic& traffic, unsigned ifindex, const std::string& interface_name, std::uint64_t seed,
                       std::uint32_t queue)
    : frame_(traffic.frames().front()),
      ifindex_(ifindex),
      interface_name_(interface_name),
      queue_(queue),
      chunk_(first_chunk) {
  load(traffic, seed, interface_name);
}

LiveSender::~LiveSender() = default;

void LiveSender::load(const Traffic& traffic, std::uint64_t seed, const std::string& interface_name) {
  const std::string what = "send live frames on " + interface_name;
  // Its own words would come before ours on stderr; the errno says what a user can act on.
  const libbpf_print_fn_t printer = libbpf_set_print(nullptr);
  skeleton_.reset(gen_bpf::open());
  const int open_error = errno;
  int error = skeleton_ ? 0 : open_error;
  if (skeleton_) {
    const auto& cells = traffic.flows().cells();
    skeleton_->rodata->config = {mix64(seed), traffic.flows().flows(), !cells.empty(), frame_.layout};
    bpf_map__set_max_entries(skeleton_->maps.alias, std::max<std::size_t>(1, cells.size()));
    error = -gen_bpf::load(skeleton_.get());
    if (error == 0 && !cells.empty()) error = fill(bpf_map__fd(skeleton_->maps.alias), cells);
  }
  libbpf_set_print(printer);
  if (error != 0) fail(what, error);
  skeleton_->bss->state.clock_offset_ns = clock_offset_ns();
}

std::uint64_t LiveSender::send(std::uint64_t max) noexcept {
  const std::uint64_t count = std::min(max, chunk_);
  gen_live_state& state = skeleton_->bss->state;
  const std::uint64_t before = state.packets;
  state.batch_left = 0;  // a call begins with a time of its own
  xdp_md context{};
  context.data_end = frame_.layout.frame_bytes;
  context.ingress_ifindex = ifindex_;
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame_.bytes.data();
  options.data_size_in = frame_.layout.frame_bytes;
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  options.repeat = static_cast<int>(count);
  options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  options.batch_size = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, frames_per_batch));
  const std::uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
  const int outcome = bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.gen), &options);
  // The program's own count is what was made, also where a signal cut the call short (EINTR).
  const std::uint64_t made = *const_cast<volatile __u64*>(&state.packets) - before;
  if (outcome < 0 && outcome != -EINTR && outcome != -EAGAIN) error_ = -outcome;
  const std::uint64_t took_ns = std::max<std::uint64_t>(clock_ns(CLOCK_MONOTONIC) - start_ns, 1);
  if (count == chunk_ && made == count)
    chunk_ = std::clamp<std::uint64_t>(count * chunk_time_ns / took_ns, 64, longest_chunk);
  return made;
}

std::string LiveSender::failure() const {
  if (error_ == 0) return {};
  return "send live frames on " + interface_name_ + ": " + std::strerror(error_);
}

void LiveSender::finish(Report& report) {
  const std::uint64_t made = skeleton_->bss->state.packets;
  const Sent sent{made, made * frame_.layout.frame_bytes};
  report.method = "live";
  report.total += sent;
  report.queues.emplace_back(queue_, sent);
  report.kinds[static_cast<std::size_t>(frame_.kind)] += sent;
  if (frame_.stamped()) report.stamped += made;
}

}  // namespace engine::gen
