// BPF_PROG_TEST_RUN as a packet source: see net/bpf/test_run.c, bpf_test_run_xdp_live().
#include "engine/gen/live.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/base/error.h"
#include "engine/gen/call_limit.h"
#include "engine/gen/interrupts.h"
#include "gen.skel.h"

namespace engine::gen {
namespace {

constexpr std::uint32_t most_per_batch = 64;      // the kernel's default; 256, its largest, is no faster on veth
constexpr std::uint64_t most_per_call = 1 << 30;  // the kernel's counter has 32 bits
// A page less xdp_page_head, headroom and skb_shared_info (TEST_XDP_FRAME_SIZE, bpf_test_init).
constexpr std::size_t longest_frame_bytes = 3408;
constexpr double batch_time_s = 100e-6;  // softirqs are off for a batch (xdp_test_run_batch)
constexpr double clock_time_s = 10e-6;   // between two looks at the clock of a paced run

[[noreturn]] void fail(const std::string& what, int error) {
  if (error == EPERM || error == EACCES)
    throw SetupError(ExitCode::not_permitted, what, std::strerror(error),
                     "live frames need CAP_BPF and CAP_NET_ADMIN: run as root");
  throw SetupError(ExitCode::machine_cannot, what, std::strerror(error),
                   "live frames need Linux 5.18; use --method tx");
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

std::string LiveSender::obstacle(const Traffic& traffic, double rate_pps) {
  if (traffic.frames().size() != 1) return "live frames carry one kind and one size of packet, and no DNS";
  if (traffic.longest_bytes() > longest_frame_bytes)
    return "live frames lie in one page, which leaves " + std::to_string(longest_frame_bytes) + " bytes";
  if (rate_pps > 0 && rate_pps < slowest_pps)
    return "live frames are paced by spinning with softirqs off, which is done from 10000 packets/s up";
  return {};
}

LiveSender::LiveSender(const Traffic& traffic, unsigned ifindex, const std::string& interface_name, std::uint64_t seed,
                       std::uint32_t queue)
    : frame_(traffic.frames().front()), ifindex_(ifindex), interface_name_(interface_name), queue_(queue) {
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
}

// The packets of this call are spread evenly up to the moment the next one falls due, so that what was missed between
// two calls is made up for over the whole call and not in a burst.
void LiveSender::set_pace(const Pacer& pacer, std::uint64_t count) {
  gen_live_state& state = skeleton_->bss->state;
  const std::uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  const double left_ns = static_cast<double>(pacer.time_of(state.packets + count)) - static_cast<double>(now_ns);
  state.pace_first = state.packets;
  state.pace_start_ns = now_ns;
  state.pace_interval =
      static_cast<std::uint64_t>(std::max(left_ns, 0.0) / static_cast<double>(count) * (1 << GEN_PACE_SHIFT));
}

int LiveSender::make(std::uint64_t count) {
  skeleton_->bss->state.next_look = skeleton_->bss->state.packets;  // a call begins with a time of its own
  xdp_md context{};
  context.data_end = frame_.layout.frame_bytes;
  context.ingress_ifindex = ifindex_;
  bpf_test_run_opts options{};
  options.sz = sizeof options;
  options.data_in = frame_.bytes.data();
  options.data_size_in = frame_.layout.frame_bytes;
  options.ctx_in = &context;
  options.ctx_size_in = sizeof context;
  options.repeat = static_cast<int>(count);
  options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  options.batch_size = frames_per_batch_;
  return bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.gen), &options);
}

void LiveSender::run(const Load& load, Interrupts& interrupts, Report& report) {
  gen_live_state& state = skeleton_->bss->state;
  state.clock_offset_ns = clock_offset_ns();
  const auto packets_in = [&load](double seconds, double most) {
    return load.rate_pps > 0 ? static_cast<std::uint32_t>(std::clamp(load.rate_pps * seconds, 1.0, most)) : most;
  };
  state.batch = static_cast<std::uint32_t>(packets_in(clock_time_s, load.rate_pps > 0 ? 16 : GEN_STAMP_BATCH));
  frames_per_batch_ = static_cast<std::uint32_t>(packets_in(batch_time_s, most_per_batch));
  const std::uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
  const Pacer pacer(load, start_ns);
  // The program's own count is what was made, also where a call was cut short.
  while (error_ == 0 && !report.interrupted && state.packets < pacer.limit() &&
         clock_ns(CLOCK_MONOTONIC) < pacer.deadline_ns()) {
    const std::uint64_t count = std::min<std::uint64_t>(pacer.limit() - state.packets, most_per_call);
    if (load.rate_pps > 0) set_pace(pacer, count);
    CallLimit limit(pacer.deadline_ns());
    const int outcome = make(count);
    report.interrupted = limit.end() || interrupts.arrived(0);
    if (outcome < 0 && outcome != -EINTR && outcome != -EAGAIN) error_ = -outcome;
  }
  report.method = "live";
  report.seconds = run_seconds(pacer, start_ns, std::max<std::uint64_t>(state.last_ns, start_ns), state.packets);
  const Sent sent{state.packets, state.packets * frame_.layout.frame_bytes};
  report.total += sent;
  report.queues.emplace_back(queue_, sent);
  report.kinds[static_cast<std::size_t>(frame_.kind)] += sent;
  if (frame_.stamped()) report.stamped += sent.packets;
}

std::string LiveSender::failure() const {
  if (error_ == 0) return {};
  return "send live frames on " + interface_name_ + ": " + std::strerror(error_) +
         (error_ == EINVAL ? "; live frames need Linux 5.18, use --method tx" : "");
}

}  // namespace engine::gen
