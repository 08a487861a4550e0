#include "plugins/native_groups.h"

#include "plugins/natives.h"

namespace plugins {

std::span<const NativeGroup> native_groups() noexcept {
  static const NativeGroup groups[] = {
      {"base", "struct engine_natives", &natives()},
  };
  return groups;
}

}  // namespace plugins
