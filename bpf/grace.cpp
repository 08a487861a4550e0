#include "bpf/grace.h"

#include <bpf/bpf.h>

#include <cerrno>

#include "bpf/kernel_error.h"
#include "bpf/options.h"
#include "engine/base/unique_fd.h"

namespace bpf {

// The update of a map of maps returns when no program can see what was there before (kernel/bpf/syscall.c:
// maybe_wait_bpf_programs, which is synchronize_rcu). membarrier(2) would do too, but not with nohz_full.
void wait_for_running_programs() {
  const engine::UniqueFd inner(bpf_map_create(BPF_MAP_TYPE_ARRAY, "grace_inner", 4, 4, 1, nullptr));
  Options<bpf_map_create_opts> options;
  options.inner_map_fd = static_cast<__u32>(inner.get());
  const engine::UniqueFd outer(bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "grace", 4, 4, 1, &options));
  const __u32 zero = 0;
  const int inner_fd = inner.get();
  if (!inner.valid() || !outer.valid() || bpf_map_update_elem(outer.get(), &zero, &inner_fd, BPF_ANY) != 0)
    throw kernel_error("wait until the old program is gone", errno);
}

}  // namespace bpf
