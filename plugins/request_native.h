/* engine.block(), p:bypass() and engine.rate_limit(): what plugins ask of the kernel. The rules of native.h hold; that
 * the plugin declares it in `uses` has been checked too. */
#pragma once

#ifdef __cplusplus
#include "plugins/native.h"
extern "C" {
#endif

/* False, counted in the binding: the source has no kernel to ask, there is no room for it, or it names no source or
 * flow. The last argument is always seconds. */
struct engine_request_natives {
  bool (*block)(struct engine_binding*, uint64_t, uint64_t, uint32_t, double); /* an engine_addr's words; bits of 128 */
  bool (*bypass)(struct engine_binding*, const struct engine_packet*, double);
  bool (*limit_rate)(struct engine_binding*, double, double); /* packets per second, a whole number below 2^32 */
};

#ifdef __cplusplus
}

namespace plugins {
const engine_request_natives& request_natives() noexcept;
}
#endif
