/* The root program with one frame lost on purpose, so that a test can see the ledger fail. Not in the product. */
#include "bpf/root.bpf.c"
#include "tests/bpf/lossy_abi.h"

const volatile __u32 lose_at = LOSE_AFTER_SEEN;
const volatile __u32 lose_queue = 0;

__u32 frames_to_lose = 0; /* armed by the test while frames arrive; taken by one CPU */

SEC("xdp")
int lossy(struct xdp_md* ctx) {
  if (ctx->rx_queue_index != lose_queue || __sync_val_compare_and_swap(&frames_to_lose, 1, 0) != 1)
    return run_stages(ctx);
  struct root_counters* counters = counters_of(ctx);
  if (!counters) return XDP_PASS;
  counters->xdp_seen++;
  if (lose_at == LOSE_AFTER_REDIRECTED) counters->redirected++;
  return XDP_DROP;
}
