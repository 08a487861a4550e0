/* The least that an AF_XDP program does, to compare the root program with. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} bare_sockets SEC(".maps");

SEC("xdp")
int bare(struct xdp_md* ctx) { return bpf_redirect_map(&bare_sockets, ctx->rx_queue_index, XDP_PASS); }

char _license[] SEC("license") = "Dual MIT/GPL";
