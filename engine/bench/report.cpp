#include "engine/bench/report.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "engine/base/error.h"
#include "engine/clock.h"

namespace engine::bench {
namespace {

// Large figures whole, small ones to three places: what is read, not what is reckoned with.
std::string number_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, std::fabs(value) >= 1000 || value == std::floor(value) ? "%.0f" : "%.4g", value);
  return text;
}

std::string parameter_text(const Parameter& value) {
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return std::to_string(*number);
  if (const auto* real = std::get_if<double>(&value)) return number_text(*real);
  return std::get<std::string>(value);
}

std::string parameters_text(const Parameters& parameters) {
  std::string text;
  for (const auto& [name, value] : parameters) text += (text.empty() ? "" : ", ") + name + " " + parameter_text(value);
  return text;
}

void add_parameters(JsonWriter& json, const Parameters& parameters) {
  for (const auto& [name, value] : parameters) {
    if (const auto* number = std::get_if<std::uint64_t>(&value)) {
      json.unsigned_number(name, *number);
    } else if (const auto* real = std::get_if<double>(&value)) {
      json.real(name, *real);
    } else {
      json.text(name, std::get<std::string>(value));
    }
  }
}

void add_spread(JsonWriter& json, const Rounds& rounds) {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();  // null
  const Spread spread = rounds.empty() ? Spread{none, none, none} : spread_of(rounds);
  json.real("median", spread.median);
  json.real("min", spread.min);
  json.real("max", spread.max);
  json.begin_list("rounds");
  for (const double round : rounds) json.real({}, round);
  json.end_list();
}

void add_result(JsonWriter& json, const Result& result) {
  json.begin_item();
  json.text("name", result.name);
  json.begin_object("params");
  add_parameters(json, result.params);
  json.end_object();
  json.begin_object("values");
  for (const Value& value : result.values) {
    if (value.rounds.empty()) {
      json.null(value.name);
      continue;
    }
    json.begin_object(value.name);
    add_spread(json, value.rounds);
    json.end_object();
  }
  json.end_object();
  for (const Steps& steps : result.steps) {
    json.begin_list(steps.name);
    for (const Parameters& row : steps.rows) {
      json.begin_item();
      add_parameters(json, row);
      json.end_item();
    }
    json.end_list();
  }
  json.begin_list("notes");
  for (const std::string& note : result.notes) json.text({}, note);
  json.end_list();
  json.end_item();
}

void add_ratio(JsonWriter& json, const Ratio& ratio) {
  json.begin_item();
  json.text("name", ratio.name);
  add_spread(json, ratio.rounds);
  json.text("better", ratio.better == Better::higher ? "higher" : "lower");
  ratio.target ? json.real("target", *ratio.target) : json.null("target");
  json.end_item();
}

std::string spread_text(const Rounds& rounds) {
  if (rounds.empty()) return "-";
  const Spread spread = spread_of(rounds);
  std::string text = number_text(spread.median);
  if (rounds.size() > 1) text += "  (" + number_text(spread.min) + " .. " + number_text(spread.max) + ")";
  return text;
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string result_text(const Result& result) {
  constexpr std::size_t name_width = 26;
  std::string text = "\n" + result.name;
  if (!result.params.empty()) text += ": " + parameters_text(result.params);
  text += "\n";
  for (const Steps& steps : result.steps)
    for (const Parameters& row : steps.rows) text += "  " + steps.name + ": " + parameters_text(row) + "\n";
  for (const Value& value : result.values)
    text += "  " + padded(value.name, name_width) + spread_text(value.rounds) + "\n";
  for (const std::string& note : result.notes) text += "  " + note + "\n";
  return text;
}

// Quoted where a shell would take it apart.
std::string typed(const char* word) {
  static constexpr const char* harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%";
  if (*word != '\0' && word[std::strspn(word, harmless)] == '\0') return word;
  std::string quoted = "'";
  for (; *word != '\0'; ++word) quoted += *word == '\'' ? "'\\''" : std::string(1, *word);
  return quoted + "'";
}

void write_all(std::FILE* file, const std::string& text, const std::string& name) {
  if (std::fputs(text.c_str(), file) < 0 || std::fflush(file) != 0)
    throw SetupError(ExitCode::runtime_failure, "write to " + name, std::strerror(errno));
}

}  // namespace

Spread spread_of(Rounds rounds) {
  std::ranges::sort(rounds);
  const std::size_t half = rounds.size() / 2;
  const double median = rounds.size() % 2 == 1 ? rounds[half] : (rounds[half - 1] + rounds[half]) / 2;
  return {median, rounds.front(), rounds.back()};
}

void Result::add(std::string_view value_name, double value) {
  const auto found = std::ranges::find(values, value_name, &Value::name);
  Value& series = found != values.end() ? *found : values.emplace_back(Value{std::string(value_name), {}});
  series.rounds.push_back(value);
}

void Result::cannot(std::string_view value_name, std::string_view reason) {
  if (std::ranges::find(values, value_name, &Value::name) != values.end()) return;
  values.push_back({std::string(value_name), {}});
  notes.push_back(std::string(value_name) + ": " + std::string(reason));
}

const Rounds& Result::rounds(std::string_view value_name) const {
  static const Rounds none;
  const auto found = std::ranges::find(values, value_name, &Value::name);
  return found != values.end() ? found->rounds : none;
}

Ratio ratio_of(const Result& a, const Result& b, std::string_view value_name, Better better,
               std::optional<double> target) {
  Ratio ratio{a.name + " / " + b.name + ": " + std::string(value_name), {}, better, target};
  const Rounds& above = a.rounds(value_name);
  const Rounds& below = b.rounds(value_name);
  for (std::size_t i = 0; i < std::min(above.size(), below.size()); ++i) ratio.rounds.push_back(above[i] / below[i]);
  return ratio;
}

Parameters traffic_of(const gen::TrafficSpec& spec) {
  Parameters traffic;
  if (spec.sizes.size() == 1) {
    traffic.emplace_back("frame_bytes", std::uint64_t{spec.sizes.front().frame_bytes});
  } else {
    std::string sizes;
    for (const gen::SizeEntry& entry : spec.sizes)
      sizes += (sizes.empty() ? "" : ",") + std::to_string(entry.frame_bytes) + "=" + std::to_string(entry.weight);
    traffic.emplace_back("sizes", sizes);
  }
  traffic.emplace_back("flows", std::uint64_t{spec.flows});
  return traffic;
}

Report begin_report(std::string_view kind, std::span<char* const> args) {
  Report report;
  report.kind = kind;
  report.command = "engine bench " + report.kind;
  for (const char* word : args) report.command += " " + typed(word);
  report.machine = read_machine();
  return report;
}

InterfaceUsed interface_used(const xsk::Link& link, std::string_view mode, std::uint32_t queues) {
  return {link.name, link.driver, std::string(mode), queues, link.mtu_bytes};
}

std::string to_text(const Report& report) {
  std::string text = to_text(report.machine);
  if (const auto& used = report.interface)
    text += used->name + ": driver " + (used->driver.empty() ? "unknown" : used->driver) + ", mode " + used->mode +
            ", queues " + std::to_string(used->queues) + ", MTU " + std::to_string(used->mtu_bytes) + "\n";
  if (!report.traffic.empty()) text += "traffic: " + parameters_text(report.traffic) + "\n";
  for (const Result& result : report.results) text += result_text(result);
  if (!report.ratios.empty()) text += "\n";
  for (const Ratio& ratio : report.ratios) {
    text += ratio.name + " = " + spread_text(ratio.rounds);
    if (ratio.target)
      text += (ratio.better == Better::higher ? ", wanted >= " : ", wanted <= ") + number_text(*ratio.target);
    text += "\n";
  }
  for (const Missing& missing : report.missing)
    text += missing.name + ": " + missing.reason + (missing.remedy.empty() ? "" : "; " + missing.remedy) + "\n";
  return text;
}

std::string to_json(const Report& report, std::uint64_t utc_ns) {
  std::string text;
  JsonWriter json(text);
  json.begin_object({});
  json.text("schema", "engine-bench/1");
  json.text("kind", report.kind);
  json.text("command", report.command);
  json.time("time", utc_ns);
  add_machine(json, report.machine);
  if (const auto& used = report.interface) {
    json.begin_object("interface");
    json.text("name", used->name);
    json.text("driver", used->driver);
    json.text("mode", used->mode);
    json.unsigned_number("queues", used->queues);
    json.unsigned_number("mtu_bytes", used->mtu_bytes);
    json.end_object();
  }
  if (!report.traffic.empty()) {
    json.begin_object("traffic");
    add_parameters(json, report.traffic);
    json.end_object();
  }
  json.begin_list("results");
  for (const Result& result : report.results) add_result(json, result);
  json.end_list();
  json.begin_list("ratios");
  for (const Ratio& ratio : report.ratios) add_ratio(json, ratio);
  json.end_list();
  json.begin_list("missing");
  for (const Missing& missing : report.missing) {
    json.begin_item();
    json.text("name", missing.name);
    json.text("reason", missing.reason);
    json.text("remedy", missing.remedy);
    json.end_item();
  }
  json.end_list();
  json.end_object();
  return text;
}

void publish(const Report& report, const std::string& json_path) {
  const bool both_stdout = json_path == "-";
  write_all(both_stdout ? stderr : stdout, to_text(report), both_stdout ? "stderr" : "stdout");
  if (json_path.empty()) return;
  const std::string json = to_json(report, wall_ns()) + "\n";
  if (both_stdout) return write_all(stdout, json, "stdout");
  std::FILE* const file = std::fopen(json_path.c_str(), "we");
  if (file == nullptr) throw SetupError(ExitCode::runtime_failure, "write " + json_path, std::strerror(errno));
  const bool written = std::fputs(json.c_str(), file) >= 0;
  if (std::fclose(file) != 0 || !written)
    throw SetupError(ExitCode::runtime_failure, "write " + json_path, std::strerror(errno));
}

}  // namespace engine::bench
