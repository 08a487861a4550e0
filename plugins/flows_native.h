/* The flow table's native functions and the flow itself, as native.h does it: one file for C++ and LuaJIT.
 *
 * A plugin never holds a flow or a pointer to one: it reads flows through a view whose functions check that the view
 * is still valid (lua/flows.lua). So members may be arrays, and may be written.
 */
#pragma once

#ifdef __cplusplus
#include "plugins/abi.h"
extern "C" {
#endif

/* One flow in the table, or one that has ended. [0] and [1] are the key's two endpoints (see flows/flow_key.h), not
 * forward and reverse: which of them began is in `marks`. Times are ns since the epoch, -1 where there is none. What
 * the plugin declared lies behind it: a word whose bits say which fields are set, then the fields. */
struct engine_flow {
  uint64_t key[5];
  uint32_t previous; /* rows of the same slot of the timer wheel */
  uint32_t next;
  uint16_t slot;
  uint16_t marks; /* enum engine_flow_mark */
  uint8_t flags[2];
  uint8_t state;   /* enum engine_flow_state */
  uint8_t reason;  /* enum engine_flow_reason; of one that has ended */
  uint32_t end[2]; /* TCP: the number behind the highest one seen */

  double first; /* of this record: one that the active limit cut has a later one than the flow */
  double last;
  uint64_t packets[2];
  uint64_t bytes[2];
  uint64_t payload[2];

  /* A packet within a connection does not touch what follows. */
  double started; /* the flow's first packet */
  double syn_at;
  double syn_ack_at;
  double ack_at;
  uint32_t retransmissions[2];
  uint32_t isn; /* the initiator's first sequence number, if the handshake was seen */
  uint32_t unused32;
  uint64_t unused64[2];
};

/* What a plugin's view of a flow leads to; set anew for each packet and each ended flow. */
struct engine_flow_cursor {
  struct engine_flow* flow;
  double generation; /* the cell's, and its packet's place: the view is valid as long as both are equal */
  uint32_t packet;
  bool ended;
  bool is_forward; /* the packet goes from the initiator to the responder */
};

/* Handles are void*: each table has a type of its own, made when it is declared. */
struct engine_flow_natives {
  bool (*add)(void*, const struct engine_packet*, struct engine_flow_cursor*); /* false: not IP */
  bool (*next_ended)(void*, struct engine_flow_cursor*);                       /* false: no more */
  uint32_t (*count)(void*);
  uint32_t (*field_offset)(void*, uint32_t);              /* of a declared field, from the flow's end */
  void (*flow_id)(const struct engine_flow*, char*);      /* 16 bytes */
  void (*community_id)(const struct engine_flow*, char*); /* 30 bytes */
  double (*rtt_responder)(const struct engine_flow*);     /* ns; -1: none */
  double (*rtt_initiator)(const struct engine_flow*);
};

enum engine_flow_mark {
  ENGINE_FLOW_INITIATOR = 1,   /* the endpoint that began: 0 or 1 */
  ENGINE_FLOW_HANDSHAKE = 2,   /* known from SYN or SYN/ACK; `isn` holds */
  ENGINE_FLOW_SEEN = 4,        /* << endpoint: it has sent, in this record or one before */
  ENGINE_FLOW_SEQUENCE = 16,   /* << endpoint: `end` holds */
  ENGINE_FLOW_FIN = 64,        /* << endpoint */
  ENGINE_FLOW_FIN_ACKED = 256, /* << endpoint */
  ENGINE_FLOW_SYN_AGAIN = 1024,
  ENGINE_FLOW_SYN_ACK_AGAIN = 2048,
  ENGINE_FLOW_SPLIT = 4096
};

enum engine_flow_state {
  ENGINE_FLOW_NEW,
  ENGINE_FLOW_SYN_SENT,
  ENGINE_FLOW_SYN_RECEIVED,
  ENGINE_FLOW_ESTABLISHED,
  ENGINE_FLOW_CLOSING,
  ENGINE_FLOW_CLOSED,
  ENGINE_FLOW_RESET
};

enum engine_flow_reason {
  ENGINE_FLOW_ENDED_IDLE,
  ENGINE_FLOW_ENDED_ACTIVE,
  ENGINE_FLOW_ENDED_FIN,
  ENGINE_FLOW_ENDED_RST,
  ENGINE_FLOW_ENDED_EVICTED,
  ENGINE_FLOW_ENDED_CAPTURE
};

#ifdef __cplusplus
}
static_assert(sizeof(engine_flow) == 192, "three cache lines");
#endif
