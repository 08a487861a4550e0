/* The native functions of distinct and histogram; see plugins/native.h for the rules. */
#pragma once

#ifdef __cplusplus
#include "plugins/abi.h"
extern "C" {
#endif

struct engine_distinct;
struct engine_value_distinct;
struct engine_histogram;

/* A key that is a value: its kind, and the bytes of a text, an address, or nothing and the number. */
enum engine_key_kind { ENGINE_KEY_TEXT = 1, ENGINE_KEY_NUMBER = 2, ENGINE_KEY_ADDRESS = 3 };

struct engine_sketch_natives {
  void (*distinct_add)(struct engine_distinct*, const struct engine_packet*);
  void (*distinct_value)(struct engine_value_distinct*, uint32_t, const void*, uint32_t, double);
  void (*histogram_add)(struct engine_histogram*, double); /* not negative, not NaN */
};

#ifdef __cplusplus
}
#endif
