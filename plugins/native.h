/* The native functions that the library's Lua code calls through FFI. One file for both: C++ implements these types,
 * Lua casts the table of addresses to them, so the two can't differ.
 *
 * All are noexcept and allocate nothing. Their arguments have been checked in Lua: a handle is one that the state
 * made, an address or packet is never null, lengths lie within what they belong to. Called on the worker's thread.
 */
#pragma once

#ifdef __cplusplus
#include "plugins/abi.h"
extern "C" {
#endif

/* A structure of the plugin. Pointers to these incomplete types are the handles that plugins hold: without ffi they
 * can't be made, indexed, offset or written to. */
struct engine_counter;
struct engine_value_counter;
struct engine_topk;
struct engine_value_topk;

struct engine_natives {
  void (*counter_add)(struct engine_counter*, const struct engine_packet*);
  void (*counter_text)(struct engine_value_counter*, const char*, uint32_t, double);
  void (*counter_bytes)(struct engine_value_counter*, const uint8_t*, uint32_t, double);
  void (*counter_number)(struct engine_value_counter*, double, double);
  void (*counter_addr)(struct engine_value_counter*, const struct engine_addr*, double);
  void (*topk_add)(struct engine_topk*, const struct engine_packet*);
  void (*topk_text)(struct engine_value_topk*, const char*, uint32_t, double);
  void (*topk_bytes)(struct engine_value_topk*, const uint8_t*, uint32_t, double);
  void (*topk_number)(struct engine_value_topk*, double, double);
  void (*topk_addr)(struct engine_value_topk*, const struct engine_addr*, double);
  int64_t (*find)(const uint8_t*, uint32_t, const char*, uint32_t); /* -1: not found */
  bool (*equal)(const uint8_t*, const char*, uint32_t);
  bool (*parse_ip)(const char*, struct engine_addr*);
  int32_t (*parse_net)(const char*, struct engine_addr*);  /* prefix length of 128, or -1 */
  uint32_t (*format_ip)(const struct engine_addr*, char*); /* at most 46 bytes */
  uint32_t (*format_time)(uint64_t, char*);                /* RFC 3339; at most 40 bytes */
  double (*stack_left)(void);                              /* bytes of the thread's stack */
};

struct engine_marks;
struct engine_requests;

/* What a plugin declares in `uses`. */
enum engine_use { ENGINE_USE_BLOCK = 1, ENGINE_USE_BYPASS = 2, ENGINE_USE_RATE = 4 };

/* What the runtime and the library share of a state, beside the cell. */
struct engine_binding {
  struct engine_packet* packets;
  uint32_t capacity;
  uint32_t plugin;
  uint64_t epoch_ns;
  struct engine_cell cell;
  struct engine_outbox outbox; /* the worker's, lent for a crossing */
  uint32_t pending;            /* callbacks that wait in tables */
  uint32_t expired;            /* the deadline has passed: whatever catches errors raises them again */
  uint16_t index[256];         /* packets of the batch that the plugin sees, ascending; see State::run(index) */
  struct engine_marks* marks;  /* the worker's, shared by its plugins: plugins::Marks; null without a capture file */
  uint64_t capture_refused;    /* calls of p:capture() that returned false */
  struct engine_requests* requests; /* the worker's, shared by its plugins: plugins::Requests; null: nobody to ask */
  uint64_t actions_refused;         /* requests to the kernel that returned false */
  uint32_t uses;                    /* engine_use, of the plugin that is loaded */
};

/* Bytes of a frame as a plugin holds them. The driver counts crossings in the cell's generation and packets in its
 * next: a view is of this packet as long as both are equal. */
struct engine_view {
  ENGINE_RO double _generation;
  ENGINE_RO uint32_t _packet;
  ENGINE_RO uint32_t _off; /* from the worker's frame memory */
  ENGINE_RO uint32_t _len;
};

/* Flat: LuaJIT does not compile the making of a struct with structs in it. */
struct engine_net {
  ENGINE_RO uint64_t _first_hi;
  ENGINE_RO uint64_t _first_lo;
  ENGINE_RO uint64_t _mask_hi;
  ENGINE_RO uint64_t _mask_lo;
  ENGINE_RO uint32_t _prefix; /* of 128 */
};

/* What on_batch gets; its content lies in the binding. */
struct engine_batch {
  ENGINE_RO uint32_t _unused;
};

#ifdef __cplusplus
}
#endif
