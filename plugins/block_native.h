/* engine.block() and p:bypass(): what plugins ask of the kernel. The rules of native.h hold; that the plugin declares
 * it in `uses` has been checked too. */
#pragma once

#ifdef __cplusplus
#include "plugins/native.h"
extern "C" {
#endif

/* False, counted in the binding: the source has no kernel to ask, there is no room for it, or it names no source. */
struct engine_block_natives {
  /* The words of an address, as engine_addr has them; bits of 128; seconds. */
  bool (*block)(struct engine_binding*, uint64_t, uint64_t, uint32_t, double);
  bool (*bypass)(struct engine_binding*);
};

#ifdef __cplusplus
}

namespace plugins {
const engine_block_natives& block_natives() noexcept;
}
#endif
