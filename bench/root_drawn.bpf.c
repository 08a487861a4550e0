/* The root program over sources that are drawn at random, and a bare redirect over the same, to compare: one frame
 * repeated would find all that it looks up in the CPU's first cache. */
#include "bpf/root.bpf.c"

const volatile __u32 source_mask = 0; /* as many sources, less one; a power of two */

__u32 drawn = 1; /* one CPU runs it */

static __always_inline _Bool draw_source(struct xdp_md* ctx) {
  struct iphdr* ip = (void*)(long)ctx->data + sizeof(struct ethhdr);
  if ((void*)(ip + 1) > (void*)(long)ctx->data_end) return 0;
  drawn = drawn * 1664525 + 1013904223; /* Numerical Recipes' generator; its upper bits are the good ones */
  ip->saddr = bpf_htonl(0x0a000000 | (drawn >> 8 & source_mask));
  return 1;
}

SEC("xdp")
int drawn_bare(struct xdp_md* ctx) {
  if (!draw_source(ctx)) return XDP_DROP;
  return bpf_redirect_map(&root_sockets, ctx->rx_queue_index, XDP_PASS);
}

SEC("xdp")
int drawn_root(struct xdp_md* ctx) {
  if (!draw_source(ctx)) return XDP_DROP;
  return run_stages(ctx);
}
