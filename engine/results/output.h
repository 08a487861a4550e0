// What results become: JSON lines (json_lines.h) or the live table (pretty.h). Everything here is called by the
// collector's thread alone, one call a result; a call returns false when the result was dropped because the reader
// is too slow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/ledger.h"
#include "plugins/record.h"
#include "plugins/structure.h"

namespace engine {

class SummaryPart;

struct Span {
  std::uint64_t from_ns;  // UTC
  std::uint64_t to_ns;
};

inline std::uint64_t per_second(std::uint64_t count, Span span) noexcept {
  if (span.to_ns <= span.from_ns) return 0;
  return static_cast<std::uint64_t>(static_cast<double>(count) * 1e9 / static_cast<double>(span.to_ns - span.from_ns));
}

// UTC of a time given in ns since the run's epoch, as messages carry it; the epoch for what is no time.
std::uint64_t since_epoch_to_utc(std::uint64_t epoch_ns, double since_epoch_ns) noexcept;

class Output {
 public:
  virtual ~Output() = default;

  // `values`: packed as plugins/record.h says; `time` fields count from `epoch_ns`.
  virtual bool record(std::uint64_t utc_ns, std::uint64_t epoch_ns, std::string_view plugin,
                      const plugins::RecordSchema& schema, std::span<const std::byte> values) = 0;
  // engine.emit: `members` is JSON text without braces.
  virtual bool json(std::uint64_t utc_ns, std::string_view plugin, std::string_view type, std::string_view members) = 0;
  // One of the part's lines().
  virtual bool part(Span interval, std::string_view plugin, std::string_view type, const plugins::Part& part,
                    std::size_t line) = 0;
  // The engine's own summary; `drops`: what was lost or passed by within the interval.
  virtual bool summary(Span interval, const std::vector<std::string>& interfaces, const std::vector<LedgerRow>& drops,
                       const SummaryPart& part) = 0;
  // What happens to the engine itself: link_down, …
  virtual bool event(std::uint64_t utc_ns, std::string_view event, std::string_view members) = 0;

  // Called every 1 to 20 ms: gives the reader what it takes without waiting.
  virtual void flush() noexcept = 0;
  // After the last result; live the reader gets `timeout_ms` to take what is left, negative: as long as it takes.
  virtual void finish(int timeout_ms) noexcept = 0;
  // Any thread: stop waiting for a slow reader.
  virtual void hurry() noexcept {}

  virtual int backlog_fd() const noexcept { return -1; }  // to be polled for POLLOUT; -1: nothing waits
  virtual bool reader_gone() const noexcept { return false; }
  virtual std::string failure() const { return {}; }  // an I/O error, one line
  virtual OutputLedger ledger() const noexcept { return {}; }
};

}  // namespace engine
