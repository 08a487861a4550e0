// Writing results as JSON: JsonWriter against jansson, the same lines into memory.
//
// run: json_bench [--benchmark_filter=...], or bench/micro --filter json for the ratios.
//   record  a line of seven members: time, addresses, numbers, text
//   list    a top-k line: 20 items of an address and two numbers
//   text    64 bytes of which some must be escaped
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <jansson.h>

#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "engine/results/json.h"

namespace {

constexpr std::uint64_t kTime_ns = 1'790'000'000'123'456'789;
constexpr std::string_view kText = "GET /a \"quoted\" path\\with\tcontrol characters HTTP/1.1 and so on.";
static_assert(kText.size() == 64);

engine_addr address(std::uint32_t host) {
  std::uint8_t bytes[16] = {0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0,
                            0xff,
                            0xff,
                            192,
                            168,
                            static_cast<std::uint8_t>(host >> 8),
                            static_cast<std::uint8_t>(host)};
  engine_addr made;
  static_assert(sizeof made == sizeof bytes);
  std::memcpy(&made, bytes, sizeof bytes);
  return made;
}

void engine_record(engine::JsonWriter& writer, engine::TimeFormat& format, std::uint32_t i) {
  writer.time("ts", kTime_ns + i, format);
  writer.text("type", "flow");
  writer.address("src", address(i));
  writer.address("dst", address(i + 1));
  writer.unsigned_number("port", 443);
  writer.unsigned_number("bytes", 1500ULL * i);
  writer.real("rtt_ms", 0.25 * i);
}

void engine_list(engine::JsonWriter& writer, engine::TimeFormat&, std::uint32_t i) {
  writer.begin_list("entries");
  for (std::uint32_t item = 0; item < 20; ++item) {
    writer.begin_item();
    writer.address("src", address(i + item));
    writer.unsigned_number("packets", 100ULL * item);
    writer.unsigned_number("bytes", 150'000ULL * item);
    writer.end_item();
  }
  writer.end_list();
}

void engine_text(engine::JsonWriter& writer, engine::TimeFormat&, std::uint32_t) { writer.text("text", kText); }

template <class Members>
void by_engine(benchmark::State& state, const Members& members) {
  std::string line;
  engine::TimeFormat format;
  std::uint32_t i = 0;
  for (auto _ : state) {
    line.clear();
    engine::JsonWriter writer(line);
    writer.begin_object({});
    members(writer, format, ++i);
    writer.end_object();
    benchmark::DoNotOptimize(line.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

json_t* jansson_address(std::uint32_t host) {
  const engine_addr bytes = address(host);
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, reinterpret_cast<const std::uint8_t*>(&bytes) + 12, text, sizeof text);
  return json_string(text);
}

void jansson_record(json_t* object, std::uint32_t i) {
  const auto second = static_cast<std::time_t>((kTime_ns + i) / 1'000'000'000);
  std::tm parts = {};
  gmtime_r(&second, &parts);
  char text[48];
  const std::size_t end = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text + end, sizeof text - end, ".%09uZ", static_cast<unsigned>((kTime_ns + i) % 1'000'000'000));
  json_object_set_new_nocheck(object, "ts", json_string_nocheck(text));
  json_object_set_new_nocheck(object, "type", json_string_nocheck("flow"));
  json_object_set_new_nocheck(object, "src", jansson_address(i));
  json_object_set_new_nocheck(object, "dst", jansson_address(i + 1));
  json_object_set_new_nocheck(object, "port", json_integer(443));
  json_object_set_new_nocheck(object, "bytes", json_integer(1500LL * i));
  json_object_set_new_nocheck(object, "rtt_ms", json_real(0.25 * i));
}

void jansson_list(json_t* object, std::uint32_t i) {
  json_t* const list = json_array();
  for (std::uint32_t item = 0; item < 20; ++item) {
    json_t* const entry = json_object();
    json_object_set_new_nocheck(entry, "src", jansson_address(i + item));
    json_object_set_new_nocheck(entry, "packets", json_integer(100LL * item));
    json_object_set_new_nocheck(entry, "bytes", json_integer(150'000LL * item));
    json_array_append_new(list, entry);
  }
  json_object_set_new_nocheck(object, "entries", list);
}

void jansson_text(json_t* object, std::uint32_t) {
  json_object_set_new_nocheck(object, "text", json_stringn(kText.data(), kText.size()));
}

template <class Members>
void by_jansson(benchmark::State& state, const Members& members) {
  std::vector<char> line(8192);
  std::uint32_t i = 0;
  for (auto _ : state) {
    json_t* const object = json_object();
    members(object, ++i);
    const std::size_t bytes = json_dumpb(object, line.data(), line.size(), JSON_COMPACT);
    json_decref(object);
    if (bytes == 0 || bytes > line.size()) return state.SkipWithError("the line does not fit");
    benchmark::DoNotOptimize(line.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

BENCHMARK_CAPTURE(by_engine, record, engine_record)->Name("json/record/engine");
BENCHMARK_CAPTURE(by_jansson, record, jansson_record)->Name("json/record/jansson");
BENCHMARK_CAPTURE(by_engine, list, engine_list)->Name("json/list/engine");
BENCHMARK_CAPTURE(by_jansson, list, jansson_list)->Name("json/list/jansson");
BENCHMARK_CAPTURE(by_engine, text, engine_text)->Name("json/text/engine");
BENCHMARK_CAPTURE(by_jansson, text, jansson_text)->Name("json/text/jansson");

}  // namespace

BENCHMARK_MAIN();
