#include "bpf/foreign.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <cerrno>
#include <cstring>

#include "bpf/kernel_error.h"
#include "bpf/options.h"
#include "engine/base/unique_fd.h"

namespace bpf {
namespace {

// The links that hold this program on an interface of this index. Indices are per network namespace and the kernel does
// not say the link's: the same program on the same index in two namespaces is ambiguous.
struct LinkSearch {
  int found = 0;
  int error = 0;  // EPERM: links cannot be opened by id without CAP_SYS_ADMIN
  engine::UniqueFd link;
};

LinkSearch find_link(unsigned ifindex, std::uint32_t program_id) {
  LinkSearch search;
  std::uint32_t id = 0;
  while (true) {
    if (bpf_link_get_next_id(id, &id) != 0) {
      if (errno != ENOENT) search.error = errno;
      return search;
    }
    engine::UniqueFd fd(bpf_link_get_fd_by_id(id));
    if (!fd.valid()) {
      if (errno == ENOENT) continue;  // it went away in between
      search.error = errno;
      return search;
    }
    bpf_link_info info = {};
    std::uint32_t size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) continue;
    if (info.type != BPF_LINK_TYPE_XDP || info.xdp.ifindex != ifindex || info.prog_id != program_id) continue;
    ++search.found;
    search.link = std::move(fd);
  }
}

// The mode must be named: without one, a generic program on a device that could do native is not found
// (net/core/dev.c: dev_xdp_mode).
__u32 mode_flag(unsigned ifindex, std::uint32_t program_id) {
  Options<bpf_xdp_query_opts> options;
  if (bpf_xdp_query(static_cast<int>(ifindex), 0, &options) != 0) return 0;
  if (options.drv_prog_id == program_id) return XDP_FLAGS_DRV_MODE;
  if (options.skb_prog_id == program_id) return XDP_FLAGS_SKB_MODE;
  return options.hw_prog_id == program_id ? XDP_FLAGS_HW_MODE : 0;
}

// The descriptor makes the kernel compare before it detaches (net/core/dev.c: dev_xdp_attach). Without CAP_SYS_ADMIN
// there is none to be had, and what is there now is detached.
int detach_by_netlink(unsigned ifindex, std::uint32_t program_id) {
  const __u32 mode = mode_flag(ifindex, program_id);
  const engine::UniqueFd expected(bpf_prog_get_fd_by_id(program_id));
  Options<bpf_xdp_attach_opts> options;
  if (expected.valid()) options.old_prog_fd = expected.get();
  return bpf_xdp_detach(static_cast<int>(ifindex), mode, &options);
}

}  // namespace

std::string describe_program(std::uint32_t program_id) {
  std::string text = "program " + std::to_string(program_id);
  const engine::UniqueFd fd(bpf_prog_get_fd_by_id(program_id));
  if (!fd.valid()) return text;
  bpf_prog_info info = {};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0 && info.name[0] != '\0')
    text.append(" (").append(info.name, strnlen(info.name, sizeof info.name)).append(")");
  return text;
}

void remove_foreign(unsigned ifindex, const std::string& ifname, std::uint32_t program_id) {
  const QuietLibbpf quiet;
  const std::string object = "remove " + describe_program(program_id) + " from " + ifname;
  LinkSearch search = find_link(ifindex, program_id);
  if (search.found > 1)
    throw engine::SetupError(engine::ExitCode::machine_cannot, object,
                             "several links hold it on interfaces of this index, in different network namespaces",
                             "detach it with the tool that attached it");
  if (search.found == 1) {
    if (bpf_link_detach(search.link.get()) == 0) return;
    throw kernel_error(object, errno);
  }
  const int error = -detach_by_netlink(ifindex, program_id);
  if (error == 0 || error == ENOENT) return;
  if (error == EBUSY && search.error == EPERM)
    throw engine::SetupError(engine::ExitCode::not_permitted, object,
                             "it is held by a bpf_link, which takes CAP_SYS_ADMIN to open",
                             "run as root or end the process that attached it");
  throw kernel_error(object, error);
}

}  // namespace bpf
