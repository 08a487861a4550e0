/* What the generator and its BPF program (gen.bpf.c) both see: where a frame's varying fields lie and the sums that
 * their checksums start from, and the program's state. One header for C and C++; fixed widths, no pointers.
 *
 * Sums are unfolded Internet checksums over words as they lie in memory (RFC 1071), taken with every varying field set
 * to zero: whoever writes the fields adds them and folds. */
#pragma once

#include <linux/types.h>

/* Offsets are bytes from the frame's first byte; 0 where the frame has no such field. */
struct gen_frame_layout {
  __u32 first_address; /* last 4 bytes of flow 0's address, host order */
  __u32 ip_sum;        /* IPv4 header */
  __u32 transport_sum; /* with the pseudo-header where there is one */
  __u16 frame_bytes;
  __u16 address_off; /* last 4 bytes of the address that tells flows apart: the source's (a DNS response: destination's)
                      */
  __u16 port_off;    /* the port that tells flows apart; ICMP: the identifier */
  __u16 serial_off;  /* low 16 bits of the packet's number: ICMP sequence number, DNS transaction identifier */
  __u16 stamp_off;   /* sequence number and time stamp, 8 bytes each, network byte order */
  __u16 ip_check_off;
  __u16 transport_check_off;
  __u8 covers_address; /* the transport checksum covers the addresses (all but ICMP for IPv4) */
  __u8 zero_is_ffff;   /* UDP: a checksum of 0 is sent as 0xffff (RFC 768) */
};

/* Fixed before the program is loaded. */
struct gen_live_config {
  __u64 seed; /* of the draw of flows, mixed as FlowPicker does */
  __u32 flows;
  __u32 zipf; /* draw from the alias table; else packet n takes flow n mod flows */
  struct gen_frame_layout layout;
};

/* Read and written by user space between runs of the program, never during one. */
struct gen_live_state {
  __u64 packets;         /* made so far: the number of the next packet */
  __u64 next_look;       /* the packet at which the clock is read again */
  __u64 stamp;           /* the time stamp in network byte order, kept until then */
  __u64 last_ns;         /* CLOCK_MONOTONIC at the last reading */
  __u64 clock_offset_ns; /* CLOCK_REALTIME less CLOCK_MONOTONIC */
  __u64 pace_start_ns;   /* CLOCK_MONOTONIC when packet pace_first falls due */
  __u64 pace_first;
  __u64 pace_interval; /* between two packets, in 1/4096 ns; 0: as fast as possible */
  __u32 flow;          /* uniform: the next packet's flow */
  __u32 batch;         /* packets that share one reading of the clock, at most GEN_STAMP_BATCH */
};
#define GEN_PACE_SHIFT 12

/* One column of the alias table of Zipf-distributed flows: random bits below the threshold take the column itself,
 * else its alias. */
struct gen_alias_cell {
  __u32 threshold;
  __u32 alias;
};

/* Packets that share one reading of the clock: bpf_ktime_get_ns can cost as much as the rest of a packet. */
#define GEN_STAMP_BATCH 64

/* Flow i's port is GEN_FIRST_PORT + i mod GEN_PORTS: no flow looks like a well-known service. */
#define GEN_FIRST_PORT 1024
#define GEN_PORTS 64512

#ifdef __cplusplus
static_assert(sizeof(gen_frame_layout) == 28);
static_assert(sizeof(gen_live_config) == 48);
static_assert(sizeof(gen_live_state) == 72);
static_assert(sizeof(gen_alias_cell) == 8);
#endif
