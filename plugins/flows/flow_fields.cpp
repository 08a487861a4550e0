#include "plugins/flows/flow_fields.h"

#include <cstdio>
#include <cstring>

namespace plugins {
namespace {

constexpr const char* kTypeNames[] = {"u8", "u16", "u32", "u64", "i64", "f64", "bool", "ip", "mac", "time", "string"};

std::uint32_t size_of(const FlowField& field) noexcept {
  switch (field.type) {
    case FieldType::u8:
    case FieldType::boolean:
      return 1;
    case FieldType::u16:
      return 2;
    case FieldType::u32:
      return 4;
    case FieldType::mac:
      return 6;
    case FieldType::ip:
      return 16;
    case FieldType::string:
      return 2u + field.most_bytes;
    default:
      return 8;
  }
}

std::uint32_t alignment_of(const FlowField& field) noexcept {
  if (field.type == FieldType::string || field.type == FieldType::mac) return 2;
  return field.type == FieldType::ip ? 8 : size_of(field);
}

template <class T>
T load(const std::byte* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void visit_mac(const std::string& name, const std::byte* from, Visitor& visitor) {
  const auto* b = reinterpret_cast<const std::uint8_t*>(from);
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
  visitor.text(name, text);
}

void visit_field(const FlowField& field, const std::byte* from, std::uint64_t epoch_ns, Visitor& visitor) {
  switch (field.type) {
    case FieldType::u8:
      return visitor.unsigned_number(field.name, load<std::uint8_t>(from));
    case FieldType::u16:
      return visitor.unsigned_number(field.name, load<std::uint16_t>(from));
    case FieldType::u32:
      return visitor.unsigned_number(field.name, load<std::uint32_t>(from));
    case FieldType::u64:
      return visitor.unsigned_number(field.name, load<std::uint64_t>(from));
    case FieldType::i64:
      return visitor.signed_number(field.name, load<std::int64_t>(from));
    case FieldType::f64:
      return visitor.real(field.name, load<double>(from));
    case FieldType::boolean:
      return visitor.boolean(field.name, load<std::uint8_t>(from) != 0);
    case FieldType::ip:
      return visitor.address(field.name, load<engine_addr>(from));
    case FieldType::mac:
      return visit_mac(field.name, from, visitor);
    case FieldType::time:
      return visitor.time(field.name,
                          epoch_ns + static_cast<std::uint64_t>(static_cast<std::int64_t>(load<double>(from))));
    case FieldType::string:
      return visitor.text(field.name, {reinterpret_cast<const char*>(from) + 2, load<std::uint16_t>(from)});
  }
}

}  // namespace

FlowFields::FlowFields(std::vector<FlowField> fields) : fields_(std::move(fields)) {
  if (fields_.empty()) return;
  size_bytes_ = 8;
  for (FlowField& field : fields_) {
    const std::uint32_t alignment = alignment_of(field);
    size_bytes_ = (size_bytes_ + alignment - 1) / alignment * alignment;
    field.offset = static_cast<std::uint16_t>(size_bytes_);
    size_bytes_ += size_of(field);
  }
}

std::string FlowFields::text() const {
  std::string all;
  for (const FlowField& field : fields_) {
    all += (all.empty() ? "" : " ") + field.name + ":" + kTypeNames[static_cast<int>(field.type)];
    if (field.type == FieldType::string) all += std::to_string(field.most_bytes);
  }
  return all;
}

void FlowFields::visit(const std::byte* user, std::uint64_t epoch_ns, Visitor& visitor) const {
  if (fields_.empty()) return;
  const auto set = load<std::uint64_t>(user);
  if (set == 0) return;
  visitor.begin_object("user");
  for (std::size_t i = 0; i < fields_.size(); ++i)
    if ((set >> i & 1) != 0) visit_field(fields_[i], user + fields_[i].offset, epoch_ns, visitor);
  visitor.end_object();
}

void FlowFields::join(std::byte* user, const std::byte* other) const noexcept {
  if (fields_.empty()) return;
  const auto mine = load<std::uint64_t>(user), theirs = load<std::uint64_t>(other);
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    if ((mine >> i & 1) != 0 || (theirs >> i & 1) == 0) continue;
    std::memcpy(user + fields_[i].offset, other + fields_[i].offset, size_of(fields_[i]));
  }
  const std::uint64_t both = mine | theirs;
  std::memcpy(user, &both, sizeof both);
}

}  // namespace plugins
