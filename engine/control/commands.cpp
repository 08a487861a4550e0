#include "engine/control/commands.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/jansson.h"
#include "engine/cli/options.h"

namespace engine::control {
namespace {

constexpr double kLongest_s = 365.0 * 24 * 3600;
constexpr double kMost_pps = 1e9;
constexpr std::size_t kPage = 1000;

std::string number_text(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr};
}

// What is wrong with a command, as its answer says it.
struct Refused {
  std::string error;
};

// The members of a command; asked for by name, and each that was not asked for is refused.
class Request {
 public:
  explicit Request(const json_t* object) : object_(object) {}

  std::optional<std::string> text(const char* name) {
    const json_t* const value = member(name);
    if (value == nullptr) return std::nullopt;
    if (!json_is_string(value)) throw Refused{quoted(name) + " must be a string"};
    return std::string(json_string_value(value), json_string_length(value));
  }
  std::string needed_text(const char* name, std::string_view example) {
    if (auto value = text(name)) return *value;
    throw Refused{quoted(name) + " is missing; for example \"" + name + "\":\"" + std::string(example) + "\""};
  }
  std::optional<double> number(const char* name, double min, double max) {
    const json_t* const value = member(name);
    if (value == nullptr) return std::nullopt;
    const double number = json_is_number(value) ? json_number_value(value) : NAN;
    if (!(number >= min && number <= max)) {
      throw Refused{quoted(name) + " must be a number from " + number_text(min) + " to " + number_text(max)};
    }
    return number;
  }
  std::optional<std::uint64_t> whole(const char* name, double min, double max) {
    const std::optional<double> value = number(name, min, max);
    if (value && std::trunc(*value) != *value) throw Refused{quoted(name) + " must be a whole number"};
    return value ? std::optional(static_cast<std::uint64_t>(*value)) : std::nullopt;
  }
  // Before anything is done: a misspelt member must not be taken for one that is not there.
  void refuse_others() const {
    const char* key = nullptr;
    json_t* value = nullptr;
    json_object_foreach(const_cast<json_t*>(object_), key, value) {
      if (std::ranges::find(known_, std::string_view(key)) != known_.end()) continue;
      std::string known;
      for (const std::string_view name : known_) known += (known.empty() ? "" : ", ") + std::string(name);
      throw Refused{quoted(key) + " is not known here; known: " + known};
    }
  }

 private:
  static std::string quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }
  const json_t* member(const char* name) {
    known_.emplace_back(name);
    return json_object_get(object_, name);
  }

  const json_t* object_;
  std::vector<std::string_view> known_{"command"};
};

void require(const std::string& why) {
  if (!why.empty()) throw Refused{why};
}

Enforcement& lists_of(const Target& target) {
  if (target.lists != nullptr) return *target.lists;
  throw Refused{"no interface is captured by AF_XDP, and nothing else can drop or pass by; see status"};
}

// No member: for good.
double seconds_of(Request& request) {
  return request.number("seconds", 0.001, kLongest_s).value_or(Enforcement::kForGood_s);
}

Source source_of(const std::string& text) {
  bpf::BlockList list;
  bpf::add_block_entry(text, "target", list);
  return sources_of(list).front();
}

void do_status(Request& request, const Target& target, JsonWriter& json) {
  request.refuse_others();
  target.status(json);
}

void do_filter(Request& request, const Target& target, JsonWriter&) {
  const std::string text = request.needed_text("filter", "udp port 53");
  request.refuse_others();
  if (text.find('\0') != text.npos) throw Refused{"\"filter\" must not hold a NUL byte"};
  require(target.set_filter(text));
}

void do_block(Request& request, const Target& target, JsonWriter&) {
  const std::string text = request.needed_text("target", "192.0.2.0/24");
  const double seconds = seconds_of(request);
  request.refuse_others();
  require(lists_of(target).block(source_of(text), seconds, target.now_ns()));
}

void do_unblock(Request& request, const Target& target, JsonWriter&) {
  const std::string text = request.needed_text("target", "192.0.2.0/24");
  request.refuse_others();
  require(lists_of(target).unblock(source_of(text), target.now_ns()));
}

constexpr std::string_view kFlow = "tcp 10.0.0.1:80 10.0.0.2:40000";

void do_bypass(Request& request, const Target& target, JsonWriter&) {
  const std::string text = request.needed_text("flow", kFlow);
  const double seconds = seconds_of(request);
  request.refuse_others();
  require(lists_of(target).bypass(Flow::parse(text, "flow"), seconds, target.now_ns()));
}

void do_unbypass(Request& request, const Target& target, JsonWriter& json) {
  const std::string text = request.needed_text("flow", kFlow);
  request.refuse_others();
  FlowFigures last;
  require(lists_of(target).unbypass(Flow::parse(text, "flow"), last, target.now_ns()));
  json.unsigned_number("packets", last.packets);
  json.unsigned_number("bytes", last.bytes);
}

void do_rate_limit(Request& request, const Target& target, JsonWriter& json) {
  const auto max_pps = request.whole("max_pps", 0, kMost_pps);
  const auto burst = request.whole("burst", 1, kMost_pps);
  const double seconds = seconds_of(request);
  request.refuse_others();
  if (!max_pps) throw Refused{"\"max_pps\" is missing; 0 ends the limit"};
  Enforcement& lists = lists_of(target);
  require(lists.limit_rate({static_cast<std::uint32_t>(*max_pps), static_cast<std::uint32_t>(burst.value_or(0))},
                           seconds, target.now_ns()));
  json.unsigned_number("in_force", lists.rate_limit().max_pps);  // a plugin may want a lower one
}

void write_left(JsonWriter& json, double seconds, std::string_view by) {
  if (seconds != Enforcement::kForGood_s) json.real("seconds", seconds);
  json.text("by", by);
}

void do_list(Request& request, const Target& target, JsonWriter& json) {
  const std::string what = request.needed_text("what", "block");
  const std::size_t cursor = request.whole("from", 0, 0x1p53).value_or(0);
  const std::size_t limit = request.whole("limit", 1, kPage).value_or(kPage);
  request.refuse_others();
  const Enforcement& lists = lists_of(target);
  std::size_t next = 0;
  json.begin_list("entries");
  if (what == "block") {
    next = lists.page_blocked(cursor, limit, target.now_ns(), [&](const Source& source, double left, auto by) {
      json.begin_item();
      json.text("target", source.text());
      write_left(json, left, by);
      json.end_item();
    });
  } else if (what == "bypass") {
    const auto visit = [&](const Flow& flow, double left, std::string_view by, const FlowFigures& figures) {
      json.begin_item();
      json.text("flow", flow.text());
      write_left(json, left, by);
      json.unsigned_number("packets", figures.packets);
      json.unsigned_number("bytes", figures.bytes);
      json.end_item();
    };
    next = lists.page_bypassed(cursor, limit, target.now_ns(), visit);
  } else {
    throw Refused{"\"what\" must be block or bypass"};
  }
  json.end_list();
  if (next != 0) json.unsigned_number("next", next);
}

void do_reload(Request& request, const Target& target, JsonWriter&) {
  request.refuse_others();
  require(target.reload());
}

void do_stop(Request& request, const Target& target, JsonWriter&) {
  request.refuse_others();
  target.stop();
}

struct Command {
  std::string_view name;
  void (*run)(Request&, const Target&, JsonWriter&);
};
constexpr Command kCommands[] = {
    {"status", do_status}, {"filter", do_filter},     {"block", do_block},           {"unblock", do_unblock},
    {"bypass", do_bypass}, {"unbypass", do_unbypass}, {"rate_limit", do_rate_limit}, {"list", do_list},
    {"reload", do_reload}, {"stop", do_stop}};

const Command& command_of(const json_t* object) {
  const json_t* const name = json_object_get(object, "command");
  std::vector<std::string_view> names;
  for (const Command& it : kCommands) names.push_back(it.name);
  if (!json_is_string(name)) throw Refused{"\"command\" is missing; there are " + cli::detail::join_words(names)};
  const std::string_view given(json_string_value(name), json_string_length(name));
  for (const Command& it : kCommands)
    if (it.name == given) return it;
  const std::string near = cli::did_you_mean(given, names);
  throw Refused{"no such command; " + (near.empty() ? "there are " + cli::detail::join_words(names) : near)};
}

Jansson parse(std::string_view line) {
  json_error_t error;
  Jansson value(json_loadb(line.data(), line.size(), JSON_REJECT_DUPLICATES, &error));
  if (!value) throw Refused{std::string("not JSON: ") + error.text};
  if (!json_is_object(value.get())) throw Refused{"not an object; write {\"command\":\"status\"}"};
  return value;
}

}  // namespace

std::string answer(std::string_view line, const Target& target) {
  std::string why;
  try {
    const Jansson object = parse(line);
    Request request(object.get());
    const Command& command = command_of(object.get());
    std::string text;
    JsonWriter json(text);
    json.begin_object({});
    json.boolean("ok", true);
    command.run(request, target, json);
    json.end_object();
    return text;
  } catch (const Refused& refused) {
    why = refused.error;
  } catch (const SetupError& error) {
    why = error.what();
  }
  std::string text;
  JsonWriter json(text);
  json.begin_object({});
  json.boolean("ok", false);
  json.text("error", why);
  json.end_object();
  return text;
}

}  // namespace engine::control
