// The native functions of plugins/table_native.h. Handles are pointers to plugins::Handle under an incomplete type.
#include "plugins/table_native.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "plugins/map_table.h"
#include "plugins/natives.h"
#include "plugins/net_table.h"
#include "plugins/rate_table.h"
#include "plugins/set_table.h"
#include "plugins/value_key.h"

namespace plugins {
namespace {

template <typename Kind>
Kind& table_of(void* handle) noexcept {
  return static_cast<Kind&>(*static_cast<Handle*>(handle)->table);
}

std::int32_t place(MapTable& map, RowTable::Found found, engine_map_cursor* cursor) noexcept {
  if (found.row == RowTable::kNone) return ENGINE_NO_ROW;
  RowTable::Row& row = map.rows().at(found.row);
  cursor->row = reinterpret_cast<std::uint8_t*>(&row);
  cursor->stamp = row.stamp;
  return found.fresh ? ENGINE_MADE : ENGINE_FOUND;
}

void map_layout(void* handle, engine_map_layout* layout) noexcept {
  *layout = {offsetof(RowTable::Row, stamp),
             static_cast<std::uint32_t>(table_of<MapTable>(handle).rows().payload_at())};
}
std::int32_t map_get(void* handle, const engine_packet* packet, engine_map_cursor* cursor) noexcept {
  MapTable& map = table_of<MapTable>(handle);
  return place(map, {map.get(*packet), false}, cursor);
}
std::int32_t map_put(void* handle, const engine_packet* packet, engine_map_cursor* cursor) noexcept {
  MapTable& map = table_of<MapTable>(handle);
  return place(map, map.put(*packet), cursor);
}
std::int32_t map_delete(void* handle, const engine_packet* packet) noexcept {
  return table_of<MapTable>(handle).remove(*packet) ? 1 : 0;
}
std::int32_t map_get_value(void* handle, std::uint32_t kind, const void* bytes, std::uint32_t length, double number,
                           double now_ns, engine_map_cursor* cursor) noexcept {
  MapTable& map = table_of<MapTable>(handle);
  if (!map.key().takes(kind)) return ENGINE_BAD_KEY;
  return place(map, {map.get(value_key(kind, bytes, length, number), now_ns), false}, cursor);
}
std::int32_t map_put_value(void* handle, std::uint32_t kind, const void* bytes, std::uint32_t length, double number,
                           double now_ns, engine_map_cursor* cursor) noexcept {
  MapTable& map = table_of<MapTable>(handle);
  if (!map.key().takes(kind)) return ENGINE_BAD_KEY;
  return place(map, map.put(value_key(kind, bytes, length, number), now_ns), cursor);
}
std::int32_t map_delete_value(void* handle, std::uint32_t kind, const void* bytes, std::uint32_t length, double number,
                              double now_ns) noexcept {
  MapTable& map = table_of<MapTable>(handle);
  if (!map.key().takes(kind)) return ENGINE_BAD_KEY;
  return map.remove(value_key(kind, bytes, length, number), now_ns) ? 1 : 0;
}
std::uint32_t map_count(void* handle) noexcept { return table_of<MapTable>(handle).rows().size(); }

std::int32_t set_add(engine_set* handle, const engine_packet* packet) noexcept {
  return static_cast<std::int32_t>(table_of<SetTable>(handle).add(*packet));
}
bool set_has(engine_set* handle, const engine_packet* packet) noexcept {
  return table_of<SetTable>(handle).has(*packet);
}
std::int32_t set_add_value(engine_value_set* handle, std::uint32_t kind, const void* bytes, std::uint32_t length,
                           double number, double now_ns) noexcept {
  SetTable& set = table_of<SetTable>(handle);
  if (!set.key().takes(kind)) return ENGINE_NOT_TAKEN;
  return static_cast<std::int32_t>(set.add(value_key(kind, bytes, length, number), now_ns));
}
std::int32_t set_has_value(engine_value_set* handle, std::uint32_t kind, const void* bytes, std::uint32_t length,
                           double number, double now_ns) noexcept {
  SetTable& set = table_of<SetTable>(handle);
  if (!set.key().takes(kind)) return ENGINE_NOT_TAKEN;
  return set.has(value_key(kind, bytes, length, number), now_ns) ? 1 : 0;
}
std::uint32_t set_count(void* handle) noexcept { return table_of<SetTable>(handle).size(); }

bool nets_tagged(void* handle) noexcept { return table_of<NetTable>(handle).tagged(); }
std::uint32_t nets_match(void* handle, const engine_addr* address) noexcept {
  return table_of<NetTable>(handle).match(*address);
}
const char* nets_tag(void* handle, std::uint32_t tag, std::uint32_t* length) noexcept {
  const std::string& text = table_of<NetTable>(handle).tag(tag);
  *length = static_cast<std::uint32_t>(text.size());
  return text.data();
}
std::int32_t nets_find_tag(void* handle, const char* text, std::uint32_t length) noexcept {
  return table_of<NetTable>(handle).find_tag({text, length});
}
std::int32_t nets_add(void* handle, std::uint64_t hi, std::uint64_t lo, std::uint32_t prefix,
                      std::uint32_t tag) noexcept {
  return static_cast<std::int32_t>(table_of<NetTable>(handle).add({hi, lo}, prefix, tag));
}
std::uint32_t nets_count(void* handle) noexcept { return table_of<NetTable>(handle).size(); }

void count_pending(void* handle, bool more) noexcept {
  if (more) ++*static_cast<Handle*>(handle)->pending;
}
void rate_add(engine_rate* handle, const engine_packet* packet) noexcept {
  count_pending(handle, table_of<RateTable>(handle).add(*packet));
}
double rate_rate(engine_rate* handle, const engine_packet* packet) noexcept {
  return table_of<RateTable>(handle).rate(*packet);
}
bool rate_add_value(engine_value_rate* handle, std::uint32_t kind, const void* bytes, std::uint32_t length,
                    double number, double n, double now_ns) noexcept {
  RateTable& rate = table_of<RateTable>(handle);
  if (!rate.key().takes(kind)) return false;
  count_pending(handle, rate.add(value_key(kind, bytes, length, number), static_cast<std::uint64_t>(n), now_ns));
  return true;
}
double rate_rate_value(engine_value_rate* handle, std::uint32_t kind, const void* bytes, std::uint32_t length,
                       double number, double now_ns) noexcept {
  RateTable& rate = table_of<RateTable>(handle);
  if (!rate.key().takes(kind)) return -1;
  return rate.rate(value_key(kind, bytes, length, number), now_ns);
}
std::uint32_t rate_count(void* handle) noexcept { return table_of<RateTable>(handle).size(); }

bool rate_next(void* handle, engine_rate_event* to) noexcept {
  RateTable& rate = table_of<RateTable>(handle);
  RateTable::Event event;
  if (!rate.take(event)) return false;
  to->rate = event.rate;
  to->kind = 0;
  if (!rate.key().by_value()) {
    rate.key().unpack(event.key, to->packet);
    return true;
  }
  const ValueKey::Bytes value = ValueKey::bytes_of(event.key);
  to->kind = value.kind;
  to->length = static_cast<std::uint32_t>(value.size_bytes);
  void* place = to->text;
  if (value.kind == ENGINE_KEY_NUMBER) place = &to->number;
  if (value.kind == ENGINE_KEY_ADDRESS) place = &to->address;
  std::memcpy(place, value.data, value.size_bytes);
  return true;
}

}  // namespace

const engine_table_natives& table_natives() noexcept {
  static constexpr engine_table_natives table = {
      map_layout,     map_get,         map_put,       map_delete,    map_get_value, map_put_value, map_delete_value,
      map_count,      set_add,         set_has,       set_add_value, set_has_value, set_count,     nets_tagged,
      nets_match,     nets_tag,        nets_find_tag, nets_add,      nets_count,    rate_add,      rate_rate,
      rate_add_value, rate_rate_value, rate_count,    rate_next,
  };
  return table;
}

}  // namespace plugins
