/* The native functions of map, set, nets and rate; see plugins/native.h for the rules.
 *
 * Keys that are values come as (kind, bytes, length, number) with the kinds of plugins/sketch_native.h, and with the
 * time that counts as their packet's. A table may take one kind only: the others are refused.
 */
#pragma once

#ifdef __cplusplus
#include "plugins/abi.h"
extern "C" {
#endif

struct engine_set;
struct engine_value_set;
struct engine_nets;
struct engine_tagged_nets;
struct engine_rate;
struct engine_value_rate;

/* The row that an entry in the plugin's hands stands for, which life of the row, and the packet it was got for. */
struct engine_map_cursor {
  double generation;
  uint32_t packet;
  uint32_t stamp;
  uint8_t* row;
};

/* Where things lie in a row of a map. */
struct engine_map_layout {
  uint32_t stamp;
  uint32_t fields;
};

struct engine_rate_event {
  double rate;
  uint32_t kind; /* of a key that is a value; 0: a key by field, in the packet */
  uint32_t length;
  struct engine_packet packet;
  struct engine_addr address;
  double number;
  uint8_t text[256];
};

/* What became of a key that was given to a map; what finds an entry fills the cursor's row and stamp. */
enum engine_found { ENGINE_FOUND = 0, ENGINE_MADE = 1, ENGINE_NO_ROW = -1, ENGINE_BAD_KEY = -2 };
/* What became of a key that was given to a set. */
enum engine_added { ENGINE_KNOWN = 0, ENGINE_NEW = 1, ENGINE_REFUSED = 2, ENGINE_NOT_TAKEN = 3 };

/* Handles that only Lua code tells apart come as void pointers: each map has a type of its own. */
struct engine_table_natives {
  void (*map_layout)(void*, struct engine_map_layout*);
  int32_t (*map_get)(void*, const struct engine_packet*, struct engine_map_cursor*);
  int32_t (*map_put)(void*, const struct engine_packet*, struct engine_map_cursor*);
  int32_t (*map_delete)(void*, const struct engine_packet*); /* 1: there was one; 0 */
  int32_t (*map_get_value)(void*, uint32_t, const void*, uint32_t, double, double, struct engine_map_cursor*);
  int32_t (*map_put_value)(void*, uint32_t, const void*, uint32_t, double, double, struct engine_map_cursor*);
  int32_t (*map_delete_value)(void*, uint32_t, const void*, uint32_t, double, double);
  uint32_t (*map_count)(void*);

  int32_t (*set_add)(struct engine_set*, const struct engine_packet*); /* enum engine_added */
  bool (*set_has)(struct engine_set*, const struct engine_packet*);
  int32_t (*set_add_value)(struct engine_value_set*, uint32_t, const void*, uint32_t, double, double);
  int32_t (*set_has_value)(struct engine_value_set*, uint32_t, const void*, uint32_t, double, double);
  uint32_t (*set_count)(void*);

  bool (*nets_tagged)(void*);
  uint32_t (*nets_match)(void*, const struct engine_addr*);           /* 0, or the tag << 8 | prefix of 128 + 1 */
  const char* (*nets_tag)(void*, uint32_t, uint32_t*);                /* the text of a tag, and its length */
  int32_t (*nets_find_tag)(void*, const char*, uint32_t);             /* -1: there is none */
  int32_t (*nets_add)(void*, uint64_t, uint64_t, uint32_t, uint32_t); /* address, prefix, tag: enum engine_added */
  uint32_t (*nets_count)(void*);

  void (*rate_add)(struct engine_rate*, const struct engine_packet*);
  double (*rate_rate)(struct engine_rate*, const struct engine_packet*);
  bool (*rate_add_value)(struct engine_value_rate*, uint32_t, const void*, uint32_t, double, double, double);
  double (*rate_rate_value)(struct engine_value_rate*, uint32_t, const void*, uint32_t, double,
                            double); /* -1: not taken */
  uint32_t (*rate_count)(void*);
  bool (*rate_next)(void*, struct engine_rate_event*);
};

#ifdef __cplusplus
}
#endif
