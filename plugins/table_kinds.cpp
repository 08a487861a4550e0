#include "plugins/table_kinds.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>

#include "engine/base/error.h"
#include "plugins/distinct.h"
#include "plugins/hash.h"
#include "plugins/histogram.h"
#include "plugins/item_file.h"
#include "plugins/map_table.h"
#include "plugins/natives.h"
#include "plugins/net_table.h"
#include "plugins/rate_table.h"
#include "plugins/set_table.h"

namespace plugins {
namespace {

constexpr std::size_t kDryItems = 1000;  // a dry run need not hold a list of millions
constexpr std::size_t kMostItems = 1u << 24;

KeySpec key_of(const Declaration& d) {
  const std::string kind = d.text("key_kind");
  if (kind == "ip") return KeySpec::values(ValueKind::address);
  if (kind == "number") return KeySpec::values(ValueKind::number);
  if (kind == "string") return KeySpec::values(ValueKind::text);
  return d.key;
}

std::uint32_t count(const Declaration& d, std::string_view option) {
  return static_cast<std::uint32_t>(d.number(option));
}

struct Given {
  std::vector<Item> items;
  std::string file;  // empty: they stood in the plugin

  // Differs where the content does: a reload with another list must not go on with the table of the old one.
  std::string text() const {
    std::size_t hash = items.size();
    for (const Item& item : items) {
      for (const std::string* part : {&item.text, &item.value})
        hash = mix(hash ^ std::hash<std::string>{}(*part), kOddHash);
    }
    return std::to_string(items.size()) + " items " + std::to_string(hash);
  }

  [[noreturn]] void fail(const Item& item, const std::string& reason) const {
    const std::string place = file.empty() ? "item" : file + ":" + std::to_string(item.line);
    throw engine::SetupError(engine::ExitCode::bad_usage, place, "'" + item.text + "' " + reason);
  }
};

Given given_by(const Declaration& d, bool values) {
  const std::size_t at_most = d.dry ? kDryItems : kMostItems + 1;
  Given given;
  const std::string file = d.text("file");
  if (!file.empty()) {
    given.file = item_file_path(*d.plugin, file);
    given.items = read_items(given.file, at_most, values);
  }
  for (const auto& [text, value] : d.items) {
    if (given.items.size() < at_most) given.items.push_back({text, value, 0});
  }
  if (given.items.size() > kMostItems) {
    throw engine::SetupError(engine::ExitCode::bad_usage, file.empty() ? "items" : file, "more than 16777216 entries");
  }
  return given;
}

// The text as a whole number or not; NaN if it is none.
double number_in(const std::string& text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end && std::isfinite(number) ? number : NAN;
}

bool address_in(const std::string& text, engine_addr& address) {
  return text.find('\0') == std::string::npos && natives().parse_ip(text.c_str(), &address);
}

void give_field(SetTable& set, const Given& given, const Item& item) {
  std::uint64_t words[2] = {};
  engine_addr address;
  if (set.key().words() == 2) {
    if (!address_in(item.text, address)) given.fail(item, "is no address");
    std::memcpy(words, &address, sizeof words);
  } else {
    const double number = number_in(item.text);
    const auto limit = static_cast<double>(set.key().possible_keys());
    if (!(number >= 0 && number < limit && std::floor(number) == number))
      given.fail(item, "is no value of the key's field");
    words[0] = static_cast<std::uint64_t>(number);
  }
  set.give(words, set.key().words());
}

// An entry as the key that it will be looked up by: addresses where they are written as such; numbers where they were
// given as such, or the set takes nothing else; else texts.
void give_value(SetTable& set, const Given& given, const Item& item) {
  const auto takes = [&](ValueKind kind) { return set.key().takes(static_cast<std::uint32_t>(kind)); };
  const auto give = [&](const ValueKey& key) { set.give(key.data, key.words); };
  engine_addr address;
  if (takes(ValueKind::address) && address_in(item.text, address)) return give(ValueKey(address));
  if (item.value == "number" || (takes(ValueKind::number) && !takes(ValueKind::text))) {
    const double number = number_in(item.text);
    if (!takes(ValueKind::number) || std::isnan(number)) given.fail(item, "is not of the set's kind");
    return give(ValueKey(number));
  }
  if (!takes(ValueKind::text)) given.fail(item, "is no address");
  give(ValueKey(item.text));
}

}  // namespace

Made make_distinct(const Declaration& d) {
  const KeySpec key = key_of(d);
  const bool reproducible = d.plugin->reproducible;
  return {std::make_unique<Distinct>(key, reproducible), std::make_unique<Distinct>(key, reproducible), nullptr};
}

Made make_histogram(const Declaration& d) {
  const double max = d.number("max");
  const std::uint32_t digits = count(d, "digits");
  return {std::make_unique<Histogram>(max, digits), std::make_unique<Histogram>(max, digits), nullptr};
}

Made make_map(const Declaration& d) {
  const KeySpec key = key_of(d);
  auto table = std::make_unique<MapTable>(key, count(d, "entry_bytes"), count(d, "max"), d.number("ttl") * 1e9);
  const std::string shape =
      "map by " + key.text() + ", max " + std::to_string(count(d, "max")) + ", " + d.text("layout");
  return {std::make_unique<MapPart>(shape), std::make_unique<MapPart>(shape), std::move(table)};
}

Made make_set(const Declaration& d) {
  const KeySpec key = key_of(d);
  const Given given = given_by(d, false);
  if (!given.items.empty() && !key.by_value() && !key.is_one_field()) {
    throw engine::SetupError(engine::ExitCode::bad_usage, "items", "a key of several fields takes no list");
  }
  const std::uint32_t max = count(d, "max");
  const auto capacity = static_cast<std::uint32_t>(given.items.size()) + max;
  auto table = std::make_unique<SetTable>(key, capacity, d.number("ttl") * 1e9, !d.name.empty());
  for (const Item& item : given.items)
    key.by_value() ? give_value(*table, given, item) : give_field(*table, given, item);
  const SetPart part(key, max, d.truth("list"), given.text() + ", ttl " + std::to_string(d.number("ttl")));
  return {part.make_empty(), part.make_empty(), std::move(table)};
}

Made make_nets(const Declaration& d) {
  const Given given = given_by(d, true);
  auto table = std::make_unique<NetTable>();
  table->reserve(static_cast<std::uint32_t>(given.items.size()) + count(d, "max"));
  const bool tagged = !given.items.empty() && !given.items[0].value.empty();
  for (const Item& item : given.items) {
    engine_addr net;
    const bool whole = item.text.find('\0') == std::string::npos;
    const std::int32_t prefix = whole ? natives().parse_net(item.text.c_str(), &net) : -1;
    if (prefix < 0) given.fail(item, "is no network");
    if (item.value.empty() == tagged) given.fail(item, "has a tag where others have none, or none where they have one");
    table->add(net, static_cast<std::uint32_t>(prefix), tagged ? table->make_tag(item.value) : 0);
  }
  const std::string shape = "nets, max " + std::to_string(count(d, "max")) + ", " + given.text();
  return {std::make_unique<MapPart>(shape), std::make_unique<MapPart>(shape), std::move(table)};
}

Made make_rate(const Declaration& d) {
  const KeySpec key = key_of(d);
  const std::uint32_t max = count(d, "max");
  // The warm-up tells every key, so that what is rare later is compiled before.
  const double window_ns = d.number("window") * 1e9, above = d.dry ? 1e-9 : d.number("above");
  const bool told = d.truth("told");
  const RatePart part(key, max, window_ns, above, told);
  return {part.make_empty(), part.make_empty(), std::make_unique<RateTable>(key, max, window_ns, above, told)};
}

}  // namespace plugins
