// The native functions of plugins/sketch_native.h. Handles are pointers to plugins::Handle under an incomplete type.
#include "plugins/distinct.h"
#include "plugins/histogram.h"
#include "plugins/natives.h"
#include "plugins/sketch_native.h"
#include "plugins/value_key.h"

namespace plugins {
namespace {

template <typename Kind, typename Pointed>
Kind& part_of(Pointed* handle) noexcept {
  return static_cast<Kind&>(*reinterpret_cast<Handle*>(handle)->part);
}

void distinct_add(engine_distinct* handle, const engine_packet* packet) noexcept {
  part_of<Distinct>(handle).add(*packet);
}

void distinct_value(engine_value_distinct* handle, std::uint32_t kind, const void* bytes, std::uint32_t length,
                    double number) noexcept {
  part_of<Distinct>(handle).add_value(value_key(kind, bytes, length, number));
}

void histogram_add(engine_histogram* handle, double value) noexcept { part_of<Histogram>(handle).add(value); }

}  // namespace

const engine_sketch_natives& sketch_natives() noexcept {
  static constexpr engine_sketch_natives table = {distinct_add, distinct_value, histogram_add};
  return table;
}

}  // namespace plugins
