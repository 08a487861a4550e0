// What the collector makes of each kind of message, and of an interval that is complete. The thread and its rings are
// in collector.cpp.
#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/results/collector.h"
#include "engine/results/summary.h"

namespace engine {
namespace {

constexpr std::uint8_t kEngineItself = 0xff;

// Messages are padded to whole words with zeros, which no text contains.
std::string_view text_of(std::span<const std::byte> bytes) noexcept {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  return text;
}

std::uint64_t number_of(std::span<const std::byte> payload) noexcept {
  std::uint64_t value = 0;
  if (payload.size() >= sizeof value) std::memcpy(&value, payload.data(), sizeof value);
  return value;
}

void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);  // one writer
}

}  // namespace

void Collector::accept(std::size_t worker, const engine_message& head, std::span<const std::byte> payload) {
  switch (head.kind) {
    case ENGINE_MESSAGE_RECORD:
    case ENGINE_MESSAGE_JSON:
    case ENGINE_MESSAGE_EVENT:
      return config_.in_order ? order_.message(worker, head, payload) : deliver(worker, head, payload);
    case ENGINE_MESSAGE_LOG:
    case ENGINE_MESSAGE_ERROR:
      return log_message(head, payload);
    case ENGINE_MESSAGE_PART: {
      engine_part message{};
      if (payload.size() >= sizeof message) std::memcpy(&message, payload.data(), sizeof message);
      auto* part = reinterpret_cast<plugins::Part*>(message.part);
      auto* owner = reinterpret_cast<plugins::Structure*>(message.owner);
      if (part == nullptr || owner == nullptr) return count(worker, false);
      if (!intervals_.part(worker, plugin_slot(head.plugin), head.schema, std::unique_ptr<plugins::Part>(part), *owner))
        count(worker, false);
      return;
    }
    case ENGINE_MESSAGE_INTERVAL:
      return intervals_.ended(worker, plugin_slot(head.plugin), number_of(payload), head.time, head.place);
    case ENGINE_MESSAGE_BLOCK:
    case ENGINE_MESSAGE_BYPASS:
    case ENGINE_MESSAGE_RATE_LIMIT:
      if (!config_.request) return count(worker, false);
      return config_.request(head.plugin, head.kind, payload);
    case ENGINE_MESSAGE_PROGRESS:
      return order_.progress(worker, head.place);
    default:
      return count(worker, false);
  }
}

void Collector::deliver(std::size_t worker, const engine_message& head, std::span<const std::byte> payload) {
  if (head.plugin >= config_.plugins.size()) return count(worker, false);
  const CollectedPlugin& plugin = config_.plugins[head.plugin];
  const std::uint64_t utc_ns = since_epoch_to_utc(config_.epoch_ns, head.time);
  bool delivered = true;
  if (head.kind == ENGINE_MESSAGE_RECORD) {
    const plugins::RecordSchema* schema = plugin.registry->schema(head.schema);
    if (schema == nullptr) return count(worker, false);
    for (const auto& output : outputs_)
      delivered &= output->record(utc_ns, config_.epoch_ns, plugin.name, *schema, payload);
  } else {
    std::uint16_t length = 0;
    if (payload.size() >= sizeof length) std::memcpy(&length, payload.data(), sizeof length);
    if (payload.size() < sizeof length + length) return count(worker, false);
    const std::string_view type(reinterpret_cast<const char*>(payload.data()) + sizeof length, length);
    const std::string_view members = text_of(payload.subspan(sizeof length + length));
    for (const auto& output : outputs_) {
      if (head.kind == ENGINE_MESSAGE_EVENT) {
        output->event(utc_ns, type, members);
      } else {
        delivered &= output->json(utc_ns, plugin.name, type, members);
      }
    }
    if (head.kind == ENGINE_MESSAGE_EVENT) return;  // no result of the plugin
  }
  count(worker, delivered);
}

void Collector::log_message(const engine_message& head, std::span<const std::byte> payload) {
  if (!config_.log) return;
  const std::string_view plugin =
      head.plugin < config_.plugins.size() ? std::string_view(config_.plugins[head.plugin].name) : "engine";
  if (head.kind == ENGINE_MESSAGE_ERROR) return config_.log(0, plugin, text_of(payload));
  if (payload.empty()) return;
  config_.log(static_cast<int>(payload[0]), plugin, text_of(payload.subspan(1)));
}

void Collector::publish_intervals() {
  while (std::optional<Interval> interval = intervals_.next()) {
    if (config_.in_order) {
      order_.interval(std::move(*interval));
    } else {
      publish(*interval);
    }
  }
}

// Live, the first and the last interval are shorter than the others: from the start, to the end of the run. In a file
// they are whole, so that the same file gives the same text whoever read its last packet.
Span Collector::span_of(const Interval& interval) const noexcept {
  const bool own = interval.plugin == config_.plugins.size();
  const std::uint64_t length_ns = own ? config_.summary_interval_ns : config_.plugins[interval.plugin].interval_ns;
  Span span{interval.index * length_ns, (interval.index + 1) * length_ns};
  if (config_.in_order) return span;
  const std::uint64_t closed_ns = since_epoch_to_utc(config_.epoch_ns, interval.closed_ns);
  if (closed_ns > span.from_ns) span.to_ns = std::min(span.to_ns, closed_ns);
  span.from_ns = std::clamp(config_.epoch_ns, span.from_ns, span.to_ns);
  return span;
}

void Collector::publish(const Interval& interval) {
  const Span span = span_of(interval);
  last_spans_[interval.plugin] = span;
  for (std::size_t i = 0; i < interval.parts.size(); ++i) {
    if (!interval.parts[i]) continue;
    const plugins::Part& part = *interval.parts[i];
    const auto number = static_cast<std::uint16_t>(i);
    if (interval.plugin == config_.plugins.size()) {
      const std::vector<LedgerRow> drops = drops_of_interval();
      for (const auto& output : outputs_)
        output->summary(span, config_.interfaces, drops, static_cast<const SummaryPart&>(part));
    } else if (!part.cumulative()) {
      publish_part(span, interval.plugin, number, part);
    } else {
      std::unique_ptr<plugins::Part>& total = totals_[{interval.plugin, number}];
      if (!total) total = part.make_empty();
      total->carry(part);
      publish_part(span, interval.plugin, number, *total);
    }
  }
}

// Merged results are no worker's: the outputs count their lines.
void Collector::publish_part(Span span, std::size_t plugin, std::uint16_t number, const plugins::Part& part) {
  const std::string* type = config_.plugins[plugin].registry->structure_name(number);
  if (type == nullptr) return;
  for (std::size_t line = 0, lines = part.lines(); line < lines; ++line) {
    const std::string line_type = *type + std::string(part.line_suffix(line));
    for (const auto& output : outputs_) output->part(span, config_.plugins[plugin].name, line_type, part, line);
  }
}

// What waited for more that does not come any more.
void Collector::finish_totals() {
  for (auto& [key, total] : totals_) {
    total->finish();
    publish_part(last_spans_[key.first], key.first, key.second, *total);
  }
  totals_.clear();
}

// The ledger counts since the start; a line tells of its interval.
std::vector<LedgerRow> Collector::drops_of_interval() {
  if (!config_.drops || config_.in_order) return {};
  std::vector<LedgerRow> now = config_.drops();
  std::vector<LedgerRow> rows = now;
  for (std::size_t i = 0; i < rows.size() && i < drops_before_.size(); ++i)
    rows[i].second -= std::min(rows[i].second, drops_before_[i].second);
  drops_before_ = std::move(now);
  return rows;
}

void Collector::publish_events() {
  // acquire: pairs with event().
  if (!has_events_.exchange(false, std::memory_order_acquire)) return;
  std::vector<Event> events;
  {
    const std::lock_guard lock(events_mutex_);
    events.swap(events_);
  }
  for (const Event& event : events)
    for (const auto& output : outputs_) output->event(event.utc_ns, event.name, event.members);
}

void Collector::emit_ordered() {
  order_.emit({.message = [this](std::size_t worker, const engine_message& head,
                                 std::span<const std::byte> payload) { deliver(worker, head, payload); },
               .interval = [this](const Interval& interval) { publish(interval); }});
}

void Collector::count(std::size_t worker, bool delivered) noexcept {
  add(delivered ? workers_[worker]->results : workers_[worker]->dropped, 1);
}

std::size_t Collector::plugin_slot(std::uint8_t plugin) const noexcept {
  return plugin == kEngineItself ? config_.plugins.size() : plugin;
}

}  // namespace engine
