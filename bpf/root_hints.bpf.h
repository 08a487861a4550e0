/* What the driver knows about a frame, written in front of it for the socket's reader. Included by root.bpf.c.
 *
 * The functions are the kernel's (include/net/xdp.h: XDP_METADATA_KFUNC_xxx), for programs bound to a device only.
 * Weak: a kernel without one resolves it to nothing, and `hints`, set by the loader, keeps the program away from it.
 */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/root_abi.h"

#ifdef ROOT_ASKS_FOR_HINTS

enum xdp_rss_hash_type { XDP_RSS_HASH_TYPE_UNKNOWN = 0 }; /* the kernel's own, not in its user headers */

extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md* ctx, __u64* timestamp) __ksym __weak;
extern int bpf_xdp_metadata_rx_hash(const struct xdp_md* ctx, __u32* hash, enum xdp_rss_hash_type* type) __ksym __weak;
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md* ctx, __be16* protocol, __u16* tci) __ksym __weak;

/* Of root_hint: those to be asked for. */
const volatile __u32 hints = 0;

/* A driver may answer 0 and know nothing (veth: a time stamp of 0), so a value of 0 is none; nor is a hash of no type
 * one (drivers/net/virtio_net.c: virtnet_xdp_rx_hash gives whatever lies there if the device reports none). */
static __always_inline void write_hints(struct xdp_md* ctx) {
  struct root_hints known = {.magic = ROOT_HINTS_MAGIC};
  enum xdp_rss_hash_type type = XDP_RSS_HASH_TYPE_UNKNOWN;
  if ((hints & ROOT_HINT_TIMESTAMP) && bpf_xdp_metadata_rx_timestamp(ctx, &known.rx_timestamp_ns) == 0 &&
      known.rx_timestamp_ns != 0)
    known.valid |= ROOT_HINT_TIMESTAMP;
  if ((hints & ROOT_HINT_HASH) && bpf_xdp_metadata_rx_hash(ctx, &known.rx_hash, &type) == 0 && known.rx_hash != 0 &&
      type != XDP_RSS_HASH_TYPE_UNKNOWN)
    known.valid |= ROOT_HINT_HASH;
  known.rx_hash_type = type;
  if ((hints & ROOT_HINT_VLAN) && bpf_xdp_metadata_rx_vlan_tag(ctx, &known.vlan_protocol, &known.vlan_tci) == 0 &&
      known.vlan_protocol != 0)
    known.valid |= ROOT_HINT_VLAN;
  if (bpf_xdp_adjust_meta(ctx, -(int)sizeof known) != 0) return;
  void* data = (void*)(long)ctx->data;
  void* meta = (void*)(long)ctx->data_meta;
  if (meta + sizeof known > data) return;
  __builtin_memcpy(meta, &known, sizeof known);
}

#else
static __always_inline void write_hints(struct xdp_md* ctx) { (void)ctx; }
#endif

/* For frames that go on to the kernel's stack, which keeps what lies in front of them with the packet and does not
 * merge two that differ there (net/core/gro.c: gro_list_prepare). */
static __always_inline void remove_hints(struct xdp_md* ctx) {
  const __u32 bytes = ctx->data - ctx->data_meta;
  if (bytes == sizeof(struct root_hints)) bpf_xdp_adjust_meta(ctx, sizeof(struct root_hints));
}
