/* Counts redirects into one socket map that fail with EINVAL or ENXIO: errors that no socket counts. Runs wherever an
 * XDP redirect fails, of any program on the machine, in softirq context. */
#include <linux/bpf.h>

#include <asm-generic/errno-base.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 socket_map_id = 0;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1); /* the loader sets the number of slots */
  __type(key, __u32);
  __type(value, __u64);
} redirect_errors SEC(".maps");

/* include/trace/events/xdp.h, kernel 5.13 on: dev, prog, target, err, map type, map id, index. */
enum { ARG_ERROR = 3, ARG_MAP_ID = 5, ARG_INDEX = 6 };

SEC("raw_tp/xdp_redirect_err")
int count_redirect_error(struct bpf_raw_tracepoint_args* ctx) {
  if ((__u32)ctx->args[ARG_MAP_ID] != socket_map_id) return 0;
  int error = (int)ctx->args[ARG_ERROR];
  if (error != -EINVAL && error != -ENXIO) return 0;
  __u32 slot = (__u32)ctx->args[ARG_INDEX];
  __u64* count = bpf_map_lookup_elem(&redirect_errors, &slot);
  if (count) ++*count;
  return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
