// The stages of `engine bench pipeline`: what becomes of a packet between its frame and a line of JSON, each on its own
// or with all that comes before it. They call the product's code; nothing of it is copied here.
//
// Made on the main thread, each used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/bench/frame_area.h"
#include "engine/bench/stage.h"
#include "engine/cli/settings.h"

namespace engine::bench {

// The cost that no decoder can avoid: one word of each frame's first cache line is read and added up, the rest of the
// frame is left alone. `flows`: before each pass every frame gets another source address; 0: frames stay as they are.
std::unique_ptr<Stage> touch_stage(std::shared_ptr<FrameArea> area, std::uint32_t flows = 0);

std::unique_ptr<Stage> decode_stage(std::shared_ptr<FrameArea> area, std::uint32_t batch);

// Decode, then the plugin, as the worker does it. `flows` as above.
std::unique_ptr<Stage> plugin_stage(std::shared_ptr<FrameArea> area, std::uint32_t batch, cli::PluginSetting plugin,
                                    std::uint32_t flows = 0);
// As lines in plain Lua: packets by protocol; with a flow table of so many flows besides; a record of each packet.
cli::PluginSetting count_plugin();
cli::PluginSetting flow_plugin(std::uint32_t flows);
cli::PluginSetting record_plugin();

// The worker itself over so many queues whose rings lie in memory, so many frames together; it runs count_plugin().
std::unique_ptr<Stage> worker_stage(const gen::TrafficSpec& traffic, std::uint32_t frames, std::uint32_t queues);

// A record of 64 bytes into the worker's queue and out of it, published as batches are; and one as a line of JSON.
std::unique_ptr<Stage> queue_stage(std::uint32_t batch);
std::unique_ptr<Stage> json_stage();

}  // namespace engine::bench
