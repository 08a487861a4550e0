// The ledger: where every frame of a queue went, told by three parties that count on their own.
//
//   program  xdp_seen   = passed + blocked + rate_limited + bypassed + no_socket + slot_dropped + redirected
//   socket   redirected = rx_packets + rx_dropped + rx_ring_full + redirect_errors
//   worker   rx_packets = analysed + skipped
//
// No figure is derived from another one, so `unaccounted`, the sum of the three absolute residuals, can be wrong and
// is then a defect of ours. A plain value: filled by the main thread from the parties' own counters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace engine {

struct QueueLedger {
  std::string interface;
  std::string driver;
  std::string mode;
  std::uint32_t queue = 0;
  int cpu = -1;
  int node = -1;

  // Program (files: the reader), bpf/root.bpf.c.
  std::uint64_t xdp_seen = 0;
  std::uint64_t passed = 0;
  std::uint64_t blocked = 0;
  std::uint64_t rate_limited = 0;
  std::uint64_t bypassed = 0;
  std::uint64_t no_socket = 0;
  std::uint64_t slot_dropped = 0;
  std::uint64_t redirected = 0;

  // Socket: the RX ring's producer index, which the kernel writes, and XDP_STATISTICS.
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_dropped = 0;
  std::uint64_t rx_ring_full = 0;
  std::optional<std::uint64_t> redirect_errors = 0;  // empty: the tracepoint could not be had

  // Worker.
  std::uint64_t analysed = 0;
  std::uint64_t skipped = 0;

  // Explanations, never added to anything.
  std::uint64_t rx_bytes = 0;
  std::uint64_t fill_ring_empty = 0;
  std::uint64_t invalid_descs = 0;
  std::uint64_t plugin_errors = 0;
  std::uint64_t results = 0;
  std::uint64_t results_dropped = 0;

  std::uint64_t unaccounted() const noexcept;
};

// A name and a figure; the order is the published one.
using LedgerRow = std::pair<const char*, std::uint64_t>;

// All counters of a queue but redirect_errors and unaccounted, in the published order.
std::vector<LedgerRow> ledger_rows(const QueueLedger& queue);

// The causes of loss and the verdicts that kept frames away from the plugins: `drops` of the summary line.
std::vector<LedgerRow> drop_rows(const QueueLedger& total);

// Sums counters and takes no names. redirect_errors is empty if any queue's is.
QueueLedger ledger_total(const std::vector<QueueLedger>& queues);

struct PluginLedger {
  std::string name;
  std::uint64_t packets = 0;
  std::uint64_t filtered = 0;
  std::uint64_t missed = 0;
  double ns_per_packet = 0;  // from one batch in 64
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_limit_bytes = 0;  // of each worker's state
  std::uint64_t deadline_ms = 0;         // of each batch
  std::uint64_t errors = 0;
  std::uint64_t cutoffs = 0;
  std::uint64_t capture_refused = 0;  // packets that it wanted written to a file and that are not
  std::uint64_t actions_refused = 0;  // requests to the kernel that returned false
  std::uint64_t reloads = 0;
  std::string state = "running";
};

struct WorkerLedger {
  std::uint32_t worker = 0;
  int cpu = -1;
  std::uint64_t polls = 0;        // looks at the queues since the first packet
  std::uint64_t empty_polls = 0;  // of these, that found nothing: the headroom when spinning
  std::uint64_t cpu_ns = 0;       // CPU time of the worker's thread
};

struct OutputLedger {
  std::uint64_t lines = 0;
  std::uint64_t lines_dropped = 0;  // the reader was too slow
};

// What became of the wishes to block a source.
struct BlockLedger {
  std::uint64_t blocked = 0;
  std::uint64_t unblocked = 0;      // their time was over
  std::uint64_t repeated = 0;       // was blocked already: extended
  std::uint64_t refused_never = 0;  // this machine, a gateway, --never-block
  std::uint64_t refused_full = 0;
  std::uint64_t failed = 0;  // the kernel refused
};

// What became of the wishes to bypass a flow, and what passed by.
struct BypassLedger {
  std::uint64_t bypassed = 0;
  std::uint64_t ended = 0;     // their time was over, or the run
  std::uint64_t repeated = 0;  // was bypassed already: extended
  std::uint64_t refused_full = 0;
  std::uint64_t failed = 0;   // the kernel refused
  std::uint64_t packets = 0;  // of the flows that ended
  std::uint64_t bytes = 0;
};

// Packets written to a file with --write.
struct WriteLedger {
  std::string path;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;         // of the file
  std::uint64_t dropped = 0;       // packets that were to be written and are not in it
  std::uint64_t comments_cut = 0;  // plugins' comments that are shortened or missing
};

struct RunLedger {
  std::string kernel;
  double duration_s = 0;
  std::vector<QueueLedger> queues;
  std::vector<PluginLedger> plugins;
  std::vector<WorkerLedger> workers;
  OutputLedger output;
  std::optional<WriteLedger> write;
  std::optional<BlockLedger> blocks;
  std::optional<BypassLedger> bypasses;
  std::uint64_t time_clamped = 0;                             // files: time stamps that went back
  std::vector<std::pair<std::string, std::uint64_t>> device;  // a cross-check, never added

  // The whole as JSON, one line.
  std::string json() const;
};

}  // namespace engine
