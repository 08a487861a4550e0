#include "engine/cli/source_values.h"

#include <algorithm>
#include <charconv>

namespace engine::cli {
namespace {

constexpr std::size_t max_name_bytes = 127;  // ALTIFNAMSIZ less the NUL
constexpr std::uint32_t max_rate_pps = 1'000'000'000;

const std::string queues_allowed =
    "queue numbers 0.." + std::to_string(max_queues - 1) + " and ranges, as in eth0:0-3,5";

std::uint32_t take_queue(const char*& at, const char* end) {
  std::uint32_t queue = 0;
  const auto [next, error] = std::from_chars(at, end, queue);
  if (error != std::errc() || queue >= max_queues)
    throw BadValue{"has no valid list of queues", "give " + queues_allowed};
  at = next;
  return queue;
}

std::vector<std::uint32_t> parse_queues(std::string_view text) {
  const BadValue bad{"has no valid list of queues", "give " + queues_allowed};
  std::vector<std::uint32_t> queues;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    const std::uint32_t first = take_queue(at, end);
    std::uint32_t last = first;
    if (at != end && *at == '-') last = take_queue(++at, end);
    if (last < first) throw bad;
    for (std::uint32_t queue = first; queue <= last; ++queue) {
      if (std::find(queues.begin(), queues.end(), queue) != queues.end())
        throw BadValue{"names queue " + std::to_string(queue) + " twice", {}};
      queues.push_back(queue);
    }
    if (at == end) break;
    if (*at++ != ',') throw bad;
  }
  std::sort(queues.begin(), queues.end());
  return queues;
}

std::string queues_text(const std::vector<std::uint32_t>& queues) {
  std::string text;
  for (std::size_t i = 0; i < queues.size(); ++i) {
    std::size_t last = i;
    while (last + 1 < queues.size() && queues[last + 1] == queues[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += std::to_string(queues[i]);
    if (last != i) text += "-" + std::to_string(queues[last]);
    i = last;
  }
  return text;
}

}  // namespace

InterfaceSetting parse_interface(std::string_view text) {
  if (text.find('\0') != text.npos) throw BadValue{"must not hold a NUL byte", {}};
  InterfaceSetting interface;
  const std::size_t colon = text.rfind(':');
  const bool with_queues = colon != text.npos && text.find_first_not_of("0123456789,-", colon + 1) == text.npos;
  interface.name = text.substr(0, with_queues ? colon : text.npos);
  if (interface.name.empty()) throw BadValue{"names no interface", "write NAME or NAME:QUEUES"};
  if (interface.name.size() > max_name_bytes)
    throw BadValue{"is longer than a network device's name can be", std::to_string(max_name_bytes) + " bytes at most"};
  if (with_queues) interface.queues = parse_queues(text.substr(colon + 1));
  return interface;
}

std::string interface_text(const InterfaceSetting& interface) {
  return interface.queues.empty() ? interface.name : interface.name + ":" + queues_text(interface.queues);
}

Value interfaces(std::vector<InterfaceSetting>& target) {
  return {ValueKind::repeated,
          {},
          [&target](std::string_view text) { target.push_back(parse_interface(text)); },
          [&target]() -> std::vector<std::string> {
            std::vector<std::string> texts;
            for (const InterfaceSetting& interface : target) texts.push_back(interface_text(interface));
            return texts;
          },
          [&target] { target.clear(); }};
}

// It is never written back: --dump writes the list.
Value one_interface(std::vector<InterfaceSetting>& target) {
  return custom([&target](std::string_view text) { target = {parse_interface(text)}; });
}

// A number, so that the configuration may give one, or text with what else belongs to the limit.
Value rate_limit(RateLimitSetting& target) {
  const std::string range = detail::number_range(1, max_rate_pps, {});
  const auto take = [](std::string_view text) {
    return static_cast<std::uint32_t>(detail::parse_number(text, 1, max_rate_pps, {}));
  };
  return {ValueKind::size, range,
          [&target, take](std::string_view text) {
            RateLimitSetting limit;
            const std::size_t comma = text.find(',');
            limit.max_pps = take(text.substr(0, comma));
            if (comma != text.npos) {
              constexpr std::string_view key = "burst=";
              const std::string_view rest = text.substr(comma + 1);
              if (!rest.starts_with(key))
                throw BadValue{"has '" + std::string(rest) + "' after the rate", "write PPS,burst=N"};
              limit.burst = take(rest.substr(key.size()));
            }
            target = limit;
          },
          [&target]() -> std::vector<std::string> {
            if (target.max_pps == 0) return {};
            std::string text = std::to_string(target.max_pps);
            if (target.burst != 0) text += ",burst=" + std::to_string(target.burst);
            return {text};
          }};
}

Value auto_on_off(AutoOnOff& target) {
  return choice(target, {{"auto", AutoOnOff::automatic}, {"on", AutoOnOff::on}, {"off", AutoOnOff::off}});
}

}  // namespace engine::cli
