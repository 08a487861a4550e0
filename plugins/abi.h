/* What C++ and Lua both see: one file, included by C++ and embedded into ffi.cdef by the build
 * (plugins/embed.py drops comments and preprocessor lines and writes `const` for ENGINE_RO). The sizes are
 * checked on both sides: static_assert here, ffi.sizeof when a state is made.
 *
 * No member is a pointer or an array: Lua could index either without bounds. Every member a plugin can reach is
 * read-only to Lua by its type (ENGINE_RO), because LuaJIT drops the const of an outer struct when a plugin keeps a
 * reference to an inner one. Names without an underscore are the plugin author's contract; `_` marks our own.
 */
#pragma once

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
#define ENGINE_RO
extern "C" {
#endif

/* An IPv4 or IPv6 address in network byte order, IPv4 as ::ffff:a.b.c.d; all zero where a packet has none. */
struct engine_addr {
  ENGINE_RO uint64_t _hi;
  ENGINE_RO uint64_t _lo;
};

/* One decoded packet. Offsets are bytes from the frame's first byte; 0 where a field does not apply. */
struct engine_packet {
  ENGINE_RO double time;   /* ns since engine.epoch_ns; exact for 104 days */
  ENGINE_RO double _place; /* place in the capture file, from 1; live: 0. Orders results of several workers */
  ENGINE_RO struct engine_addr src;
  ENGINE_RO struct engine_addr dst;
  ENGINE_RO uint32_t _off; /* where the frame lies, bytes from the worker's frame memory */
  ENGINE_RO uint32_t len;  /* bytes on the wire */
  ENGINE_RO uint32_t caplen;
  ENGINE_RO uint32_t hash; /* symmetric over the 5-tuple */
  ENGINE_RO uint32_t rss_hash;
  ENGINE_RO uint32_t tcp_seq;
  ENGINE_RO uint32_t tcp_ack;
  ENGINE_RO uint32_t src4; /* IPv4 addresses as host-order numbers: cheap table keys */
  ENGINE_RO uint32_t dst4;
  ENGINE_RO uint32_t payload_len; /* bytes captured after the last decoded header, without Ethernet padding */
  ENGINE_RO uint16_t queue;
  ENGINE_RO uint16_t eth_type; /* after VLAN tags */
  ENGINE_RO uint16_t vlan;     /* the outer tag's VLAN identifier (12 bits) */
  ENGINE_RO uint16_t inner_vlan;
  ENGINE_RO uint16_t src_port;
  ENGINE_RO uint16_t dst_port;
  ENGINE_RO uint16_t tcp_window;
  ENGINE_RO uint16_t l3_off;
  ENGINE_RO uint16_t l4_off;
  ENGINE_RO uint16_t payload_off;
  ENGINE_RO uint8_t ip_version; /* 4, 6 or 0 */
  ENGINE_RO uint8_t proto;      /* the transport protocol, after IPv6 extension headers */
  ENGINE_RO uint8_t ttl;
  ENGINE_RO uint8_t tos;
  ENGINE_RO uint8_t tcp_flags;
  ENGINE_RO uint8_t icmp_type;
  ENGINE_RO uint8_t icmp_code;
  ENGINE_RO bool is_fragment;   /* any fragment, the first one included */
  ENGINE_RO uint8_t _ts_source; /* index into {"engine", "file", "kernel", "hardware"} */
  ENGINE_RO uint8_t _link;      /* what the frame begins with; 0: Ethernet, else as engine/decode/decode.h numbers it */
  ENGINE_RO uint16_t _interface; /* number of the interface it came in by, in the order they are captured */
  ENGINE_RO bool outgoing;      /* sent by this machine; a tap sees both directions */
  ENGINE_RO uint8_t _unused8;
  ENGINE_RO uint16_t _unused16;
  ENGINE_RO uint32_t _unused32;
};

/* The head of every message from a worker to the collector; what follows depends on the kind. Messages lie in the
 * queue back to back; `length` counts the head too and is a multiple of 8. */
struct engine_message {
  uint32_t length;
  uint8_t kind;    /* enum engine_message_kind */
  uint8_t plugin;  /* index on the command line; 0xff: the engine itself */
  uint16_t schema; /* record, part: its number in the plugin's registry */
  double time;     /* ns since engine.epoch_ns */
  double place;    /* as in engine_packet; orders output of files */
};

enum engine_message_kind {
  ENGINE_MESSAGE_RECORD = 1,     /* fields as the schema says, packed (see plugins/record.h) */
  ENGINE_MESSAGE_JSON = 2,       /* engine.emit: u16 name length, name, then the members as JSON text without braces */
  ENGINE_MESSAGE_LOG = 3,        /* u8 level, then text */
  ENGINE_MESSAGE_PART = 4,       /* engine_part: a structure's content of one interval, ownership goes along */
  ENGINE_MESSAGE_INTERVAL = 5,   /* an interval ended: u64 index; every part of it has been sent */
  ENGINE_MESSAGE_PROGRESS = 6,   /* files: everything up to `place` has been processed */
  ENGINE_MESSAGE_ERROR = 7,      /* a plugin's error: text with file:line */
  ENGINE_MESSAGE_EVENT = 8,      /* what became of a plugin: as JSON; the name is the event's */
  ENGINE_MESSAGE_BLOCK = 9,      /* engine_block: engine.block() */
  ENGINE_MESSAGE_BYPASS = 10,    /* engine_bypass: p:bypass() */
  ENGINE_MESSAGE_RATE_LIMIT = 11 /* engine_rate_limit: engine.rate_limit() */
};

/* Addresses of a plugins::Part and of the plugins::Structure that it goes back to. */
struct engine_part {
  uint64_t part;
  uint64_t owner;
};

/* Whose packets a plugin wants dropped, and for how long. */
struct engine_block {
  struct engine_addr first;
  double seconds;
  uint32_t bits; /* of 128 that count; 128: an address */
  uint32_t _unused;
};

/* The flow, as one of its packets shows it, that the kernel's stack is to have without us, and for how long. */
struct engine_bypass {
  struct engine_addr src;
  struct engine_addr dst;
  double seconds;
  uint16_t src_port; /* 0: the protocol has none */
  uint16_t dst_port;
  uint8_t proto;
  uint8_t _unused8;
  uint16_t _unused16;
};

/* What a source may send at most, whoever it is, and for how long that is to hold. */
struct engine_rate_limit {
  double seconds;
  uint32_t max_pps;
  uint32_t _unused;
};

/* Where the library's Lua code appends messages: a window of the worker's queue, set anew by C++ before each crossing.
 * Only library code (never a plugin) can reach it. */
struct engine_outbox {
  uint8_t* data;
  uint32_t used;
  uint32_t limit;
  uint64_t emitted;
  uint64_t dropped;
};

/* What the driver loop and C++ exchange at each crossing. */
struct engine_cell {
  const uint8_t* frames; /* packets' _off counts from here */
  uint32_t next;         /* the packet to go on with; C++ reads it after an error */
  uint32_t count;        /* packets in the batch */
  double generation;     /* grows with each packet: a view is valid while its own equals it */
};

#ifdef __cplusplus
}
static_assert(sizeof(engine_addr) == 16);
static_assert(sizeof(engine_packet) == 128, "two cache lines");
static_assert(sizeof(engine_message) == 24);
static_assert(sizeof(engine_part) == 16);
static_assert(sizeof(engine_block) == 32);
static_assert(sizeof(engine_bypass) == 48, "no padding: compared as bytes");
static_assert(sizeof(engine_rate_limit) == 16);
#endif
