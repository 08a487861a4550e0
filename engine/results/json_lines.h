// Results as JSON lines into a sink: one object a line, {"ts":…,"type":…,"plugin":…, then the result's own members}.
// Collector's thread.
#pragma once

#include <memory>
#include <string>

#include "engine/results/json.h"
#include "engine/results/output.h"
#include "engine/results/sink.h"

namespace engine {

class JsonLines final : public Output {
 public:
  explicit JsonLines(std::unique_ptr<Sink> sink) : sink_(std::move(sink)) {}

  bool record(std::uint64_t utc_ns, std::uint64_t epoch_ns, std::string_view plugin,
              const plugins::RecordSchema& schema, std::span<const std::byte> values) override;
  bool json(std::uint64_t utc_ns, std::string_view plugin, std::string_view type, std::string_view members) override;
  bool part(Span interval, std::string_view plugin, std::string_view type, const plugins::Part& part,
            std::size_t line) override;
  bool summary(Span interval, const std::vector<std::string>& interfaces, const std::vector<LedgerRow>& drops,
               const SummaryPart& part) override;
  bool event(std::uint64_t utc_ns, std::string_view event, std::string_view members) override;

  void flush() noexcept override { sink_->flush(); }
  void finish(int timeout_ms) noexcept override { sink_->finish(timeout_ms); }
  void hurry() noexcept override { sink_->hurry(); }
  int backlog_fd() const noexcept override { return sink_->backlog_fd(); }
  bool reader_gone() const noexcept override { return sink_->state() == Sink::State::reader_gone; }
  std::string failure() const override { return sink_->failure(); }
  OutputLedger ledger() const noexcept override { return {sink_->lines(), sink_->lines_dropped()}; }

 private:
  JsonWriter begin(std::uint64_t utc_ns, std::string_view type, std::string_view plugin);
  bool end(JsonWriter& writer);

  std::unique_ptr<Sink> sink_;
  std::string line_;  // reused
  TimeFormat ts_;
  TimeFormat values_;
};

// A record's values one after the other to `visitor`, times and MAC addresses as text, by their schema. False if
// `values` does not hold what the schema says (the rest is left out).
bool visit_record(const plugins::RecordSchema& schema, std::span<const std::byte> values, std::uint64_t epoch_ns,
                  plugins::Visitor& visitor, TimeFormat& times);

}  // namespace engine
