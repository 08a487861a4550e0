// The fields that a plugin declares for its flows: where each lies behind the flow, and how it is published.
//
// First a word whose bit i says that field i is set; then the fields, each at a multiple of its size. Strings are two
// bytes of length and room for their most bytes. Made while a plugin loads; a field is written by the worker (natives),
// published and joined by the collector.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "plugins/record.h"
#include "plugins/structure.h"

namespace plugins {

inline constexpr std::size_t kMaxFlowFields = 64;
inline constexpr std::uint16_t kMaxFlowString_bytes = 255;

struct FlowField {
  std::string name;
  FieldType type;
  std::uint16_t most_bytes = 0;  // of a string
  std::uint16_t offset = 0;      // from the end of the engine_flow
};

class FlowFields {
 public:
  FlowFields() = default;
  // Places the fields, whose offsets are not read.
  explicit FlowFields(std::vector<FlowField> fields);

  std::uint32_t size_bytes() const noexcept { return size_bytes_; }  // 0: there are none
  const std::vector<FlowField>& all() const noexcept { return fields_; }
  std::string text() const;

  // "user":{…} with those that are set; nothing if none is. `user` is what lies behind the flow.
  void visit(const std::byte* user, std::uint64_t epoch_ns, Visitor& visitor) const;
  // Takes over from `other` what is not set here.
  void join(std::byte* user, const std::byte* other) const noexcept;

 private:
  std::vector<FlowField> fields_;
  std::uint32_t size_bytes_ = 0;
};

}  // namespace plugins
