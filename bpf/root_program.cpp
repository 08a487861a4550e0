#include "bpf/root_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "bpf/kernel_error.h"
#include "bpf/options.h"
#include "root.skel.h"

namespace bpf {
namespace {

using Skeleton = std::unique_ptr<root_bpf, decltype(&root_bpf::destroy)>;

engine::UniqueFd duplicate(int fd) {
  engine::UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid())
    throw engine::SetupError(engine::ExitCode::runtime_failure, "duplicate a descriptor", strerror(errno));
  return copy;
}

// Kernels before 5.11 charge maps to this limit. It may be fixed, even for root: then the creation of a map fails, not
// this.
void raise_memlock_limit() noexcept {
  const rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

// Before the load: sizes, and which stages there are. A map or program of an absent stage is not created.
void configure(root_bpf& skeleton, const RootConfig& config) {
  const auto addresses = static_cast<__u32>(config.block.addresses.size()) + config.more_addresses;
  const auto networks = static_cast<__u32>(config.block.networks.size()) + config.more_networks;
  const bool has_block = addresses != 0;
  const bool has_networks = networks != 0;
  const bool has_filter = config.filter.has_value();
  skeleton.rodata->has_block = has_block;
  skeleton.rodata->has_block_networks = has_networks;
  skeleton.rodata->has_filter = has_filter;
  bpf_map__set_max_entries(skeleton.maps.root_counts, config.queues);
  bpf_map__set_max_entries(skeleton.maps.root_sockets, config.queues);
  bpf_map__set_autocreate(skeleton.maps.root_block, has_block);
  if (has_block) bpf_map__set_max_entries(skeleton.maps.root_block, addresses);
  bpf_map__set_autocreate(skeleton.maps.root_block_nets, has_networks);
  if (has_networks) bpf_map__set_max_entries(skeleton.maps.root_block_nets, networks);
  bpf_map__set_autocreate(skeleton.maps.root_slots, has_filter);
  bpf_program__set_autoload(skeleton.progs.root_deliver, has_filter);
  bpf_program__set_autoload(skeleton.progs.root_pass, has_filter);
}

Skeleton load_skeleton(const RootConfig& config) {
  std::string log(1 << 16, '\0');
  Options<bpf_object_open_opts> options;
  options.kernel_log_buf = log.data();
  options.kernel_log_size = log.size();
  Skeleton skeleton(root_bpf::open(&options), &root_bpf::destroy);
  if (!skeleton) throw kernel_error("open the root program", errno);
  configure(*skeleton, config);
  const int error = -root_bpf::load(skeleton.get());
  if (error == 0) return skeleton;
  if (error == EINVAL && libbpf_probe_bpf_map_type(BPF_MAP_TYPE_XSKMAP, nullptr) == 0)
    throw engine::SetupError(engine::ExitCode::machine_cannot, "load the root program", "this kernel has no AF_XDP",
                             "use a kernel with CONFIG_XDP_SOCKETS");
  throw kernel_error("load the root program", error, log);
}

void put(int map_fd, const void* key, const void* value, const char* what) {
  if (bpf_map_update_elem(map_fd, key, value, BPF_ANY) != 0) throw kernel_error(what, errno);
}

void fill_block_list(const root_bpf& skeleton, const BlockList& block) {
  const __u8 present = 1;
  const int addresses_fd = bpf_map__fd(skeleton.maps.root_block);
  for (const root_block_address& key : block.addresses) put(addresses_fd, &key, &present, "fill the block list");
  const int networks_fd = bpf_map__fd(skeleton.maps.root_block_nets);
  for (const root_block_network& key : block.networks) put(networks_fd, &key, &present, "fill the block list");
}

void put_program(int slots_fd, __u32 slot, int program_fd) {
  put(slots_fd, &slot, &program_fd, "put a program into the root program's slot");
}

template <typename Info>
Info info_of(int fd) {
  Info info = {};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) throw kernel_error("read a BPF object's id", errno);
  return info;
}

}  // namespace

RootProgram RootProgram::load(const RootConfig& config) {
  if (config.queues == 0)
    throw engine::SetupError(engine::ExitCode::bad_usage, "load the root program", "no queues to capture from");
  const QuietLibbpf quiet;
  raise_memlock_limit();
  const Skeleton skeleton = load_skeleton(config);
  fill_block_list(*skeleton, config.block);
  RootFds fds;
  fds.program = duplicate(bpf_program__fd(skeleton->progs.root));
  fds.sockets = duplicate(bpf_map__fd(skeleton->maps.root_sockets));
  fds.counters = duplicate(bpf_map__fd(skeleton->maps.root_counts));
  if (config.filter) {
    fds.slots = duplicate(bpf_map__fd(skeleton->maps.root_slots));
    put_program(fds.slots.get(), ROOT_SLOT_DELIVER, bpf_program__fd(skeleton->progs.root_deliver));
    put_program(fds.slots.get(), ROOT_SLOT_PASS, bpf_program__fd(skeleton->progs.root_pass));
  }
  if (const int fd = bpf_map__fd(skeleton->maps.root_block); fd >= 0) fds.addresses = duplicate(fd);
  if (const int fd = bpf_map__fd(skeleton->maps.root_block_nets); fd >= 0) fds.networks = duplicate(fd);
  RootProgram program(std::move(fds), config.queues);
  if (config.filter) program.set_filter(*config.filter);
  return program;
}

RootProgram::RootProgram(RootFds fds, std::uint32_t queues)
    : fds_(std::move(fds)),
      queues_(queues),
      program_id_(info_of<bpf_prog_info>(fds_.program.get()).id),
      socket_map_id_(info_of<bpf_map_info>(fds_.sockets.get()).id) {}

void RootProgram::attach(unsigned ifindex, const std::string& ifname, AttachRequest request, Foreign foreign) {
  link_.detach();
  link_ = XdpLink::attach(fds_.program.get(), ifindex, ifname, request, foreign);
}

void RootProgram::set_filter(const FilterExpression& wanted) {
  if (!fds_.slots.valid())
    throw engine::SetupError(engine::ExitCode::bad_usage, "set the filter", "the run was started without a filter",
                             "start it with one; an empty filter matches everything");
  const engine::UniqueFd filter = load_filter(wanted, fds_.slots.get());
  put_program(fds_.slots.get(), ROOT_SLOT_FILTER, filter.get());
}

void RootProgram::set_socket(std::uint32_t queue, int socket_fd) {
  if (bpf_map_update_elem(fds_.sockets.get(), &queue, &socket_fd, BPF_ANY) != 0)
    throw kernel_error("put the socket of queue " + std::to_string(queue) + " into the socket map", errno);
}

void RootProgram::clear_socket(std::uint32_t queue) noexcept { bpf_map_delete_elem(fds_.sockets.get(), &queue); }

int RootProgram::block(const root_block_address& address) noexcept {
  const __u8 present = 1;
  return bpf_map_update_elem(fds_.addresses.get(), &address, &present, BPF_ANY) == 0 ? 0 : errno;
}

int RootProgram::block(const root_block_network& network) noexcept {
  const __u8 present = 1;
  return bpf_map_update_elem(fds_.networks.get(), &network, &present, BPF_ANY) == 0 ? 0 : errno;
}

int RootProgram::unblock(const root_block_address& address) noexcept {
  return bpf_map_delete_elem(fds_.addresses.get(), &address) == 0 ? 0 : errno;
}

int RootProgram::unblock(const root_block_network& network) noexcept {
  return bpf_map_delete_elem(fds_.networks.get(), &network) == 0 ? 0 : errno;
}

root_counters RootProgram::counters(std::uint32_t queue) const {
  std::vector<root_counters> by_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
  if (bpf_map_lookup_elem(fds_.counters.get(), &queue, by_cpu.data()) != 0)
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
