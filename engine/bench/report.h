// What a benchmark found out, in the format that all our benchmarks share (schema engine-bench/1), for people and for
// machines. Plain values, made by the main thread after the measuring.
//
// A figure is a series, one value a round; what is told of it is its median, with the least, the greatest and all
// rounds beside it. Units stand last in names: rate_pps, cpu_ns_per_packet.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/bench/machine.h"
#include "engine/gen/spec.h"
#include "xsk/link.h"

namespace engine::bench {

using Rounds = std::vector<double>;

struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};

// Of at least one value; the median of an even number lies midway between the two in the middle.
Spread spread_of(Rounds rounds);

struct Value {
  std::string name;
  Rounds rounds;  // empty: could not be had, null in JSON; a note says why
};

using Parameter = std::variant<std::uint64_t, double, std::string>;
using Parameters = std::vector<std::pair<std::string, Parameter>>;

// What led to a result, such as the trials of a search: rows of named figures, under one name beside the values.
struct Steps {
  std::string name;
  std::vector<Parameters> rows;
};

struct Result {
  std::string name;
  Parameters params = {};
  std::vector<Value> values = {};
  std::vector<std::string> notes = {};
  std::vector<Steps> steps = {};

  // Adds this round's value; the first call makes the series.
  void add(std::string_view value_name, double value);
  // States that there is no such figure, once.
  void cannot(std::string_view value_name, std::string_view reason);
  const Rounds& rounds(std::string_view value_name) const;  // empty: no such value
};

enum class Better { higher, lower };

struct Ratio {
  std::string name;  // "a / b: rate_pps"
  Rounds rounds;
  Better better = Better::higher;
  std::optional<double> target;
};

// a[i] / b[i] for each round that both have: what disturbed a round disturbed both.
Ratio ratio_of(const Result& a, const Result& b, std::string_view value_name, Better better,
               std::optional<double> target = std::nullopt);

struct Missing {
  std::string name;
  std::string reason;
  std::string remedy;
};

struct InterfaceUsed {
  std::string name;
  std::string driver;
  std::string mode;
  std::uint32_t queues = 1;
  std::uint32_t mtu_bytes = 0;
};

// What is sent, as it stands under "traffic".
Parameters traffic_of(const gen::TrafficSpec& spec);

struct Report {
  std::string kind;     // "rx"
  std::string command;  // as it can be typed again
  Machine machine;
  std::optional<InterfaceUsed> interface;
  Parameters traffic;  // empty: none of ours
  std::vector<Result> results;
  std::vector<Ratio> ratios;
  std::vector<Missing> missing;
};

// With the machine as it is and the command that `args` was given to; "engine bench KIND ...".
Report begin_report(std::string_view kind, std::span<char* const> args);
InterfaceUsed interface_used(const xsk::Link& link, std::string_view mode, std::uint32_t queues);

std::string to_text(const Report& report);
std::string to_json(const Report& report, std::uint64_t utc_ns);  // one line

// Text on stdout; with a path the JSON there ("-": on stdout, and the text on stderr). Throws SetupError.
void publish(const Report& report, const std::string& json_path);

}  // namespace engine::bench
