// A plugin's typed record as the collector sees it: plain values, filled while the plugin loads, never changed after.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace plugins {

// The wire order of a record's field values is the schema's; see the head of engine_message in plugins/abi.h.
// All values in host order without padding. string: u16 length, then the bytes. ip: engine_addr. mac: 6 bytes.
// time: f64, ns since engine.epoch_ns. An optional field is preceded by one byte, 0 = absent (no value follows).
enum class FieldType : std::uint8_t { u8, u16, u32, u64, i64, f64, boolean, ip, mac, time, string };

struct RecordField {
  std::string name;
  FieldType type;
  bool optional = false;
  std::uint32_t max_bytes = 0;  // strings in native tables: the most that is kept

  bool operator==(const RecordField&) const = default;
};

struct RecordSchema {
  std::string name;
  std::vector<RecordField> fields;

  bool operator==(const RecordSchema&) const = default;
};

}  // namespace plugins
