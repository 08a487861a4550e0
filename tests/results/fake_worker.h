// A worker as the collector sees it, for tests: a ring, structures, and messages in the layout of plugins/abi.h.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/results/collector.h"
#include "engine/spsc.h"
#include "plugins/abi.h"
#include "plugins/structure.h"

namespace engine_tests {

// Packs a record's values as plugins/record.h says.
class Values {
 public:
  template <class T>
  Values& number(T value) {
    bytes_.resize(bytes_.size() + sizeof value);
    std::memcpy(bytes_.data() + bytes_.size() - sizeof value, &value, sizeof value);
    return *this;
  }
  Values& text(std::string_view value) { return number(static_cast<std::uint16_t>(value.size())).bytes(value); }
  Values& bytes(std::string_view value) {
    for (const char c : value) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  const std::vector<std::byte>& get() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// The sum of numbers, as a structure: {"sum": n}.
class SumPart final : public plugins::Part {
 public:
  void merge(const Part& other) override { sum += static_cast<const SumPart&>(other).sum; }
  void clear() noexcept override { sum = 0; }
  void publish(plugins::Visitor& visitor) const override { visitor.unsigned_number("sum", sum); }
  bool empty() const noexcept override { return sum == 0; }
  std::unique_ptr<Part> make_empty() const override { return std::make_unique<SumPart>(); }
  std::string shape() const override { return "sum"; }

  std::uint64_t sum = 0;
};

// What the collector knows of a plugin with one structure named `sum` and these records.
struct FakePlugin {
  explicit FakePlugin(std::vector<plugins::RecordSchema> records = {}) {
    registry->structure("sum", SumPart().shape());
    for (const plugins::RecordSchema& record : records) registry->record(record);
  }
  std::shared_ptr<plugins::Registry> registry = std::make_shared<plugins::Registry>();
};

class FakeWorker {
 public:
  explicit FakeWorker(std::size_t ring_bytes = 1 << 16) : ring_(ring_bytes) {}

  engine::SpscRing& ring() { return ring_; }
  plugins::Structure& sum() { return sum_; }
  std::uint64_t& value() { return static_cast<SumPart&>(sum_.active()).sum; }

  // False: the ring is full.
  bool send(std::uint8_t kind, std::uint8_t plugin, std::uint16_t schema, double time, double place,
            const std::vector<std::byte>& payload) {
    std::vector<std::byte> message(sizeof(engine_message) + payload.size() + 7 - (payload.size() + 7) % 8);
    const engine_message head{static_cast<std::uint32_t>(message.size()), kind, plugin, schema, time, place};
    std::memcpy(message.data(), &head, sizeof head);
    std::copy(payload.begin(), payload.end(), message.begin() + sizeof head);
    return ring_.push(message);
  }
  bool record(double place, const Values& values, std::uint8_t plugin = 0, std::uint16_t schema = 0) {
    return send(ENGINE_MESSAGE_RECORD, plugin, schema, place * 1000, place, values.get());
  }
  bool emit(double place, std::string_view name, std::string_view members) {
    return send(ENGINE_MESSAGE_JSON, 0, 0, place * 1000, place, Values().text(name).bytes(members).get());
  }
  bool text(std::uint8_t kind, std::string_view text) { return send(kind, 0, 0, 0, 0, Values().bytes(text).get()); }
  bool progress(double place) { return send(ENGINE_MESSAGE_PROGRESS, 0xff, 0, 0, place, {}); }

  // The interval's end as the engine does it: the part if the spare is back and the ring has room, then INTERVAL.
  // True if the part went.
  bool end_interval(std::uint64_t index, double time = 0, double place = 0) {
    plugins::Part* filled = sum_.swap();
    if (filled != nullptr && !send_part(filled, time, place)) {
      sum_.unswap(filled);
      filled = nullptr;
    }
    send(ENGINE_MESSAGE_INTERVAL, 0, 0, time, place, Values().number(index).get());
    return filled != nullptr;
  }
  bool send_part(plugins::Part* part, double time = 0, double place = 0) {
    const Values payload =
        Values().number(reinterpret_cast<std::uintptr_t>(part)).number(reinterpret_cast<std::uintptr_t>(&sum_));
    return send(ENGINE_MESSAGE_PART, 0, 0, time, place, payload.get());
  }
  void publish() { ring_.publish(); }

 private:
  engine::SpscRing ring_;
  plugins::Structure sum_{"sum", std::make_unique<SumPart>(), std::make_unique<SumPart>()};
};

}  // namespace engine_tests
