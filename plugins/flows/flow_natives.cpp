// The native functions of plugins/flows_native.h, and how a table of flows is made. Handles are pointers to
// plugins::Handle. Called on the worker's thread; make_flows() on set-up threads.
#include "plugins/flows/flow_natives.h"

#include <algorithm>
#include <cstring>

#include "plugins/flows/community_id.h"
#include "plugins/flows/flow_table.h"
#include "plugins/flows/tcp_track.h"

namespace plugins {
namespace {

// Room for ended flows of one interval: all that the table holds may end at once, and as many have been there and gone.
constexpr std::size_t kLeastRoom = 65536;
constexpr std::uint32_t kDryFlows = 4096;

FlowTable& table_of(void* handle) noexcept { return static_cast<FlowTable&>(*static_cast<Handle*>(handle)->table); }

bool add(void* handle, const engine_packet* packet, engine_flow_cursor* cursor) noexcept {
  unsigned side = 0;
  engine_flow* flow = table_of(handle).add(*packet, side);
  if (flow == nullptr) return false;
  cursor->flow = flow;
  cursor->ended = false;
  cursor->is_forward = side == initiator_of(*flow);
  return true;
}

bool next_ended(void* handle, engine_flow_cursor* cursor) noexcept {
  engine_flow* flow = table_of(handle).next_ended();
  if (flow == nullptr) return false;
  cursor->flow = flow;
  cursor->ended = true;
  cursor->is_forward = false;
  return true;
}

std::uint32_t count(void* handle) noexcept { return table_of(handle).size(); }

std::uint32_t field_offset(void* handle, std::uint32_t field) noexcept {
  return table_of(handle).options().fields.all()[field].offset;
}

void write_flow_id(const engine_flow* flow, char* text) noexcept { write_hex(flow_id(*flow), text); }
void write_id(const engine_flow* flow, char* text) noexcept { write_community_id(flow->key, text); }
double rtt_responder(const engine_flow* flow) noexcept { return rtt_of(*flow).responder_ns; }
double rtt_initiator(const engine_flow* flow) noexcept { return rtt_of(*flow).initiator_ns; }

}  // namespace

const engine_flow_natives& flow_natives() noexcept {
  static constexpr engine_flow_natives table = {
      add, next_ended, count, field_offset, write_flow_id, write_id, rtt_responder, rtt_initiator,
  };
  return table;
}

Made make_flows(const Declaration& d) {
  auto options = std::make_shared<FlowOptions>();
  options->idle_ns = d.number("idle") * 1e9;
  options->active_ns = d.number("active") * 1e9;
  options->max_flows = static_cast<std::uint32_t>(d.number("max"));
  if (d.dry) options->max_flows = std::min(options->max_flows, kDryFlows);
  options->callback = d.truth("callback");
  options->published = !d.name.empty();
  std::vector<FlowField> fields;
  for (const RecordField& field : d.fields)
    fields.push_back({field.name, field.type, static_cast<std::uint16_t>(field.max_bytes)});
  options->fields = FlowFields(std::move(fields));
  const std::size_t room = std::max(kLeastRoom, 2 * std::size_t{options->max_flows});
  return {std::make_unique<FlowPart>(options, room), std::make_unique<FlowPart>(options, room),
          std::make_unique<FlowTable>(options)};
}

}  // namespace plugins
