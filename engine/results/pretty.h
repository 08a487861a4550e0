// The live table for people: takes the terminal's screen, redraws it twice a second, and gives it back at the end.
// Without a terminal the same blocks are written as plain text, once per interval.
//
// Collector's thread, but for restore(). Top-down: a line with the rates, the queues with what each one lost and why,
// protocols, sources and ports, the plugins' interval results, their latest records, and the status line in the last
// row. Nothing from a packet reaches the terminal but printable ASCII.
#pragma once

#include <sys/ioctl.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/results/json.h"
#include "engine/results/output.h"
#include "engine/results/sink.h"
#include "engine/results/table.h"

namespace engine {

struct PrettyConfig {
  std::function<std::vector<QueueLedger>()> ledger;  // a look at the running counters; called on this thread
  bool terminal = true;                              // false: plain text
  int terminal_fd = 1;                               // whose window size counts
};

class Pretty final : public Output {
 public:
  Pretty(PrettyConfig config, std::unique_ptr<Sink> sink);

  bool record(std::uint64_t utc_ns, std::uint64_t epoch_ns, std::string_view plugin,
              const plugins::RecordSchema& schema, std::span<const std::byte> values) override;
  bool json(std::uint64_t utc_ns, std::string_view plugin, std::string_view type, std::string_view members) override;
  bool part(Span interval, std::string_view plugin, std::string_view type, const plugins::Part& part,
            std::size_t line) override;
  bool summary(Span interval, const std::vector<std::string>& interfaces, const std::vector<LedgerRow>& drops,
               const SummaryPart& part) override;
  bool event(std::uint64_t utc_ns, std::string_view event, std::string_view members) override;

  void flush() noexcept override;
  void finish(int timeout_ms) noexcept override;
  void hurry() noexcept override { sink_->hurry(); }
  int backlog_fd() const noexcept override { return sink_->backlog_fd(); }
  bool reader_gone() const noexcept override { return sink_->state() == Sink::State::reader_gone; }
  std::string failure() const override { return sink_->failure(); }
  OutputLedger ledger() const noexcept override { return {results_, 0}; }

  // Gives the screen back from a signal handler or before _exit(); does nothing to what is no terminal.
  static void restore(int terminal_fd) noexcept;

  // The whole screen as lines of at most `width` characters, the last one being the status; for tests too.
  std::vector<std::string> screen(std::size_t width, std::size_t height);

 private:
  void remember(std::uint64_t utc_ns, std::string_view plugin, std::string_view type, std::string_view text);
  Table queue_table(double seconds) const;
  void look();
  winsize window() const noexcept;
  void draw();

  PrettyConfig config_;
  std::unique_ptr<Sink> sink_;
  TimeFormat times_;
  std::string title_;
  std::vector<Table> summary_;
  std::map<std::pair<std::string, std::string>, std::vector<Table>> parts_;  // by plugin and type: the latest
  std::deque<std::string> recent_;
  std::vector<QueueLedger> now_, before_;
  std::uint64_t looked_ns_ = 0;
  std::uint64_t drawn_ns_ = 0;
  double step_s_ = 0;
  bool changed_ = true;
  bool entered_ = false;
  std::uint64_t results_ = 0;
};

}  // namespace engine
