/* What the root program and the C++ that loads it both see: counters, map keys, slots of the program array.
 *
 * One file, compiled by clang for BPF and by the host's compiler, so that the two cannot drift apart. Fixed-width
 * types only; the sizes are checked below. IPv4 addresses are in network byte order throughout.
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
  __u64 rate_limited; /* stage not built yet: 0 */
  __u64 bypassed;     /* stage not built yet: 0 */
  __u64 no_socket;    /* no socket in the queue's slot of the socket map: XDP_PASS */
  __u64 slot_dropped; /* dropped by an operator's program; stage not built yet: 0 */
  __u64 redirected;   /* handed to the socket; what becomes of it there the socket counts */
};

/* An address in the block list: IPv6, or IPv4 as ::ffff:a.b.c.d. Such a source in an IPv6 header is not legal on the
 * wire (RFC 4942, section 2.2) and is treated as the IPv4 address. */
struct root_block_address {
  __u8 bytes[16];
};

/* Key of the networks' trie (kernel/bpf/lpm_trie.c wants the length in bits first). The family is a part of the
 * matched bits, so that ::/0 does not cover IPv4. */
struct root_block_network {
  __u32 prefix_bits; /* ROOT_FAMILY_BITS + length of the network's prefix */
  __u32 family;      /* 4 or 6 */
  __u8 bytes[16];    /* IPv4: the first four bytes, the others 0 */
};

enum { ROOT_FAMILY_BITS = 32 };

/* Slots of the program array. The filter is made of raw instructions and leaves by a tail call to one of the other
 * two, so that all counting is in one place: root.bpf.c. */
enum root_slot { ROOT_SLOT_FILTER = 0, ROOT_SLOT_DELIVER = 1, ROOT_SLOT_PASS = 2, ROOT_SLOT_COUNT = 3 };

#ifdef __cplusplus
static_assert(sizeof(root_counters) == 64);
static_assert(sizeof(root_block_address) == 16);
static_assert(sizeof(root_block_network) == 24);
#else
_Static_assert(sizeof(struct root_counters) == 64, "one cache line");
_Static_assert(sizeof(struct root_block_address) == 16, "IPv6 address");
_Static_assert(sizeof(struct root_block_network) == 24, "no padding in a key");
#endif
