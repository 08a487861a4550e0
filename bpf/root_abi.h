/* What the root program and the C++ that loads it both see: counters, map keys, hints, slots of the program array.
 *
 * One file, compiled by clang for BPF and by the host's compiler, so that the two cannot drift apart. Fixed-width
 * types only; the sizes are checked below. IPv4 addresses and ports are in network byte order throughout.
 */
#pragma once

#include <linux/types.h>

/* One set per CPU and receive queue. `xdp_seen` is counted where a frame enters, each other one where a frame leaves
 * with that verdict: nothing is derived, so that
 *   xdp_seen = passed + blocked + rate_limited + bypassed + no_socket + slot_dropped + redirected
 * is a check and not a definition. A power of two in size: the kernel's array of one CPU then has no padding. */
struct root_counters {
  __u64 xdp_seen;
  __u64 passed;       /* the filter did not match, or there is none in its slot: XDP_PASS */
  __u64 blocked;      /* the source is in the block list: XDP_DROP */
  __u64 rate_limited; /* the source sends more than it may: XDP_DROP */
  __u64 bypassed;     /* the flow is in the bypass list: XDP_PASS */
  __u64 no_socket;    /* no socket in the queue's slot of the socket map: XDP_PASS */
  __u64 slot_dropped; /* dropped by an operator's program; stage not built yet: 0 */
  __u64 redirected;   /* handed to the socket; what becomes of it there the socket counts */
};

/* An address in a list: IPv6, or IPv4 as ::ffff:a.b.c.d. Such a source in an IPv6 header is not legal on the wire
 * (RFC 4942, section 2.2) and is treated as the IPv4 address. Aligned so that it is compared and copied in words. */
struct root_block_address {
  __u8 bytes[16];
} __attribute__((aligned(8)));

/* Key of the networks' trie (kernel/bpf/lpm_trie.c wants the length in bits first). The family is a part of the
 * matched bits, so that ::/0 does not cover IPv4. */
struct root_block_network {
  __u32 prefix_bits; /* ROOT_FAMILY_BITS + length of the network's prefix */
  __u32 family;      /* 4 or 6 */
  __u8 bytes[16];    /* IPv4: the first four bytes, the others 0 */
};

enum { ROOT_FAMILY_BITS = 32 };

/* Both directions of a connection, whatever VLANs they come in: root_flow_of() says which end is `low`. Ports are
 * those of TCP, UDP, UDP-Lite and SCTP; 0 for all else and where a frame has none: an IP fragment that is not the
 * first, a header that is cut off. So such frames are not of the flow that has ports. */
struct root_flow {
  struct root_block_address low;
  struct root_block_address high;
  __be16 low_port;
  __be16 high_port;
  __u8 protocol; /* IPv6: of the transport header, behind extension headers */
  __u8 zero[3];
};

struct root_flow_counters {
  __u64 packets;
  __u64 bytes; /* of frames as they arrived, Ethernet header included */
};

/* An order of ends, by address, then port. Of the words as the machine reads them: all that matters is that the program
 * and its loader agree. */
static inline int root_end_is_greater(const struct root_block_address* a, __be16 a_port,
                                      const struct root_block_address* b, __be16 b_port) {
  __u64 x, y;
  __builtin_memcpy(&x, a->bytes, 8);
  __builtin_memcpy(&y, b->bytes, 8);
  if (x != y) return x > y;
  __builtin_memcpy(&x, a->bytes + 8, 8);
  __builtin_memcpy(&y, b->bytes + 8, 8);
  if (x != y) return x > y;
  return a_port > b_port;
}

/* The key, from either direction's point of view. */
static inline void root_flow_of(const struct root_block_address* a, __be16 a_port, const struct root_block_address* b,
                                __be16 b_port, __u8 protocol, struct root_flow* flow) {
  const int swap = root_end_is_greater(a, a_port, b, b_port);
  flow->low = swap ? *b : *a;
  flow->high = swap ? *a : *b;
  flow->low_port = swap ? b_port : a_port;
  flow->high_port = swap ? a_port : b_port;
  flow->protocol = protocol;
  flow->zero[0] = flow->zero[1] = flow->zero[2] = 0;
}

/* What is changed while frames arrive: which lists have ever had an entry (an empty one then costs a comparison), and
 * the rate limit. Times are in picoseconds: 10^12 / packets per second has no error that anybody could see. */
struct root_live {
  __u64 rate_cost_ps;  /* what a packet costs: the time in which one more is allowed; 0: no limit */
  __u64 rate_burst_ps; /* what a source can have saved up */
  __u64 tick_ps;       /* the kernel's clock tick */
  __u32 has_addresses;
  __u32 has_networks;
  __u32 has_flows;
  __u32 block_generation; /* another one with each source that is blocked */
};

/* A token bucket as the time at which it is full again (GCRA, ITU-T I.371): one word, so that CPUs that see the same
 * source agree by compare-and-swap. And a note that saves the next look into the block list. */
struct root_bucket {
  __u64 full_at_ps;
  __u32 not_blocked_in; /* the block_generation in which the source was looked up and not found */
  __u32 zero;
};

/* What the driver knows about a frame, written in front of it where the program is bound to the device. A field counts
 * only if its bit is set. A frame may come without (no room in front of it): then what an earlier frame left would lie
 * there, so the reader clears `magic` (bpf/hints.h does). 32 bytes: older kernels refuse more
 * (include/net/xdp.h: xdp_metalen_invalid). */
struct root_hints {
  __u64 rx_timestamp_ns; /* of the NIC's own clock */
  __u32 rx_hash;
  __u32 rx_hash_type; /* enum xdp_rss_hash_type, include/net/xdp.h */
  __u16 vlan_tci;     /* of a tag that the NIC took out */
  __be16 vlan_protocol;
  __u32 valid; /* of root_hint */
  __u32 zero;
  __u32 magic; /* the last word before the frame */
};

enum root_hint { ROOT_HINT_TIMESTAMP = 1, ROOT_HINT_HASH = 2, ROOT_HINT_VLAN = 4, ROOT_HINT_ALL = 7 };
enum { ROOT_HINTS_MAGIC = 0x31746e68 }; /* "hnt1": another layout gets another */

/* Slots of the program array. The filter is made of raw instructions and leaves by a tail call to one of the other
 * two, so that all counting is in one place: root.bpf.c. */
enum root_slot { ROOT_SLOT_FILTER = 0, ROOT_SLOT_DELIVER = 1, ROOT_SLOT_PASS = 2, ROOT_SLOT_COUNT = 3 };

#ifdef __cplusplus
static_assert(sizeof(root_counters) == 64);
static_assert(sizeof(root_block_address) == 16);
static_assert(sizeof(root_block_network) == 24);
static_assert(sizeof(root_flow) == 40);
static_assert(sizeof(root_live) == 40);
static_assert(sizeof(root_hints) == 32);
#else
_Static_assert(sizeof(struct root_counters) == 64, "one cache line");
_Static_assert(sizeof(struct root_block_address) == 16, "IPv6 address");
_Static_assert(sizeof(struct root_block_network) == 24, "no padding in a key");
_Static_assert(sizeof(struct root_flow) == 40, "no padding in a key");
_Static_assert(sizeof(struct root_live) == 40, "no padding");
_Static_assert(sizeof(struct root_hints) == 32, "fits in front of a frame on each kernel");
#endif
