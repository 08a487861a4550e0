#include "plugins/key.h"

#include <algorithm>
#include <cstring>

#include "engine/base/error.h"

namespace plugins {
namespace {

constexpr auto kText = static_cast<std::uint8_t>(ValueKind::text);
constexpr auto kNumber = static_cast<std::uint8_t>(ValueKind::number);
constexpr auto kAddress = static_cast<std::uint8_t>(ValueKind::address);

struct Known {
  const char* name;
  std::uint8_t offset;
  std::uint8_t size_bytes;
};

#define FIELD(name) \
  Known { #name, offsetof(engine_packet, name), sizeof(engine_packet::name) }
constexpr Known kKnown[] = {
    FIELD(src),       FIELD(dst),        FIELD(proto),       FIELD(src_port),    FIELD(dst_port),    FIELD(src4),
    FIELD(dst4),      FIELD(ip_version), FIELD(eth_type),    FIELD(vlan),        FIELD(inner_vlan),  FIELD(queue),
    FIELD(len),       FIELD(caplen),     FIELD(hash),        FIELD(rss_hash),    FIELD(ttl),         FIELD(tos),
    FIELD(tcp_flags), FIELD(tcp_window), FIELD(tcp_seq),     FIELD(tcp_ack),     FIELD(icmp_type),   FIELD(icmp_code),
    FIELD(l3_off),    FIELD(l4_off),     FIELD(payload_off), FIELD(payload_len), FIELD(is_fragment), FIELD(outgoing),
};
#undef FIELD

bool is_boolean(std::string_view field) { return field == "is_fragment" || field == "outgoing"; }

std::string_view text_of(const std::uint8_t* key) { return {reinterpret_cast<const char*>(key) + 2, key[1]}; }

double number_of(const std::uint8_t* key) {
  double value;
  std::memcpy(&value, key + 2, sizeof value);
  return value;
}

}  // namespace

void ValueKey::set(std::uint8_t kind, const void* bytes, std::size_t size_bytes) noexcept {
  words = static_cast<std::uint32_t>((size_bytes + 2 + 7) / 8);
  data[words - 1] = 0;
  auto* to = reinterpret_cast<std::uint8_t*>(data);
  if (size_bytes != 0) std::memcpy(to + 2, bytes, size_bytes);
  to[0] = kind;
  to[1] = static_cast<std::uint8_t>(size_bytes);
}

ValueKey::ValueKey(std::string_view text) noexcept { set(kText, text.data(), std::min(text.size(), kMaxValue_bytes)); }
ValueKey::ValueKey(double number) noexcept {
  if (number == 0) number = 0;  // -0 is the same key
  set(kNumber, &number, sizeof number);
}
ValueKey::ValueKey(const engine_addr& address) noexcept { set(kAddress, &address, sizeof address); }

KeySpec KeySpec::values(ValueKind kind) {
  KeySpec spec;
  spec.kind_ = static_cast<std::uint32_t>(kind);
  if (kind == ValueKind::number) spec.words_ = (2 + sizeof(double) + 7) / 8;
  if (kind == ValueKind::address) spec.words_ = (2 + sizeof(engine_addr) + 7) / 8;
  return spec;
}

KeySpec KeySpec::of(std::span<const std::string> fields) {
  KeySpec spec;
  spec.words_ = 0;
  for (const std::string& name : fields) spec.add(name);
  if (spec.fields_.empty()) {
    throw engine::SetupError(engine::ExitCode::bad_usage, "key", "no field given", "name at least one packet field");
  }
  spec.plan_loads();
  return spec;
}

KeySpec KeySpec::of(std::initializer_list<std::string_view> fields) {
  return of(std::vector<std::string>(fields.begin(), fields.end()));
}

std::vector<std::string> KeySpec::known_fields() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.name);
  return names;
}

std::string KeySpec::text() const {
  constexpr const char* kinds[] = {"value", "text", "number", "address"};
  if (by_value()) return kinds[kind_];
  std::string all;
  for (const Field& field : fields_) all += (all.empty() ? "" : " ") + field.name;
  return all;
}

void KeySpec::add(std::string_view name) {
  const auto* known =
      std::find_if(std::begin(kKnown), std::end(kKnown), [&](const Known& k) { return name == k.name; });
  const std::string object = "key \"" + std::string(name) + "\"";
  if (known == std::end(kKnown)) {
    throw engine::SetupError(engine::ExitCode::bad_usage, object, "no packet field that can be a key");
  }
  for (const Field& field : fields_) {
    if (field.name == name) throw engine::SetupError(engine::ExitCode::bad_usage, object, "given twice");
  }
  fields_.push_back({std::string(name), known->offset, known->size_bytes, 0, 0});
  place(known->size_bytes);
  if (words_ > kMaxFieldWords) throw engine::SetupError(engine::ExitCode::bad_usage, object, "the key is too long");
}

void KeySpec::place(std::uint8_t size_bytes) {
  const std::uint32_t wanted_bits = size_bytes * 8u;
  if (words_ == 0 || wanted_bits > 64 || bits_ + wanted_bits > 64) {
    fields_.back().word = static_cast<std::uint8_t>(words_);
    fields_.back().shift = 0;
    words_ += wanted_bits > 64 ? 2 : 1;
    bits_ = std::min(wanted_bits, 64u);
    return;
  }
  fields_.back().word = static_cast<std::uint8_t>(words_ - 1);
  fields_.back().shift = static_cast<std::uint8_t>(bits_);
  bits_ += wanted_bits;
}

void KeySpec::plan_loads() {
  static_assert(offsetof(engine_packet, outgoing) + 8 <= sizeof(engine_packet), "8-byte loads stay in the packet");
  for (const Field& field : fields_) {
    if (!loads_.empty()) loads_.back().ends_word = field.shift == 0;
    const std::uint64_t mask =
        field.size_bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (field.size_bytes * 8)) - 1;
    loads_.push_back({mask, field.offset, field.shift, true});
    if (field.size_bytes == 16) loads_.push_back({mask, static_cast<std::uint8_t>(field.offset + 8), 0, true});
  }
  if (loads_.size() == words_) plain_words_ = words_;
}

std::uint64_t KeySpec::possible_keys() const noexcept {
  std::uint32_t bits = 0;
  for (const Field& field : fields_) bits += is_boolean(field.name) ? 1 : field.size_bytes * 8u;
  return by_value() || bits > 32 ? std::uint64_t{1} << 32 : std::uint64_t{1} << bits;
}

void KeySpec::unpack(const std::uint64_t* words, engine_packet& packet) const noexcept {
  auto* to = reinterpret_cast<std::uint8_t*>(&packet);
  for (const Field& field : fields_) {
    const std::uint64_t value[2] = {words[field.word] >> field.shift,
                                    field.size_bytes == 16 ? words[field.word + 1] : 0};
    std::memcpy(to + field.offset, value, field.size_bytes);
  }
}

void KeySpec::visit(const std::uint64_t* words, Visitor& visitor) const {
  const auto* value = reinterpret_cast<const std::uint8_t*>(words);
  if (by_value()) {
    engine_addr address;
    switch (value[0]) {
      case kText:
        return visitor.text("key", text_of(value));
      case kNumber:
        return visitor.real("key", number_of(value));
      default:
        std::memcpy(&address, value + 2, sizeof address);
        return visitor.address("key", address);
    }
  }
  for (const Field& field : fields_) {
    if (field.size_bytes == 16) {
      visitor.address(field.name, engine_addr{words[field.word], words[field.word + 1]});
    } else {
      const std::uint64_t mask = (std::uint64_t{1} << (field.size_bytes * 8u)) - 1;
      const std::uint64_t number = (words[field.word] >> field.shift) & mask;
      if (is_boolean(field.name)) {
        visitor.boolean(field.name, number != 0);
      } else {
        visitor.unsigned_number(field.name, number);
      }
    }
  }
}

bool KeySpec::less(const std::uint64_t* a, const std::uint64_t* b) const noexcept {
  if (!by_value()) return std::memcmp(a, b, words_ * 8) < 0;
  const auto* left = reinterpret_cast<const std::uint8_t*>(a);
  const auto* right = reinterpret_cast<const std::uint8_t*>(b);
  if (left[0] != right[0]) return left[0] < right[0];
  if (left[0] == kNumber) return number_of(left) < number_of(right);
  return text_of(left) < text_of(right);
}

}  // namespace plugins
