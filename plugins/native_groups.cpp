#include "plugins/native_groups.h"

#include "plugins/request_native.h"
#include "plugins/capture_native.h"
#include "plugins/flows/flow_natives.h"
#include "plugins/natives.h"
#include "plugins/protocols/natives.h"

namespace plugins {

std::span<const NativeGroup> native_groups() noexcept {
  static const NativeGroup groups[] = {
      {"base", "struct engine_natives", &natives()},
      {"protocol", "struct engine_protocol_natives", &protocol_natives()},
      {"capture", "struct engine_capture_natives", &capture_natives()},
      {"request", "struct engine_request_natives", &request_natives()},
      {"sketch", "struct engine_sketch_natives", &sketch_natives()},
      {"table", "struct engine_table_natives", &table_natives()},
      {"flow", "struct engine_flow_natives", &flow_natives()},
  };
  return groups;
}

}  // namespace plugins
