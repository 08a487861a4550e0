#include "engine/results/table.h"

#include <algorithm>
#include <charconv>

#include "engine/results/json.h"
#include "engine/results/status.h"

namespace engine {
namespace {

constexpr std::size_t kGap = 3;  // columns between two blocks

std::string padded(const std::string& text, std::size_t width, bool right) {
  if (text.size() >= width) return text.substr(0, width);
  const std::string pad(width - text.size(), ' ');
  return right ? pad + text : text + pad;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '.';
    if (byte >= 0x80) c = '?';
  }
  return out;
}

std::vector<std::string> render(const Table& table, std::size_t max_rows) {
  const std::size_t rows = std::min(max_rows, table.rows.size());
  std::vector<std::size_t> widths(table.header.size());
  for (std::size_t c = 0; c < widths.size(); ++c) {
    widths[c] = table.header[c].size();
    for (std::size_t r = 0; r < rows; ++r)
      if (c < table.rows[r].size()) widths[c] = std::max(widths[c], table.rows[r][c].size());
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      if (c != 0) text += "  ";
      text += padded(c < cells.size() ? cells[c] : "", widths[c], c < table.is_number.size() && table.is_number[c]);
    }
    return text;
  };
  std::vector<std::string> lines{table.title};
  if (!table.header.empty()) lines.push_back(line(table.header));
  for (std::size_t r = 0; r < rows; ++r) lines.push_back(line(table.rows[r]));
  std::size_t width = 0;
  for (const std::string& text : lines) width = std::max(width, text.size());
  for (std::string& text : lines) text.resize(width, ' ');
  return lines;
}

std::vector<std::string> lay_out(const std::vector<std::vector<std::string>>& blocks, std::size_t width,
                                 std::size_t height) {
  std::vector<std::string> lines;
  for (std::size_t next = 0; next < blocks.size();) {
    std::size_t used = 0, deepest = 0, end = next;
    for (; end < blocks.size(); ++end) {
      const std::size_t wide = blocks[end].empty() ? 0 : blocks[end].front().size();
      if (end != next && used + kGap + wide > width) break;
      used += wide + (end == next ? 0 : kGap);
      deepest = std::max(deepest, blocks[end].size());
    }
    if (!lines.empty()) lines.emplace_back();
    for (std::size_t row = 0; row < deepest; ++row) {
      std::string text;
      for (std::size_t i = next; i < end; ++i) {
        if (i != next) text.append(kGap, ' ');
        const std::size_t wide = blocks[i].empty() ? 0 : blocks[i].front().size();
        text += row < blocks[i].size() ? blocks[i][row] : std::string(wide, ' ');
      }
      lines.push_back(text.substr(0, width));
    }
    next = end;
  }
  if (lines.size() > height) lines.resize(height);
  return lines;
}

void TableVisitor::cell(std::string_view name, std::string value, bool number) {
  if (!in_list_) {
    singles_.emplace_back(object_ + std::string(name), std::move(value));
    return;
  }
  if (list_.rows.empty()) list_.rows.emplace_back();
  const std::string column = printable(name);
  const auto found = std::find(list_.header.begin(), list_.header.end(), column);
  const std::size_t at = static_cast<std::size_t>(found - list_.header.begin());
  if (found == list_.header.end()) {
    list_.header.push_back(column);
    list_.is_number.push_back(number);
  }
  std::vector<std::string>& row = list_.rows.back();
  if (row.size() <= at) row.resize(at + 1);
  row[at] = std::move(value);
}

void TableVisitor::unsigned_number(std::string_view name, std::uint64_t value) {
  cell(name, name == "port" || name == "src_port" || name == "dst_port" ? std::to_string(value) : format_grouped(value),
       true);
}

void TableVisitor::signed_number(std::string_view name, std::int64_t value) { cell(name, std::to_string(value), true); }

void TableVisitor::real(std::string_view name, double value) {
  char digits[32];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, value);
  cell(name, std::string(digits, end.ptr), true);
}

void TableVisitor::time(std::string_view name, std::uint64_t utc_ns) {
  std::string text;
  TimeFormat().append(text, utc_ns);
  cell(name, std::move(text), false);
}

void TableVisitor::address(std::string_view name, const engine_addr& value) {
  cell(name, format_address(value), false);
}

void TableVisitor::begin_list(std::string_view name) {
  finish_list();
  in_list_ = true;
  list_.title = name == "entries" ? title_ : title_.empty() ? printable(name) : title_ + " " + printable(name);
  std::replace(list_.title.begin(), list_.title.end(), '_', ' ');
}

void TableVisitor::finish_list() {
  if (!list_.title.empty()) tables_.push_back(std::move(list_));
  list_ = {};
}

std::vector<Table> TableVisitor::take() {
  finish_list();
  if (!singles_.empty()) {
    Table singles{title_, {"", ""}, {}, {false, true}};
    for (auto& [name, value] : singles_) singles.rows.push_back({printable(name), std::move(value)});
    tables_.insert(tables_.begin(), std::move(singles));
  }
  singles_.clear();
  return std::exchange(tables_, {});
}

std::string TableVisitor::line() const {
  std::string text;
  for (const auto& [name, value] : singles_) {
    if (!text.empty()) text += ' ';
    text += name + "=" + value;
  }
  return text;
}

}  // namespace engine
