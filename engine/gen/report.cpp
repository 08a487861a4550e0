// The report as a line for people and as a JSON object.
#include "engine/gen/report.h"

#include <cinttypes>
#include <cstdio>

#include "engine/results/json.h"

namespace engine::gen {
namespace {

double per_second(std::uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

void add_sent(JsonWriter& json, const Sent& sent) {
  json.unsigned_number("sent", sent.packets);
  json.unsigned_number("bytes", sent.bytes);
}

void add_not_taken(JsonWriter& json, const NotTaken& not_taken) {
  json.begin_object("not_taken");
  json.unsigned_number("tx_dropped", not_taken.tx_dropped);
  if (not_taken.xdp_xmit_errors) json.unsigned_number("xdp_xmit_errors", *not_taken.xdp_xmit_errors);
  if (not_taken.xdp_xmit) json.unsigned_number("xdp_xmit", *not_taken.xdp_xmit);
  json.end_object();
}

}  // namespace

std::string to_line(const Report& report) {
  char text[512];
  std::snprintf(text, sizeof text, "%s: sent %" PRIu64 " packets, %" PRIu64 " bytes in %.3f s by %s: %.0f packets/s",
                report.target.c_str(), report.total.packets, report.total.bytes, report.seconds, report.method.c_str(),
                per_second(report.total.packets, report.seconds));
  std::string line(text);
  if (report.queues.size() > 1) {
    line += "; by queue:";
    for (const auto& [queue, sent] : report.queues)
      line.append(" ").append(std::to_string(queue)).append("=").append(std::to_string(sent.packets));
  }
  if (report.not_taken) {
    line += "; not taken: tx_dropped " + std::to_string(report.not_taken->tx_dropped);
    if (report.not_taken->xdp_xmit_errors.value_or(0) != 0)
      line += " (xdp_xmit_errors " + std::to_string(*report.not_taken->xdp_xmit_errors) + " among them)";
  }
  if (report.unfinished != 0) line += "; unfinished: " + std::to_string(report.unfinished);
  if (report.interrupted) line += "; interrupted";
  return line;
}

std::string to_json(const Report& report) {
  std::string text;
  JsonWriter json(text);
  json.begin_object({});
  json.text("type", "gen");
  json.text("target", report.target);
  json.text("method", report.method);
  json.real("seconds", report.seconds);
  add_sent(json, report.total);
  json.real("pps", per_second(report.total.packets, report.seconds));
  json.begin_list("queues");
  for (const auto& [queue, sent] : report.queues) {
    json.begin_item();
    json.unsigned_number("queue", queue);
    add_sent(json, sent);
    json.end_item();
  }
  json.end_list();
  json.begin_object("kinds");
  for (std::size_t i = 0; i < kind_count; ++i) {
    if (report.kinds[i].packets == 0) continue;
    json.begin_object(name_of(static_cast<Kind>(i)));
    add_sent(json, report.kinds[i]);
    json.end_object();
  }
  json.end_object();
  json.unsigned_number("replayed", report.replayed.packets);
  json.unsigned_number("stamped", report.stamped);
  json.unsigned_number("unfinished", report.unfinished);
  if (report.not_taken) add_not_taken(json, *report.not_taken);
  json.begin_list("notes");
  for (const std::string& note : report.notes) json.text({}, note);
  json.end_list();
  json.boolean("interrupted", report.interrupted);
  json.end_object();
  return text;
}

}  // namespace engine::gen
