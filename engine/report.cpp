#include "engine/report.h"

#include <algorithm>

#include "engine/results/status.h"

namespace engine {
namespace {

using Row = std::vector<std::string>;

Row values_of(const QueueLedger& queue, std::uint64_t unaccounted, std::string label) {
  Row row{std::move(label)};
  for (const LedgerRow& value : ledger_rows(queue)) row.push_back(format_grouped(value.second));
  row.push_back(queue.redirect_errors ? format_grouped(*queue.redirect_errors) : "not counted");
  row.push_back(format_grouped(unaccounted));
  return row;
}

// The first column, the basic ones and the last always show; the others if any queue has a figure there.
bool shown(const std::vector<Row>& rows, std::size_t column) {
  const std::string& name = rows.front()[column];
  if (column == 0 || column + 1 == rows.front().size()) return true;
  if (name == "xdp_seen" || name == "redirected" || name == "rx_packets" || name == "analysed") return true;
  return std::any_of(rows.begin() + 1, rows.end(), [&](const Row& row) { return row[column] != "0"; });
}

std::string lay_out(const std::vector<Row>& rows) {
  std::string text;
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const Row& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (!shown(rows, c)) continue;
      const std::string pad(widths[c] - row[c].size(), ' ');
      line += c == 0 ? row[c] + pad : "  " + pad + row[c];
    }
    text += line + "\n";
  }
  return text;
}

}  // namespace

std::string ledger_table(const RunLedger& run) {
  Row head{"queue"};
  for (const LedgerRow& row : ledger_rows({})) head.emplace_back(row.first);
  head.insert(head.end(), {"redirect_errors", "unaccounted"});

  std::vector<Row> rows{head};
  std::uint64_t unaccounted = 0;
  for (const QueueLedger& queue : run.queues) {
    rows.push_back(values_of(queue, queue.unaccounted(),
                             queue.interface + " " + std::to_string(queue.queue) + " (" + queue.mode + ")"));
    unaccounted += queue.unaccounted();
  }
  if (run.queues.size() > 1) rows.push_back(values_of(ledger_total(run.queues), unaccounted, "total"));
  return lay_out(rows);
}

}  // namespace engine
