#include "bpf/root_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "bpf/grace.h"
#include "bpf/kernel_error.h"
#include "bpf/map_entries.h"

namespace bpf {
namespace {

// Kernels before 5.11 charge maps to this limit. It may be fixed, even for root: then the creation of a map fails, not
// this.
void raise_memlock_limit() noexcept {
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

void put_program(const engine::UniqueFd& slots, __u32 slot, const engine::UniqueFd& program) {
  const int program_fd = program.get();
  if (bpf_map_update_elem(slots.get(), &slot, &program_fd, BPF_ANY) != 0)
    throw kernel_error("put a program into the root program's slot", errno);
}

template <typename Info>
Info info_of(int fd) {
  Info info = {};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) throw kernel_error("read a BPF object's id", errno);
  return info;
}

RootConfig without_entries(const RootConfig& config) {
  RootConfig kept = config;
  kept.block = {};
  return kept;
}

int either(const engine::UniqueFd& fresh, int before) noexcept { return fresh.valid() ? fresh.get() : before; }

// All that a build over `before` uses: what it made anew, else what it took over.
RootReuse maps_of(const RootFds& fresh, const RootReuse& before) noexcept {
  return {.sockets = either(fresh.sockets, before.sockets),
          .counters = either(fresh.counters, before.counters),
          .slots = either(fresh.slots, before.slots),
          .live = either(fresh.live, before.live),
          .addresses = either(fresh.addresses, before.addresses),
          .networks = either(fresh.networks, before.networks),
          .flows = either(fresh.flows, before.flows),
          .rates = either(fresh.rates, before.rates)};
}

}  // namespace

RootProgram RootProgram::load(const RootConfig& config) {
  if (config.queues == 0)
    throw engine::SetupError(engine::ExitCode::bad_usage, "load the root program", "no queues to capture from");
  const QuietLibbpf quiet;
  raise_memlock_limit();
  RootBuild build = build_root(config);
  RootProgram program(std::move(build.fds), config.queues);
  program.config_ = without_entries(config);
  program.lists_->fill(config.block);
  if (config.rate_sources != 0) program.require_rate(config.rate);
  if (config.filter) {
    program.fill_slots(build, program.slots_);
    program.set_filter(*config.filter);
  }
  return program;
}

RootProgram::RootProgram(RootFds fds, std::uint32_t queues)
    : sockets_(std::move(fds.sockets)),
      counters_(std::move(fds.counters)),
      slots_(std::move(fds.slots)),
      lists_(std::make_unique<RootLists>(fds)),
      program_(std::move(fds.program)),
      socket_map_id_(info_of<bpf_map_info>(sockets_.get()).id) {
  config_.queues = queues;
}

std::uint32_t RootProgram::program_id() const { return info_of<bpf_prog_info>(program_fd()).id; }

void RootProgram::require_rate(const RateLimit& limit) {
  const int error = lists_->set_rate_limit(limit);
  if (error == EINVAL)
    throw engine::SetupError(
        engine::ExitCode::bad_usage, "rate limit",
        std::to_string(limit.max_pps) + " packets a second is more than " + std::to_string(RateLimit::max_max_pps));
  if (error != 0) throw kernel_error("set the rate limit", error);
}

void RootProgram::fill_slots(const RootBuild& build, const engine::UniqueFd& slots) const {
  put_program(slots, ROOT_SLOT_DELIVER, build.deliver);
  put_program(slots, ROOT_SLOT_PASS, build.pass);
}

void RootProgram::attach(unsigned ifindex, const std::string& ifname, AttachRequest request, Foreign foreign) {
  link_.detach();
  bound_.reset();  // it is of no use but on its own device, which may be gone
  ifindex_ = ifindex;
  link_ = XdpLink::attach(program_.get(), ifindex, ifname, request, foreign);
  engine::UniqueFd bound = build_bound(config_, maps_of({}, own_maps()));
  if (bound.valid() && update_link(bound)) bound_ = std::move(bound);
}

RootReuse RootProgram::own_maps() const noexcept {
  const RootLists::Maps& lists = lists_->held();
  return {.sockets = sockets_.get(),
          .counters = counters_.get(),
          .slots = slots_.get(),
          .live = lists.live.get(),
          .addresses = lists.addresses.get(),
          .networks = lists.networks.get(),
          .flows = lists.flows.get(),
          .rates = lists.rates.get()};
}

// The variant that asks for hints, if it is asked for and can be had; else nothing, and why in hints_refusal().
engine::UniqueFd RootProgram::build_bound(const RootConfig& config, const RootReuse& maps) {
  hints_refusal_.clear();
  if (config.hints == 0 || !link_.attached()) return {};
  if (link_.mode() != AttachMode::native) {
    hints_refusal_ = "only native XDP has them";
    return {};
  }
  // Asks the kernel's type information, some megabytes: once.
  if (bound_hints_ == 0 || config.hints != config_.hints) bound_hints_ = hints_of_kernel(config.hints);
  if (bound_hints_ == 0) {
    hints_refusal_ = "this kernel has none of those that the driver has (Linux 6.3, for VLAN tags 6.8)";
    return {};
  }
  try {
    const QuietLibbpf quiet;
    return build_root(config, maps, {.ifindex = ifindex_, .hints = bound_hints_}).fds.program;
  } catch (const engine::SetupError& error) {
    hints_refusal_ = error.what();
    return {};
  }
}

// To a bound program, whose refusal is no reason to fail.
bool RootProgram::update_link(const engine::UniqueFd& bound) {
  try {
    link_.update(bound.get());
    return true;
  } catch (const engine::SetupError& error) {
    hints_refusal_ = error.what();
    return false;
  }
}

RootConfig RootProgram::with_all_stages(const RootConfig& config) const {
  RootConfig next = config;
  next.queues = config_.queues;
  next.bypass_flows = std::max(config.bypass_flows, max_entries_of(lists_->held().flows.get()));
  next.rate_sources = std::max(config.rate_sources, max_entries_of(lists_->held().rates.get()));
  return next;
}

// What is large enough and of the right kind is taken over.
RootReuse RootProgram::reusable(const RootConfig& next) const {
  RootReuse maps = own_maps();
  const auto keep_if_holds = [](int& map, std::size_t entries) {
    if (max_entries_of(map) < entries) map = -1;
  };
  keep_if_holds(maps.addresses, next.block.addresses.size() + next.more_addresses);
  keep_if_holds(maps.networks, next.block.networks.size() + next.more_networks);
  keep_if_holds(maps.flows, next.bypass_flows);
  keep_if_holds(maps.rates, next.rate_sources);
  // A program array takes programs of one kind only.
  if (!next.filter || next.frags != config_.frags) maps.slots = -1;
  return maps;
}

void RootProgram::swap(const RootConfig& config) {
  const QuietLibbpf quiet;
  const bool had_rate = lists_->held().rates.valid();
  {
    const auto lock = lists_->hold();
    const RootConfig next = with_all_stages(config);
    const RootReuse maps = reusable(next);
    RootBuild build = build_root(next, maps);
    lists_->copy_into(build.fds, next.block);
    if (next.filter) prepare_slots(build, next);
    engine::UniqueFd bound = build_bound(next, maps_of(build.fds, maps));
    if (link_.attached() && !(bound.valid() && update_link(bound))) {
      bound.reset();
      link_.update(build.fds.program.get());
    }
    program_ = std::move(build.fds.program);
    bound_ = std::move(bound);
    if (build.fds.slots.valid() || !next.filter) old_slots_ = std::exchange(slots_, std::move(build.fds.slots));
    config_ = without_entries(next);
    const bool blocks_more = !next.block.empty() || build.fds.addresses.valid() || build.fds.networks.valid();
    const RootLists::Maps replaced = lists_->replace(build.fds);
    if (blocks_more || replaced.flows.valid()) wait_for_running_programs();
    if (replaced.flows.valid()) lists_->carry(replaced.flows);
    if (blocks_more) lists_->look_up_again();
  }
  if (config.rate_sources != 0 && !had_rate) require_rate(config.rate);
}

// New slots are complete before the program that uses them is in force.
void RootProgram::prepare_slots(const RootBuild& build, const RootConfig& next) {
  const engine::UniqueFd& slots = build.fds.slots.valid() ? build.fds.slots : slots_;
  fill_slots(build, slots);
  if (build.fds.slots.valid() || next.filter != config_.filter)
    put_program(slots, ROOT_SLOT_FILTER, load_filter(*next.filter, slots.get(), {.frags = next.frags}));
}

void RootProgram::set_filter(const FilterExpression& filter) {
  if (!slots_.valid())
    throw engine::SetupError(engine::ExitCode::bad_usage, "set the filter", "the run was started without a filter",
                             "start it with one; an empty filter matches everything");
  put_program(slots_, ROOT_SLOT_FILTER, load_filter(filter, slots_.get(), {.frags = config_.frags}));
  config_.filter = filter;
}

void RootProgram::set_socket(std::uint32_t queue, int socket_fd) {
  if (bpf_map_update_elem(sockets_.get(), &queue, &socket_fd, BPF_ANY) != 0)
    throw kernel_error("put the socket of queue " + std::to_string(queue) + " into the socket map", errno);
}

void RootProgram::clear_socket(std::uint32_t queue) noexcept { bpf_map_delete_elem(sockets_.get(), &queue); }

root_counters RootProgram::counters(std::uint32_t queue) const {
  std::vector<root_counters> by_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  if (bpf_map_lookup_elem(counters_.get(), &queue, by_cpu.data()) != 0)
    throw kernel_error("read the counters of queue " + std::to_string(queue), errno);
  root_counters sum = {};
  for (const root_counters& cpu : by_cpu) {
    sum.xdp_seen += cpu.xdp_seen;
    sum.passed += cpu.passed;
    sum.blocked += cpu.blocked;
    sum.rate_limited += cpu.rate_limited;
    sum.bypassed += cpu.bypassed;
    sum.no_socket += cpu.no_socket;
    sum.slot_dropped += cpu.slot_dropped;
    sum.redirected += cpu.redirected;
  }
  return sum;
}

}  // namespace bpf
