/* The root program: the one XDP program of ours on an interface.
 *
 * Stages in their fixed order: block list -> filter -> socket map. A stage that is not configured is dropped by the
 * verifier, which takes the constants below as known (they are set between open and load), and its maps are not
 * created. Runs in softirq context, one frame at a time per CPU: the counters of a CPU need no atomics.
 *
 * It never returns XDP_ABORTED. What it does not take is XDP_PASS: the kernel's stack gets it as if we were not there.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/root_abi.h"

/* Yes or no. Not _Bool, a name that a C++ compiler may not know in the generated header. */
const volatile __u8 has_block = 0;
const volatile __u8 has_block_networks = 0;
const volatile __u8 has_filter = 0;

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

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, ROOT_SLOT_COUNT);
  __type(key, __u32);
  __type(value, __u32);
} root_slots SEC(".maps");

struct vlan_tag { /* the kernel keeps its vlan_hdr to itself (include/linux/if_vlan.h) */
  __be16 tci;
  __be16 type;
};

static __always_inline struct root_counters* counters_of(struct xdp_md* ctx) {
  __u32 queue = ctx->rx_queue_index;
  return bpf_map_lookup_elem(&root_counts, &queue);
}

/* The last stage. An empty slot makes bpf_redirect_map return the code in its flags instead (kernel 5.3 on,
 * __bpf_xdp_redirect_map), so the slot is looked up once. */
static __always_inline int deliver_to_socket(struct xdp_md* ctx, struct root_counters* counters) {
  int verdict = bpf_redirect_map(&root_sockets, ctx->rx_queue_index, XDP_PASS);
  if (verdict == XDP_REDIRECT)
    counters->redirected++;
  else
    counters->no_socket++;
  return verdict;
}

static __always_inline _Bool network_is_blocked(__u32 family, const void* source, __u32 size) {
  struct root_block_network key = {.prefix_bits = ROOT_FAMILY_BITS + size * 8, .family = family};
  __builtin_memcpy(key.bytes, source, size);
  return bpf_map_lookup_elem(&root_block_nets, &key) != 0;
}

/* Up to two VLAN tags. A frame too short to have a source address has none that could be in the list. */
static __always_inline _Bool source_is_blocked(struct xdp_md* ctx) {
  void* data = (void*)(long)ctx->data;
  void* data_end = (void*)(long)ctx->data_end;
  struct ethhdr* eth = data;
  if ((void*)(eth + 1) > data_end) return 0;
  __be16 type = eth->h_proto;
  void* next = eth + 1;
#pragma unroll
  for (int tags = 0; tags < 2; tags++) {
    if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD)) break;
    struct vlan_tag* tag = next;
    if ((void*)(tag + 1) > data_end) return 0;
    type = tag->type;
    next = tag + 1;
  }
  struct root_block_address key = {};
  if (type == bpf_htons(ETH_P_IP)) {
    struct iphdr* ip = next;
    if ((void*)(ip + 1) > data_end) return 0;
    key.bytes[10] = key.bytes[11] = 0xff;
    __builtin_memcpy(key.bytes + 12, &ip->saddr, 4);
    if (has_block && bpf_map_lookup_elem(&root_block, &key)) return 1;
    return has_block_networks && network_is_blocked(4, key.bytes + 12, 4);
  }
  if (type == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr* ip6 = next;
    if ((void*)(ip6 + 1) > data_end) return 0;
    __builtin_memcpy(key.bytes, &ip6->saddr, 16);
    if (has_block && bpf_map_lookup_elem(&root_block, &key)) return 1;
    return has_block_networks && network_is_blocked(6, key.bytes, 16);
  }
  return 0;
}

static __always_inline int run_stages(struct xdp_md* ctx) {
  struct root_counters* counters = counters_of(ctx);
  if (!counters) return XDP_PASS; /* only with more queues than the maps were sized for */
  counters->xdp_seen++;
  if ((has_block || has_block_networks) && source_is_blocked(ctx)) {
    counters->blocked++;
    return XDP_DROP;
  }
  if (has_filter) {
    bpf_tail_call(ctx, &root_slots, ROOT_SLOT_FILTER);
    counters->passed++; /* the slot is empty: take nothing rather than everything */
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
  return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
