#include "engine/results/json_lines.h"

#include <cstring>

#include "engine/results/summary.h"

namespace engine {
namespace {

// Takes packed values from the front of a record.
class Unpacker {
 public:
  explicit Unpacker(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <class T>
  T take() noexcept {
    T value{};
    if (bytes_.size() < sizeof value) {
      good_ = false;
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
    return value;
  }

  std::string_view take_text() noexcept {
    const std::size_t length = take<std::uint16_t>();
    if (bytes_.size() < length) {
      good_ = false;
      return {};
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), length);
    bytes_ = bytes_.subspan(length);
    return text;
  }

  bool good() const noexcept { return good_; }

 private:
  std::span<const std::byte> bytes_;
  bool good_ = true;
};

struct Mac {
  std::uint8_t bytes[6];
};

void visit_field(const plugins::RecordField& field, Unpacker& from, std::uint64_t epoch_ns, plugins::Visitor& to,
                 TimeFormat& times) {
  using plugins::FieldType;
  std::string text;
  switch (field.type) {
    case FieldType::u8:
      return to.unsigned_number(field.name, from.take<std::uint8_t>());
    case FieldType::u16:
      return to.unsigned_number(field.name, from.take<std::uint16_t>());
    case FieldType::u32:
      return to.unsigned_number(field.name, from.take<std::uint32_t>());
    case FieldType::u64:
      return to.unsigned_number(field.name, from.take<std::uint64_t>());
    case FieldType::i64:
      return to.signed_number(field.name, from.take<std::int64_t>());
    case FieldType::f64:
      return to.real(field.name, from.take<double>());
    case FieldType::boolean:
      return to.boolean(field.name, from.take<std::uint8_t>() != 0);
    case FieldType::ip:
      return to.address(field.name, from.take<engine_addr>());
    case FieldType::string:
      return to.text(field.name, from.take_text());
    case FieldType::mac:
      append_mac(text, from.take<Mac>().bytes);
      break;
    case FieldType::time:
      times.append(text, since_epoch_to_utc(epoch_ns, from.take<double>()));
      break;
  }
  to.text(field.name, text);
}

}  // namespace

std::uint64_t since_epoch_to_utc(std::uint64_t epoch_ns, double since_epoch_ns) noexcept {
  // Outside of what 64 bits hold (a plugin may give any number) the conversion would be undefined.
  if (!(since_epoch_ns > -9e18 && since_epoch_ns < 9e18)) return epoch_ns;
  return epoch_ns + static_cast<std::uint64_t>(static_cast<std::int64_t>(since_epoch_ns));
}

bool visit_record(const plugins::RecordSchema& schema, std::span<const std::byte> values, std::uint64_t epoch_ns,
                  plugins::Visitor& visitor, TimeFormat& times) {
  Unpacker from(values);
  for (const plugins::RecordField& field : schema.fields) {
    if (field.optional && from.take<std::uint8_t>() == 0) continue;
    if (!from.good()) break;
    visit_field(field, from, epoch_ns, visitor, times);
  }
  return from.good();
}

JsonWriter JsonLines::begin(std::uint64_t utc_ns, std::string_view type, std::string_view plugin) {
  line_.clear();
  JsonWriter writer(line_);
  writer.begin_object({});
  writer.time("ts", utc_ns, ts_);
  writer.text("type", type);
  if (!plugin.empty()) writer.text("plugin", plugin);
  return writer;
}

bool JsonLines::end(JsonWriter& writer) {
  writer.end_object();
  line_ += '\n';
  return sink_->write(line_);
}

bool JsonLines::record(std::uint64_t utc_ns, std::uint64_t epoch_ns, std::string_view plugin,
                       const plugins::RecordSchema& schema, std::span<const std::byte> values) {
  if (sink_->is_none()) return sink_->write({});
  JsonWriter writer = begin(utc_ns, schema.name, plugin);
  visit_record(schema, values, epoch_ns, writer, values_);
  return end(writer);
}

bool JsonLines::json(std::uint64_t utc_ns, std::string_view plugin, std::string_view type, std::string_view members) {
  JsonWriter writer = begin(utc_ns, type, plugin);
  writer.members(members);
  return end(writer);
}

bool JsonLines::part(Span interval, std::string_view plugin, std::string_view type, const plugins::Part& part,
                     std::size_t line) {
  JsonWriter writer = begin(interval.to_ns, type, plugin);
  writer.time("from", interval.from_ns, values_);
  writer.time("to", interval.to_ns, values_);
  part.publish_line(line, writer);
  return end(writer);
}

bool JsonLines::summary(Span interval, const std::vector<std::string>& interfaces, const std::vector<LedgerRow>& drops,
                        const SummaryPart& part) {
  JsonWriter writer = begin(interval.to_ns, "summary", {});
  writer.time("from", interval.from_ns, values_);
  writer.time("to", interval.to_ns, values_);
  writer.begin_list("interfaces");
  for (const std::string& name : interfaces) writer.text({}, name);
  writer.end_list();
  writer.unsigned_number("packets", part.packets());
  writer.unsigned_number("bytes", part.bytes());
  writer.unsigned_number("pps", per_second(part.packets(), interval));
  writer.unsigned_number("bps", per_second(8 * part.bytes(), interval));
  writer.begin_object("drops");
  for (const LedgerRow& row : drops) writer.unsigned_number(row.first, row.second);
  writer.end_object();
  part.publish_lists(writer);
  writer.unsigned_number("flows_active", part.flows_active());
  return end(writer);
}

bool JsonLines::event(std::uint64_t utc_ns, std::string_view event, std::string_view members) {
  JsonWriter writer = begin(utc_ns, "event", {});
  writer.text("event", event);
  writer.members(members);
  return end(writer);
}

}  // namespace engine
