// Text tables for the live view: results become blocks of lines, and blocks are laid out on a screen. Pure functions
// and plain values; nothing here knows a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugins/structure.h"

namespace engine {

// What a value from a packet may put on a terminal: printable ASCII. Control characters could drive the terminal.
std::string printable(std::string_view text);

struct Table {
  std::string title;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> is_number;  // by column: aligned to the right
};

// Lines of equal width, title and header first, with at most `max_rows` of the rows.
std::vector<std::string> render(const Table& table, std::size_t max_rows);

// Blocks side by side as far as they fit into the width, then below each other; at most `height` lines.
std::vector<std::string> lay_out(const std::vector<std::vector<std::string>>& blocks, std::size_t width,
                                 std::size_t height);

// Turns what a part publishes into tables: each list becomes one, single values become one of name and value.
class TableVisitor final : public plugins::Visitor {
 public:
  explicit TableVisitor(std::string title) : title_(std::move(title)) {}

  void unsigned_number(std::string_view name, std::uint64_t value) override;
  void signed_number(std::string_view name, std::int64_t value) override;
  void real(std::string_view name, double value) override;
  void boolean(std::string_view name, bool value) override { cell(name, value ? "true" : "false", false); }
  void text(std::string_view name, std::string_view value) override { cell(name, printable(value), false); }
  void address(std::string_view name, const engine_addr& value) override;
  void time(std::string_view name, std::uint64_t utc_ns) override;
  void begin_object(std::string_view name) override { object_ = std::string(name) + "."; }  // before its members' names
  void end_object() override { object_.clear(); }
  void begin_list(std::string_view name) override;
  void end_list() override { in_list_ = false; }
  void begin_item() override { list_.rows.emplace_back(); }
  void end_item() override {}

  // A list named `entries` is what the title says already; others are named after it.
  std::vector<Table> take();
  // The single values alone, as "name=value name=value".
  std::string line() const;

 private:
  void cell(std::string_view name, std::string value, bool number);
  void finish_list();

  std::string title_;
  std::string object_;
  Table list_;
  bool in_list_ = false;
  std::vector<Table> tables_;
  std::vector<std::pair<std::string, std::string>> singles_;
};

}  // namespace engine
