#include "engine/results/pretty.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "engine/clock.h"
#include "engine/results/json_lines.h"
#include "engine/results/status.h"
#include "engine/results/summary.h"

namespace engine {
namespace {

// ECMA-48 and xterm's private modes: alternate screen, cursor, positions.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kClearToLineEnd = "\x1b[K";
constexpr std::string_view kClearBelow = "\x1b[J";
constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kInverse = "\x1b[7m";
constexpr std::string_view kPlain = "\x1b[0m";

constexpr std::uint64_t kRedraw_ns = 500'000'000;
constexpr std::size_t kRecent = 8;      // records shown
constexpr std::size_t kBlockRows = 10;  // of one table
constexpr std::size_t kPlainWidth = 120, kPlainHeight = 200;

struct Cause {
  const char* name;
  std::uint64_t QueueLedger::*member;
};

// What kept a frame from the plugins, as columns of the queue table; those that are zero everywhere are left out.
constexpr Cause kCauses[] = {{"passed", &QueueLedger::passed},
                             {"blocked", &QueueLedger::blocked},
                             {"limited", &QueueLedger::rate_limited},
                             {"bypassed", &QueueLedger::bypassed},
                             {"no socket", &QueueLedger::no_socket},
                             {"rx dropped", &QueueLedger::rx_dropped},
                             {"ring full", &QueueLedger::rx_ring_full},
                             {"skipped", &QueueLedger::skipped},
                             {"results lost", &QueueLedger::results_dropped}};

}  // namespace

Pretty::Pretty(PrettyConfig config, std::unique_ptr<Sink> sink) : config_(std::move(config)), sink_(std::move(sink)) {}

void Pretty::restore(int terminal_fd) noexcept {
  if (::isatty(terminal_fd) == 0) return;
  [[maybe_unused]] const ssize_t written = ::write(terminal_fd, kLeave.data(), kLeave.size());
}

bool Pretty::record(std::uint64_t utc_ns, std::uint64_t epoch_ns, std::string_view plugin,
                    const plugins::RecordSchema& schema, std::span<const std::byte> values) {
  TableVisitor visitor{{}};
  visit_record(schema, values, epoch_ns, visitor, times_);
  remember(utc_ns, plugin, schema.name, visitor.line());
  return true;
}

bool Pretty::json(std::uint64_t utc_ns, std::string_view plugin, std::string_view type, std::string_view members) {
  remember(utc_ns, plugin, type, members);
  return true;
}

bool Pretty::event(std::uint64_t utc_ns, std::string_view event, std::string_view members) {
  remember(utc_ns, "engine", event, members);
  return true;
}

void Pretty::remember(std::uint64_t utc_ns, std::string_view plugin, std::string_view type, std::string_view text) {
  ++results_;
  std::string time;
  times_.append(time, utc_ns);
  std::string line = time.substr(11, 12) + "  " + printable(plugin) + " " + printable(type) + "  " + printable(text);
  recent_.push_back(std::move(line));
  if (recent_.size() > kRecent) recent_.pop_front();
  changed_ = true;
}

bool Pretty::part(Span interval, std::string_view plugin, std::string_view type, const plugins::Part& part,
                  std::size_t line) {
  TableVisitor visitor(printable(plugin) + " " + printable(type));
  part.publish_line(line, visitor);
  // One line of many is news; a table would show the last one only.
  if (part.lines() > 1 && part.line_suffix(line).empty()) {
    remember(interval.to_ns, plugin, type, visitor.line());
    return true;
  }
  ++results_;
  parts_[{std::string(plugin), std::string(type)}] = visitor.take();
  changed_ = true;
  return true;
}

bool Pretty::summary(Span interval, const std::vector<std::string>& interfaces, const std::vector<LedgerRow>&,
                     const SummaryPart& part) {
  ++results_;
  title_ = "engine";
  for (const std::string& name : interfaces) title_.append(" ").append(printable(name));
  std::string time;
  times_.append(time, interval.to_ns);
  title_.append("   ").append(time, 0, 10).append(" ").append(time, 11, 8).append(" UTC   ");
  title_ += format_rate(static_cast<double>(per_second(part.packets(), interval)), "pps");
  title_.append("   ").append(format_rate(static_cast<double>(per_second(8 * part.bytes(), interval)), "bit/s"));
  title_.append("   ").append(format_grouped(part.flows_active())).append(" flows");
  TableVisitor visitor{{}};
  part.publish_lists(visitor);
  summary_ = visitor.take();
  changed_ = true;
  return true;
}

Table Pretty::queue_table(double seconds) const {
  Table table{"queues", {"queue", "mode", "cpu", "packets", "pps"}, {}, {true, false, true, true, true}};
  std::vector<Cause> causes;
  for (const Cause& cause : kCauses) {
    const bool any = std::any_of(now_.begin(), now_.end(), [&](const QueueLedger& q) { return q.*cause.member != 0; });
    if (!any) continue;
    causes.push_back(cause);
    table.header.emplace_back(cause.name);
    table.is_number.push_back(true);
  }
  for (std::size_t i = 0; i < now_.size(); ++i) {
    const QueueLedger& queue = now_[i];
    const std::uint64_t earlier = i < before_.size() ? std::min(before_[i].rx_packets, queue.rx_packets) : 0;
    const double pps = seconds > 0 ? static_cast<double>(queue.rx_packets - earlier) / seconds : 0;
    std::vector<std::string> row{std::to_string(queue.queue), printable(queue.mode),
                                 queue.cpu < 0 ? "-" : std::to_string(queue.cpu), format_grouped(queue.rx_packets),
                                 format_rate(pps, "pps")};
    for (const Cause& cause : causes) row.push_back(format_grouped(queue.*cause.member));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<std::string> Pretty::screen(std::size_t width, std::size_t height) {
  std::vector<std::vector<std::string>> blocks;
  if (!now_.empty()) blocks.push_back(render(queue_table(step_s_), height / 3));
  // The queues keep a line of blocks to themselves: their table changes its width as losses appear.
  if (!blocks.empty())
    for (std::string& line : blocks.front()) line.resize(std::max(line.size(), width), ' ');
  for (const Table& table : summary_) blocks.push_back(render(table, kBlockRows));
  for (const auto& [key, tables] : parts_)
    for (const Table& table : tables) blocks.push_back(render(table, kBlockRows));
  if (!recent_.empty()) {
    std::vector<std::string> lines{"latest"};
    lines.insert(lines.end(), recent_.begin(), recent_.end());
    for (std::string& line : lines) line.resize(width, ' ');
    blocks.push_back(std::move(lines));
  }
  std::vector<std::string> lines{title_.empty() ? "engine" : title_, ""};
  const std::size_t room = height > 3 ? height - 3 : 0;
  for (std::string& line : lay_out(blocks, width, room)) lines.push_back(std::move(line));
  if (config_.terminal) lines.resize(height > 1 ? height - 1 : 1);
  lines.push_back(now_.empty() ? "" : status_line(now_, before_, step_s_));
  for (std::string& line : lines) {
    if (line.size() > width) line.resize(width);
    line.erase(line.find_last_not_of(' ') + 1);
  }
  return lines;
}

// Rates need a step of some length: a look soon after the last one prolongs that one's.
void Pretty::look() {
  if (!config_.ledger) return;
  const std::uint64_t now_ns = monotonic_ns();
  const double since_s = looked_ns_ == 0 ? 0 : static_cast<double>(now_ns - looked_ns_) / 1e9;
  looked_ns_ = now_ns;
  if (since_s < 0.25 && step_s_ > 0) {
    now_ = config_.ledger();
    step_s_ += since_s;
  } else {
    before_ = std::exchange(now_, config_.ledger());
    step_s_ = since_s;
  }
}

winsize Pretty::window() const noexcept {
  winsize size{};
  if (::ioctl(config_.terminal_fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    size = {24, 80, 0, 0};
  return size;
}

void Pretty::draw() {
  look();
  std::string text;
  if (!config_.terminal) {
    for (const std::string& line : screen(kPlainWidth, kPlainHeight)) text.append(line).append("\n");
    text += '\n';
  } else {
    const winsize size = window();
    const std::vector<std::string> lines = screen(size.ws_col, size.ws_row);
    if (!std::exchange(entered_, true)) text += kEnter;
    text += kHome;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const bool last = i + 1 == lines.size();
      if (i == 0) text += kBold;
      if (last) text += kInverse;
      text.append(lines[i]);
      if (i == 0 || last) text += kPlain;
      text += kClearToLineEnd;
      if (!last) text += "\r\n";
    }
    text += kClearBelow;
  }
  sink_->write(text);
  changed_ = false;
}

// A terminal that is slow or stopped gets no new picture before it has taken the last one.
void Pretty::flush() noexcept {
  const bool taken = sink_->flush();
  const std::uint64_t now_ns = monotonic_ns();
  const bool due = now_ns - drawn_ns_ >= kRedraw_ns && (config_.terminal ? true : changed_);
  if (!taken || !due) return;
  drawn_ns_ = now_ns;
  draw();
  sink_->flush();
}

// The last picture stays readable: it is written once more to the normal screen.
void Pretty::finish(int timeout_ms) noexcept {
  draw();
  if (config_.terminal) {
    std::string text(kLeave);
    const winsize size = window();
    const std::vector<std::string> lines = screen(size.ws_col, size.ws_row);
    for (std::size_t i = 0; i < lines.size(); ++i)
      if (!(lines[i].empty() && i + 1 < lines.size() && lines[i + 1].empty())) text.append(lines[i]).append("\r\n");
    sink_->write(text);
  }
  sink_->finish(timeout_ms);
}

}  // namespace engine
