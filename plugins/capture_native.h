/* p:capture(): which packets go into the capture file. The rules of native.h hold. */
#pragma once

#ifdef __cplusplus
#include "plugins/native.h"
extern "C" {
#endif

struct engine_capture_natives {
  /* The packet is to be written, with this comment unless its length is 0. False, counted: it cannot be. */
  bool (*capture)(struct engine_binding*, const struct engine_packet*, const char*, uint32_t);
};

#ifdef __cplusplus
}

namespace plugins {
const engine_capture_natives& capture_natives() noexcept;
}
#endif
