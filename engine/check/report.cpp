#include "engine/check/report.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

#include "engine/results/json.h"
#include "engine/results/status.h"

namespace engine::check {
namespace {

using plugins::Severity;

std::size_t count(const Report& report, Severity severity) {
  return static_cast<std::size_t>(std::count_if(report.findings.begin(), report.findings.end(),
                                                [&](const auto& finding) { return finding.severity == severity; }));
}

[[gnu::format(printf, 2, 3)]] void put(std::string& out, const char* format, ...) {
  std::array<char, 512> line;
  va_list args;
  va_start(args, format);
  std::vsnprintf(line.data(), line.size(), format, args);
  va_end(args);
  out += line.data();
}

std::string duration(double ns) {
  std::array<char, 32> text;
  const char* const unit = ns < 1e3 ? "ns" : ns < 1e6 ? "us" : ns < 1e9 ? "ms" : "s";
  const double value = ns < 1e3 ? ns : ns < 1e6 ? ns / 1e3 : ns < 1e9 ? ns / 1e6 : ns / 1e9;
  std::snprintf(text.data(), text.size(), "%.*f %s", value < 100 ? 1 : 0, value, unit);
  return text.data();
}

std::string size(std::size_t bytes) {
  std::array<char, 32> text;
  const bool large = bytes >= 10u << 20;
  std::snprintf(text.data(), text.size(), "%zu %s", large ? bytes >> 20 : bytes >> 10, large ? "MiB" : "KiB");
  return text.data();
}

std::string plural(std::size_t n, const std::string& word) {
  return std::to_string(n) + " " + word + (n == 1 || word == "advice" ? "" : "s");
}

void put_findings(std::string& out, const Report& report) {
  for (const plugins::Finding& finding : report.findings) {
    out += finding.file;
    if (finding.line > 0) out += ":" + std::to_string(finding.line);
    out += ": " + std::string(name_of(finding.severity)) + ": " + finding.text + "\n";
  }
}

void put_results(std::string& out, const DryRun& run) {
  out += "\nresults: " + plural(run.results, "line");
  if (run.lines.size() < run.results && !run.lines.empty()) out += ", the first " + std::to_string(run.lines.size());
  out += "\n";
  for (const std::string& line : run.lines) out += "  " + line + "\n";
  if (!run.log.empty()) out += "log:\n";
  for (const std::string& line : run.log) out += "  " + line + "\n";
}

void put_spread(std::string& out, const char* name, const Spread& spread, const char* per) {
  if (spread.samples == 0) return;
  put(out, "  %-9s  p50 %s, p99 %s %s\n", name, duration(spread.p50).c_str(), duration(spread.p99).c_str(), per);
}

void put_cost(std::string& out, const Report& report, const Measurement& m) {
  put(out, "\ncost: %s packets of %s\n", format_grouped(m.packets).c_str(), report.traffic.c_str());
  put_spread(out, m.by_batch ? "on_batch" : "on_packet", m.packet_ns, "per packet, in batches of 64");
  put_spread(out, "on_tick", m.tick_ns, "per call");
  if (m.start_ns >= 0) put(out, "  %-9s  %s\n", "on_start", duration(m.start_ns).c_str());
  if (m.stop_ns >= 0) put(out, "  %-9s  %s\n", "on_stop", duration(m.stop_ns).c_str());
  put(out, "  %-9s  %s: compile, warm-up, on_start\n", "load", duration(m.load_ns).c_str());
  put(out, "  %-9s  %s now, %s at most; limit %s\n", "memory", size(m.memory_bytes).c_str(),
      size(m.peak_memory_bytes).c_str(), size(report.memory_limit_bytes).c_str());
  put(out, "  %-9s  %.1f bytes per packet\n", "garbage", m.garbage_bytes);
  put(out, "  %-9s  %s for a batch or a tick, then it is cut off; %s took longer\n", "deadline",
      duration(static_cast<double>(report.deadline_ns)).c_str(),
      format_grouped(m.late_batches.count + m.late_ticks.count).c_str());
}

void append_spread(JsonWriter& json, const char* name, const Spread& spread) {
  if (spread.samples == 0) return json.null(name);
  json.begin_object(name);
  json.real("p50", spread.p50);
  json.real("p99", spread.p99);
  json.unsigned_number("samples", spread.samples);
  json.end_object();
}

void append_cost(JsonWriter& json, const Report& report, const Measurement& m) {
  json.begin_object("cost");
  json.unsigned_number("packets", m.packets);
  json.unsigned_number("errors", m.errors);
  append_spread(json, m.by_batch ? "on_batch_ns" : "on_packet_ns", m.packet_ns);
  append_spread(json, "on_tick_ns", m.tick_ns);
  if (m.start_ns >= 0) json.real("on_start_ns", m.start_ns);
  if (m.stop_ns >= 0) json.real("on_stop_ns", m.stop_ns);
  json.real("load_ns", m.load_ns);
  json.unsigned_number("memory_bytes", m.memory_bytes);
  json.unsigned_number("peak_memory_bytes", m.peak_memory_bytes);
  json.unsigned_number("memory_limit_bytes", report.memory_limit_bytes);
  json.real("garbage_bytes_per_packet", m.garbage_bytes);
  json.unsigned_number("deadline_ns", report.deadline_ns);
  json.unsigned_number("late_batches", m.late_batches.count);
  json.unsigned_number("late_ticks", m.late_ticks.count);
  json.begin_list("not_compiled");
  for (const plugins::TraceAbort& abort : m.aborts) {
    json.begin_item();
    json.text("place", abort.place);
    json.text("reason", abort.reason);
    json.text("advice", abort.advice);
    json.unsigned_number("times", abort.times);
    json.unsigned_number("after_warm_up", abort.late);
    json.boolean("given_up", abort.given_up);
    json.end_item();
  }
  json.end_list();
  json.end_object();
}

}  // namespace

bool failed(const Report& report) {
  return count(report, Severity::error) > 0 || (report.strict && count(report, Severity::warning) > 0);
}

std::string text_of(const Report& report) {
  std::string out;
  put_findings(out, report);
  if (report.measurement) {
    put_results(out, report.run);
    put_cost(out, report, *report.measurement);
    out += "\n";
  }
  out += report.plugin + ": ";
  if (report.findings.empty()) return out + "nothing to say against it\n";
  std::string sums;
  for (const Severity severity : {Severity::error, Severity::warning, Severity::advice}) {
    const std::size_t n = count(report, severity);
    if (n > 0) sums += (sums.empty() ? "" : ", ") + plural(n, std::string(name_of(severity)));
  }
  return out + sums + (failed(report) ? "; failed\n" : "; passed\n");
}

std::string json_of(const Report& report) {
  std::string out;
  JsonWriter json(out);
  json.begin_object({});
  json.text("plugin", report.plugin);
  json.text("verdict", failed(report) ? "failed" : "passed");
  json.begin_list("findings");
  for (const plugins::Finding& finding : report.findings) {
    json.begin_item();
    json.text("severity", name_of(finding.severity));
    json.text("rule", finding.rule);
    json.text("file", finding.file);
    json.unsigned_number("line", static_cast<std::uint64_t>(std::max(finding.line, 0)));
    json.text("text", finding.text);
    json.end_item();
  }
  json.end_list();
  if (report.measurement) {
    json.text("traffic", report.traffic);
    append_cost(json, report, *report.measurement);
    json.unsigned_number("results", report.run.results);
    json.begin_list("first_results");
    for (const std::string& line : report.run.lines) json.text({}, line);
    json.end_list();
    json.begin_list("log");
    for (const std::string& line : report.run.log) json.text({}, line);
    json.end_list();
  }
  json.end_object();
  return out + "\n";
}

}  // namespace engine::check
