#include "engine/ledger.h"

#include "engine/results/json.h"

namespace engine {
namespace {

struct Counter {
  const char* name;
  std::uint64_t QueueLedger::*member;
};

constexpr Counter kCounters[] = {
    {"xdp_seen", &QueueLedger::xdp_seen},
    {"passed", &QueueLedger::passed},
    {"blocked", &QueueLedger::blocked},
    {"rate_limited", &QueueLedger::rate_limited},
    {"bypassed", &QueueLedger::bypassed},
    {"no_socket", &QueueLedger::no_socket},
    {"slot_dropped", &QueueLedger::slot_dropped},
    {"redirected", &QueueLedger::redirected},
    {"rx_packets", &QueueLedger::rx_packets},
    {"rx_dropped", &QueueLedger::rx_dropped},
    {"rx_ring_full", &QueueLedger::rx_ring_full},
    {"analysed", &QueueLedger::analysed},
    {"skipped", &QueueLedger::skipped},
    {"rx_bytes", &QueueLedger::rx_bytes},
    {"fill_ring_empty", &QueueLedger::fill_ring_empty},
    {"invalid_descs", &QueueLedger::invalid_descs},
    {"plugin_errors", &QueueLedger::plugin_errors},
    {"results", &QueueLedger::results},
    {"results_dropped", &QueueLedger::results_dropped},
};

std::uint64_t difference(std::uint64_t left, std::uint64_t right) noexcept {
  return left > right ? left - right : right - left;
}

}  // namespace

std::uint64_t QueueLedger::unaccounted() const noexcept {
  const std::uint64_t verdicts = passed + blocked + rate_limited + bypassed + no_socket + slot_dropped + redirected;
  const std::uint64_t socket = rx_packets + rx_dropped + rx_ring_full + redirect_errors.value_or(0);
  return difference(xdp_seen, verdicts) + difference(redirected, socket) + difference(rx_packets, analysed + skipped);
}

std::vector<LedgerRow> ledger_rows(const QueueLedger& queue) {
  std::vector<LedgerRow> rows;
  for (const Counter& counter : kCounters) rows.emplace_back(counter.name, queue.*counter.member);
  return rows;
}

std::vector<LedgerRow> drop_rows(const QueueLedger& total) {
  return {{"passed", total.passed},
          {"blocked", total.blocked},
          {"rate_limited", total.rate_limited},
          {"bypassed", total.bypassed},
          {"no_socket", total.no_socket},
          {"slot_dropped", total.slot_dropped},
          {"rx_dropped", total.rx_dropped},
          {"rx_ring_full", total.rx_ring_full},
          {"redirect_errors", total.redirect_errors.value_or(0)},
          {"skipped", total.skipped},
          {"results_dropped", total.results_dropped}};
}

QueueLedger ledger_total(const std::vector<QueueLedger>& queues) {
  QueueLedger total;
  for (const QueueLedger& queue : queues) {
    for (const Counter& counter : kCounters) total.*counter.member += queue.*counter.member;
    if (total.redirect_errors && queue.redirect_errors) {
      *total.redirect_errors += *queue.redirect_errors;
    } else {
      total.redirect_errors.reset();
    }
  }
  return total;
}

namespace {

void write_counters(JsonWriter& json, const QueueLedger& queue, std::uint64_t unaccounted) {
  for (const LedgerRow& row : ledger_rows(queue)) json.unsigned_number(row.first, row.second);
  if (queue.redirect_errors) {
    json.unsigned_number("redirect_errors", *queue.redirect_errors);
  } else {
    json.null("redirect_errors");
  }
  json.unsigned_number("unaccounted", unaccounted);
}

void write_queue(JsonWriter& json, const QueueLedger& queue) {
  json.begin_item();
  json.text("interface", queue.interface);
  json.text("driver", queue.driver);
  json.unsigned_number("queue", queue.queue);
  json.text("mode", queue.mode);
  json.signed_number("cpu", queue.cpu);
  json.signed_number("node", queue.node);
  write_counters(json, queue, queue.unaccounted());
  json.end_item();
}

void write_plugin(JsonWriter& json, const PluginLedger& plugin) {
  json.begin_item();
  json.text("name", plugin.name);
  json.unsigned_number("packets", plugin.packets);
  json.unsigned_number("filtered", plugin.filtered);
  json.unsigned_number("missed", plugin.missed);
  json.real("ns_per_packet", plugin.ns_per_packet);
  json.unsigned_number("memory_bytes", plugin.memory_bytes);
  json.unsigned_number("memory_limit_bytes", plugin.memory_limit_bytes);
  json.unsigned_number("deadline_ms", plugin.deadline_ms);
  json.unsigned_number("errors", plugin.errors);
  json.unsigned_number("cutoffs", plugin.cutoffs);
  json.unsigned_number("capture_refused", plugin.capture_refused);
  json.unsigned_number("actions_refused", plugin.actions_refused);
  json.unsigned_number("reloads", plugin.reloads);
  json.text("state", plugin.state);
  json.end_item();
}

void write_worker(JsonWriter& json, const WorkerLedger& worker) {
  json.begin_item();
  json.unsigned_number("worker", worker.worker);
  json.signed_number("cpu", worker.cpu);
  json.unsigned_number("polls", worker.polls);
  json.unsigned_number("empty_polls", worker.empty_polls);
  json.unsigned_number("cpu_ns", worker.cpu_ns);
  json.end_item();
}

void write_write(JsonWriter& json, const WriteLedger& write) {
  json.begin_object("write");
  json.text("path", write.path);
  json.unsigned_number("packets", write.packets);
  json.unsigned_number("bytes", write.bytes);
  json.unsigned_number("dropped", write.dropped);
  json.unsigned_number("comments_cut", write.comments_cut);
  json.end_object();
}

void write_blocks(JsonWriter& json, const BlockLedger& blocks) {
  json.begin_object("blocks");
  json.unsigned_number("blocked", blocks.blocked);
  json.unsigned_number("unblocked", blocks.unblocked);
  json.unsigned_number("repeated", blocks.repeated);
  json.unsigned_number("refused_never", blocks.refused_never);
  json.unsigned_number("refused_full", blocks.refused_full);
  json.unsigned_number("failed", blocks.failed);
  json.end_object();
}

void write_bypasses(JsonWriter& json, const BypassLedger& bypasses) {
  json.begin_object("bypasses");
  json.unsigned_number("bypassed", bypasses.bypassed);
  json.unsigned_number("ended", bypasses.ended);
  json.unsigned_number("repeated", bypasses.repeated);
  json.unsigned_number("refused_full", bypasses.refused_full);
  json.unsigned_number("failed", bypasses.failed);
  json.unsigned_number("packets", bypasses.packets);
  json.unsigned_number("bytes", bypasses.bytes);
  json.end_object();
}

}  // namespace

std::string RunLedger::json() const {
  std::string text;
  JsonWriter json(text);
  json.begin_object({});
  json.text("kernel", kernel);
  json.real("duration_s", duration_s);
  json.begin_list("queues");
  for (const QueueLedger& queue : queues) write_queue(json, queue);
  json.end_list();
  // Of the sum's residuals some might cancel out: the total is that of the queues'.
  std::uint64_t unaccounted = 0;
  for (const QueueLedger& queue : queues) unaccounted += queue.unaccounted();
  json.begin_object("totals");
  write_counters(json, ledger_total(queues), unaccounted);
  json.end_object();
  json.begin_list("plugins");
  for (const PluginLedger& plugin : plugins) write_plugin(json, plugin);
  json.end_list();
  json.begin_list("workers");
  for (const WorkerLedger& worker : workers) write_worker(json, worker);
  json.end_list();
  json.begin_object("output");
  json.unsigned_number("lines", output.lines);
  json.unsigned_number("lines_dropped", output.lines_dropped);
  json.end_object();
  if (write) write_write(json, *write);
  if (blocks) write_blocks(json, *blocks);
  if (bypasses) write_bypasses(json, *bypasses);
  json.unsigned_number("time_clamped", time_clamped);
  json.begin_object("device");
  for (const auto& [name, value] : device) json.unsigned_number(name, value);
  json.end_object();
  json.end_object();
  return text;
}

}  // namespace engine
