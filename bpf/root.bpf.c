/* The root program: the one XDP program of ours on an interface.
 *
 * Stages in their fixed order: block list -> bypass list -> rate limit per source -> filter -> socket map. A stage that
 * is not configured is dropped by the verifier, which takes the constants below as known (they are set between open and
 * load), and its maps are not created. One that is in and has nothing to do costs a comparison. Runs in softirq
 * context, one frame at a time per CPU: the counters of a CPU need no atomics.
 *
 * It never returns XDP_ABORTED. What it does not take is XDP_PASS: the kernel's stack gets it as if we were not there.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/root_abi.h"
#include "bpf/root_hints.bpf.h"
#include "bpf/root_parse.bpf.h"

/* Yes or no. Not _Bool, a name that a C++ compiler may not know in the generated header. */
const volatile __u8 has_block = 0;
const volatile __u8 has_block_networks = 0;
const volatile __u8 has_bypass = 0;
const volatile __u8 has_rate = 0;
const volatile __u8 has_filter = 0;
const volatile __u8 has_frags = 0;
const volatile __u8 may_have_hints = 0; /* also where another program wrote them: the filter comes in between */

/* max_entries of 1 is a placeholder: the loader sets the real sizes. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct root_counters);
} root_counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} root_sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct root_live);
} root_now SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __type(key, struct root_block_address);
  __type(value, __u8);
} root_block SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_NO_PREALLOC); /* the trie knows no other way */
  __type(key, struct root_block_network);
  __type(value, __u8);
} root_block_nets SEC(".maps");

/* Entries come from user space only, so none need lie ready; shared by the CPUs, so that a flow costs as much memory on
 * 128 of them as on 2. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct root_flow);
  __type(value, struct root_flow_counters);
} root_bypass SEC(".maps");

/* A source that was pushed out starts again with a full bucket. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1);
  __type(key, struct root_block_address);
  __type(value, struct root_bucket);
} root_rates SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, ROOT_SLOT_COUNT);
  __type(key, __u32);
  __type(value, __u32);
} root_slots SEC(".maps");

static __always_inline struct root_counters* counters_of(struct xdp_md* ctx) {
  __u32 queue = ctx->rx_queue_index;
  return bpf_map_lookup_elem(&root_counts, &queue);
}

/* The last stage. An empty slot makes bpf_redirect_map return the code in its flags instead (kernel 5.3 on,
 * __bpf_xdp_redirect_map), so the slot is looked up once. */
static __always_inline int deliver_to_socket(struct xdp_md* ctx, struct root_counters* counters) {
  int verdict = bpf_redirect_map(&root_sockets, ctx->rx_queue_index, XDP_PASS);
  if (verdict == XDP_REDIRECT) {
    counters->redirected++;
  } else {
    counters->no_socket++;
    if (may_have_hints) remove_hints(ctx);
  }
  return verdict;
}

static __always_inline _Bool network_is_blocked(const struct packet* packet) {
  struct root_block_network key = {.prefix_bits = ROOT_FAMILY_BITS + 128, .family = 6};
  if (is_ipv4(&packet->source)) {
    key.prefix_bits = ROOT_FAMILY_BITS + 32;
    key.family = 4;
    __builtin_memcpy(key.bytes, packet->source.bytes + 12, 4);
  } else {
    __builtin_memcpy(key.bytes, packet->source.bytes, 16);
  }
  return bpf_map_lookup_elem(&root_block_nets, &key) != 0;
}

static __always_inline _Bool is_bypassed(struct xdp_md* ctx, const struct packet* packet) {
  struct root_flow flow;
  if (!find_flow(packet, &flow)) return 0;
  struct root_flow_counters* counted = bpf_map_lookup_elem(&root_bypass, &flow);
  if (!counted) return 0;
  __sync_fetch_and_add(&counted->packets, 1); /* the other direction may be on another CPU */
  __sync_fetch_and_add(&counted->bytes, has_frags ? bpf_xdp_get_buff_len(ctx) : ctx->data_end - ctx->data);
  return 1;
}

/* The clock is the tick: reading a better one may cost as much as all else here. So a source can have sent at least
 * what is allowed in a tick or two at once, which the loader sees to. `bucket` is null for a source that is new. */
static __always_inline _Bool is_over_rate(const struct root_live* live, __u32 generation, const struct packet* packet,
                                          struct root_bucket* bucket) {
  const __u64 cost_ps = live->rate_cost_ps;
  const __u64 now_ps = bpf_jiffies64() * live->tick_ps; /* may wrap: only differences count */
  if (!bucket) {
    struct root_bucket fresh = {.full_at_ps = now_ps + cost_ps, .not_blocked_in = generation};
    bpf_map_update_elem(&root_rates, &packet->source, &fresh, BPF_NOEXIST);
    return 0;
  }
  __u64 full_at_ps = *(volatile __u64*)&bucket->full_at_ps;
#pragma unroll
  for (int tries = 0; tries < 4; tries++) {
    __u64 owed_ps = full_at_ps - now_ps;
    if (owed_ps > live->rate_burst_ps) owed_ps = 0; /* in the past */
    if (owed_ps + cost_ps > live->rate_burst_ps) return 1;
    const __u64 seen = __sync_val_compare_and_swap(&bucket->full_at_ps, full_at_ps, now_ps + owed_ps + cost_ps);
    if (seen == full_at_ps) return 0;
    full_at_ps = seen;
  }
  return 1; /* four other CPUs took from it within nanoseconds */
}

/* The stages that ask who sent the frame: the verdict, or -1 to go on. */
static __always_inline int judge_source(struct xdp_md* ctx, struct root_counters* counters) {
  const __u32 zero = 0;
  const struct root_live* live = bpf_map_lookup_elem(&root_now, &zero);
  if (!live) return -1;
  const _Bool addresses = has_block && live->has_addresses;
  const _Bool networks = has_block_networks && live->has_networks;
  const _Bool flows = has_bypass && live->has_flows;
  const _Bool limited = has_rate && live->rate_cost_ps;
  if (!addresses && !networks && !flows && !limited) return -1;
  struct packet packet;
  if (!find_source(ctx, &packet)) return -1;
  /* Read before the look-ups: what is blocked meanwhile gets another one. */
  const __u32 generation = *(volatile const __u32*)&live->block_generation;
  struct root_bucket* bucket = limited ? bpf_map_lookup_elem(&root_rates, &packet.source) : 0;
  if (!bucket || bucket->not_blocked_in != generation) {
    if ((addresses && bpf_map_lookup_elem(&root_block, &packet.source)) || (networks && network_is_blocked(&packet))) {
      counters->blocked++;
      return XDP_DROP;
    }
    if (bucket) bucket->not_blocked_in = generation;
  }
  if (flows && is_bypassed(ctx, &packet)) {
    counters->bypassed++;
    return XDP_PASS;
  }
  if (limited && is_over_rate(live, generation, &packet, bucket)) {
    counters->rate_limited++;
    return XDP_DROP;
  }
  return -1;
}

static __always_inline int run_stages(struct xdp_md* ctx) {
  struct root_counters* counters = counters_of(ctx);
  if (!counters) return XDP_PASS; /* only with more queues than the maps were sized for */
  counters->xdp_seen++;
  if (has_block || has_block_networks || has_bypass || has_rate) {
    const int verdict = judge_source(ctx, counters);
    if (verdict >= 0) return verdict;
  }
  write_hints(ctx); /* before the filter, which is not bound */
  if (has_filter) {
    bpf_tail_call(ctx, &root_slots, ROOT_SLOT_FILTER);
    counters->passed++; /* the slot is empty: take nothing rather than everything */
    if (may_have_hints) remove_hints(ctx);
    return XDP_PASS;
  }
  return deliver_to_socket(ctx, counters);
}

SEC("xdp")
int root(struct xdp_md* ctx) { return run_stages(ctx); }

/* Where the filter leaves to. Both are in their slots before the root is attached. */
SEC("xdp")
int root_deliver(struct xdp_md* ctx) {
  struct root_counters* counters = counters_of(ctx);
  return counters ? deliver_to_socket(ctx, counters) : XDP_PASS;
}

SEC("xdp")
int root_pass(struct xdp_md* ctx) {
  struct root_counters* counters = counters_of(ctx);
  if (counters) counters->passed++;
  if (may_have_hints) remove_hints(ctx);
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
