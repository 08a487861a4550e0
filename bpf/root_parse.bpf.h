/* What the root program reads out of a frame: who sent it, and which flow it belongs to. Included by root.bpf.c.
 *
 * Sees what engine/decode sees: up to two VLAN tags, IPv4, IPv6 with extension headers. All is inlined: a program with
 * functions of its own may not make tail calls on each architecture.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/root_abi.h"

#define IP_OFFSET 0x1fff         /* kernel: include/net/ip.h */
#define MAX_EXTENSIONS 8         /* as in engine/decode/network.h */
#define MAX_EXTENSION_BYTES 2048 /* of all of them */

struct vlan_tag { /* the kernel keeps its vlan_hdr to itself (include/linux/if_vlan.h) */
  __be16 tci;
  __be16 type;
};

struct ipv6_extension { /* RFC 8200, 4; the offset only in a fragment header */
  __u8 next;
  __u8 length;
  __be16 offset;
  __u32 rest;
};

struct packet {
  struct root_block_address source;
  void* header; /* of IP */
  void* end;
  __u32 family; /* 4 or 6 */
};

static __always_inline void set_ipv4(struct root_block_address* to, __be32 address) {
  const __u64 zero = 0;
  const __be32 mapped = bpf_htonl(0xffff);
  __builtin_memcpy(to->bytes, &zero, 8);
  __builtin_memcpy(to->bytes + 8, &mapped, 4);
  __builtin_memcpy(to->bytes + 12, &address, 4);
}

static __always_inline _Bool is_ipv4(const struct root_block_address* address) {
  __u64 head;
  __be32 mapped;
  __builtin_memcpy(&head, address->bytes, 8);
  __builtin_memcpy(&mapped, address->bytes + 8, 4);
  return head == 0 && mapped == bpf_htonl(0xffff);
}

static __always_inline _Bool is_vlan_tag(__be16 type) {
  return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD) || type == bpf_htons(ETH_P_QINQ1);
}

/* The source. False for what is not IP, or too short to have one: such a frame is in no list and has no limit. */
static __always_inline _Bool find_source(struct xdp_md* ctx, struct packet* packet) {
  void* data = (void*)(long)ctx->data;
  void* data_end = (void*)(long)ctx->data_end;
  struct ethhdr* eth = data;
  if ((void*)(eth + 1) > data_end) return 0;
  __be16 type = eth->h_proto;
  void* next = eth + 1;
#pragma unroll
  for (int tags = 0; tags < 2; tags++) {
    if (!is_vlan_tag(type)) break;
    struct vlan_tag* tag = next;
    if ((void*)(tag + 1) > data_end) return 0;
    type = tag->type;
    next = tag + 1;
  }
  packet->header = next;
  packet->end = data_end;
  if (type == bpf_htons(ETH_P_IP)) {
    struct iphdr* ip = next;
    if ((void*)(ip + 1) > data_end) return 0;
    packet->family = 4;
    set_ipv4(&packet->source, ip->saddr);
    return 1;
  }
  if (type == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr* ip6 = next;
    if ((void*)(ip6 + 1) > data_end) return 0;
    packet->family = 6;
    __builtin_memcpy(&packet->source, &ip6->saddr, 16);
    return 1;
  }
  return 0;
}

/* What an IP protocol number stands for. A table and no comparisons: each would be a branch that the verifier follows
 * through all headers to come. */
enum { HAS_PORTS = 0x80, EXTENSION = 0x40, UNIT_BYTES = 0x0f /* of an extension's length, beyond its first 8 bytes */ };

const __u8 protocols[256] = {
    [IPPROTO_TCP] = HAS_PORTS,
    [IPPROTO_UDP] = HAS_PORTS,
    [IPPROTO_SCTP] = HAS_PORTS,
    [IPPROTO_UDPLITE] = HAS_PORTS,
    [IPPROTO_HOPOPTS] = EXTENSION | 8,
    [IPPROTO_ROUTING] = EXTENSION | 8,
    [IPPROTO_DSTOPTS] = EXTENSION | 8,
    [IPPROTO_MH] = EXTENSION | 8,
    [139] = EXTENSION | 8,        /* HIP */
    [140] = EXTENSION | 8,        /* Shim6 */
    [IPPROTO_AH] = EXTENSION | 4, /* RFC 4302, 2.2 */
    [IPPROTO_FRAGMENT] = EXTENSION,
};

/* Behind the extension headers, which leave the last protocol that was named in `protocol`. Null if no transport header
 * can be told: a later fragment, a chain that is cut off or too long. */
static __always_inline void* skip_extensions(void* first, void* end, __u8* protocol) {
  __u32 at = 0;
#pragma unroll
  for (int depth = 0; depth < MAX_EXTENSIONS; depth++) {
    const __u8 kind = protocols[*protocol];
    if (!(kind & EXTENSION)) return first + at;
    struct ipv6_extension* header = first + at;
    if ((void*)(header + 1) > end) return 0;
    at += 8 + header->length * (kind & UNIT_BYTES);
    if (at > MAX_EXTENSION_BYTES || first + at > end) return 0;
    *protocol = header->next;
    if (kind == EXTENSION && (header->offset & bpf_htons(0xfff8)) != 0) return 0;
  }
  return protocols[*protocol] & EXTENSION ? 0 : first + at;
}

/* False for a header that says it is of another version or shorter than it can be. */
static __always_inline _Bool find_flow(const struct packet* packet, struct root_flow* flow) {
  struct root_block_address target;
  void* transport = 0;
  __u8 protocol;
  if (packet->family == 4) {
    struct iphdr* ip = packet->header;
    if ((void*)(ip + 1) > packet->end || ip->version != 4 || ip->ihl < 5) return 0;
    set_ipv4(&target, ip->daddr);
    protocol = ip->protocol;
    if ((ip->frag_off & bpf_htons(IP_OFFSET)) == 0) transport = (void*)ip + ip->ihl * 4;
  } else {
    struct ipv6hdr* ip6 = packet->header;
    if ((void*)(ip6 + 1) > packet->end || ip6->version != 6) return 0;
    __builtin_memcpy(&target, &ip6->daddr, 16);
    protocol = ip6->nexthdr;
    transport = skip_extensions(ip6 + 1, packet->end, &protocol);
  }
  __be16 ports[2] = {0, 0};
  if (transport && (protocols[protocol] & HAS_PORTS) && transport + sizeof ports <= packet->end)
    __builtin_memcpy(ports, transport, sizeof ports);
  root_flow_of(&packet->source, ports[0], &target, ports[1], protocol, flow);
  return 1;
}
