#include "bpf/root_build.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "bpf/kernel_error.h"
#include "bpf/options.h"
#include "bpf/uapi.h"
#include "root.skel.h"
#include "root_bound.skel.h"

namespace bpf {
namespace {

constexpr const char* kObject = "load the root program";

engine::UniqueFd duplicate(int fd) {
  if (fd < 0) return {};
  engine::UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid())
    throw engine::SetupError(engine::ExitCode::runtime_failure, "duplicate a descriptor", strerror(errno));
  return copy;
}

__u32 frags_flag(const RootConfig& config) noexcept {
  return config.frags ? static_cast<__u32>(BPF_F_XDP_HAS_FRAGS) : 0;
}

// A map is taken over, made in this size, or (0) not made at all.
void set_map(bpf_map* map, int reuse_fd, std::uint32_t entries) {
  const bool wanted = reuse_fd >= 0 || entries != 0;
  bpf_map__set_autocreate(map, wanted);
  if (!wanted) return;
  if (reuse_fd < 0)
    bpf_map__set_max_entries(map, entries);
  else if (const int error = -bpf_map__reuse_fd(map, reuse_fd); error != 0)
    throw kernel_error(kObject, error);
}

// Before the load: sizes, and which stages there are. A map or program of an absent stage is not created.
template <class Skeleton>
void configure(Skeleton& skeleton, const RootConfig& config, const RootReuse& reuse) {
  const auto addresses = static_cast<__u32>(config.block.addresses.size()) + config.more_addresses;
  const auto networks = static_cast<__u32>(config.block.networks.size()) + config.more_networks;
  auto& data = *skeleton.rodata;
  data.has_block = reuse.addresses >= 0 || addresses != 0;
  data.has_block_networks = reuse.networks >= 0 || networks != 0;
  data.has_bypass = reuse.flows >= 0 || config.bypass_flows != 0;
  data.has_rate = reuse.rates >= 0 || config.rate_sources != 0;
  data.has_filter = config.filter.has_value();
  data.has_frags = config.frags;
  data.may_have_hints = config.hints != 0;
  const bool has_list = data.has_block || data.has_block_networks || data.has_bypass || data.has_rate;
  set_map(skeleton.maps.root_counts, reuse.counters, config.queues);
  set_map(skeleton.maps.root_sockets, reuse.sockets, config.queues);
  set_map(skeleton.maps.root_now, reuse.live, has_list ? 1 : 0);
  set_map(skeleton.maps.root_block, reuse.addresses, addresses);
  set_map(skeleton.maps.root_block_nets, reuse.networks, networks);
  set_map(skeleton.maps.root_bypass, reuse.flows, config.bypass_flows);
  set_map(skeleton.maps.root_rates, reuse.rates, config.rate_sources);
  set_map(skeleton.maps.root_slots, reuse.slots, data.has_filter ? ROOT_SLOT_COUNT : 0);
}

void choose_programs(root_bpf& skeleton, const RootConfig& config, RootBinding) {
  bpf_program__set_autoload(skeleton.progs.root_deliver, config.filter.has_value());
  bpf_program__set_autoload(skeleton.progs.root_pass, config.filter.has_value());
  for (bpf_program* program : {skeleton.progs.root, skeleton.progs.root_deliver, skeleton.progs.root_pass})
    bpf_program__set_flags(program, frags_flag(config));
}

void choose_programs(root_bound_bpf& skeleton, const RootConfig& config, RootBinding binding) {
  bpf_program__set_autoload(skeleton.progs.root_deliver, false);
  bpf_program__set_autoload(skeleton.progs.root_pass, false);
  bpf_program__set_flags(skeleton.progs.root, frags_flag(config) | static_cast<__u32>(BPF_F_XDP_DEV_BOUND_ONLY));
  bpf_program__set_ifindex(skeleton.progs.root, binding.ifindex);
  skeleton.rodata->hints = binding.hints;
}

engine::SetupError load_error(int error, const std::string& log, const RootConfig& config) {
  if (error == EINVAL && libbpf_probe_bpf_map_type(BPF_MAP_TYPE_XSKMAP, nullptr) == 0)
    return {engine::ExitCode::machine_cannot, kObject, "this kernel has no AF_XDP",
            "use a kernel with CONFIG_XDP_SOCKETS"};
  // An unknown flag is refused before the verifier has a word.
  if (error == EINVAL && config.frags && last_log_line(log).empty())
    return {engine::ExitCode::machine_cannot, kObject, "this kernel has no XDP for frames in several buffers",
            "use Linux 5.18 or newer, or an MTU whose frames fit into one buffer"};
  return kernel_error(kObject, error, log);
}

template <class Skeleton>
RootBuild build(const RootConfig& config, const RootReuse& reuse, RootBinding binding) {
  std::string log(1 << 16, '\0');
  Options<bpf_object_open_opts> options;
  options.kernel_log_buf = log.data();
  options.kernel_log_size = log.size();
  const std::unique_ptr<Skeleton, decltype(&Skeleton::destroy)> skeleton(Skeleton::open(&options), &Skeleton::destroy);
  if (!skeleton) throw kernel_error("open the root program", errno);
  configure(*skeleton, config, reuse);
  choose_programs(*skeleton, config, binding);
  if (const int error = -Skeleton::load(skeleton.get()); error != 0) throw load_error(error, log, config);

  const auto fresh = [](const bpf_map* map, int reuse_fd) {
    return reuse_fd < 0 ? duplicate(bpf_map__fd(map)) : engine::UniqueFd();
  };
  RootBuild build;
  build.fds.program = duplicate(bpf_program__fd(skeleton->progs.root));
  build.fds.sockets = fresh(skeleton->maps.root_sockets, reuse.sockets);
  build.fds.counters = fresh(skeleton->maps.root_counts, reuse.counters);
  build.fds.slots = fresh(skeleton->maps.root_slots, reuse.slots);
  build.fds.live = fresh(skeleton->maps.root_now, reuse.live);
  build.fds.addresses = fresh(skeleton->maps.root_block, reuse.addresses);
  build.fds.networks = fresh(skeleton->maps.root_block_nets, reuse.networks);
  build.fds.flows = fresh(skeleton->maps.root_bypass, reuse.flows);
  build.fds.rates = fresh(skeleton->maps.root_rates, reuse.rates);
  build.deliver = duplicate(bpf_program__fd(skeleton->progs.root_deliver));
  build.pass = duplicate(bpf_program__fd(skeleton->progs.root_pass));
  return build;
}

}  // namespace

RootBuild build_root(const RootConfig& config, const RootReuse& reuse, RootBinding binding) {
  if (binding.ifindex == 0) return build<root_bpf>(config, reuse, binding);
  return build<root_bound_bpf>(config, reuse, binding);
}

std::uint32_t hints_of_kernel(std::uint32_t wanted) {
  const std::unique_ptr<btf, decltype(&btf__free)> kernel(btf__load_vmlinux_btf(), &btf__free);
  if (!kernel) return 0;
  std::uint32_t known = 0;
  const auto ask = [&](root_hint hint, const char* function) {
    if ((wanted & hint) != 0 && btf__find_by_name_kind(kernel.get(), function, BTF_KIND_FUNC) > 0) known |= hint;
  };
  ask(ROOT_HINT_TIMESTAMP, "bpf_xdp_metadata_rx_timestamp");
  ask(ROOT_HINT_HASH, "bpf_xdp_metadata_rx_hash");
  ask(ROOT_HINT_VLAN, "bpf_xdp_metadata_rx_vlan_tag");
  return known;
}

}  // namespace bpf
