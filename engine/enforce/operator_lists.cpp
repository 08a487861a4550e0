#include "engine/enforce/operator_lists.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "engine/base/error.h"
#include "plugins/native.h"

namespace engine {
namespace {

constexpr double kLongest_s = 365.0 * 24 * 3600;
constexpr std::string_view kBlanks = " \t\r";

std::size_t words(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = text.find_first_not_of(kBlanks); at != text.npos; ++count)
    at = text.find_first_not_of(kBlanks, std::min(text.find_first_of(kBlanks, at), text.size()));
  return count;
}

// Cuts the seconds off an entry that has one word more than it needs.
double take_seconds(std::string_view& entry, std::size_t needed, std::string_view where) {
  if (words(entry) <= needed) return Enforcement::kForGood_s;
  const std::size_t begin = entry.find_last_of(kBlanks) + 1;
  const std::string_view text = entry.substr(begin);
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || !(seconds > 0 && seconds <= kLongest_s))
    throw SetupError(ExitCode::bad_usage, where, "\"" + std::string(text) + "\" is no number of seconds",
                     "give one above 0, up to a year, or none for good");
  entry = bpf::trim_entry(entry.substr(0, begin));
  return seconds;
}

void add_blocked(std::string_view entry, std::string_view where, OperatorLists& lists) {
  const double seconds = take_seconds(entry, 1, where);
  if (seconds == Enforcement::kForGood_s) return bpf::add_block_entry(entry, where, lists.blocked);
  bpf::BlockList one;
  bpf::add_block_entry(entry, where, one);
  lists.blocked_for_s.emplace_back(sources_of(one).front(), seconds);
}

void add_bypassed(std::string_view entry, std::string_view where, OperatorLists& lists) {
  const double seconds = take_seconds(entry, 3, where);
  lists.bypassed_for_s.emplace_back(Flow::parse(entry, where), seconds);
}

}  // namespace

OperatorLists read_operator_lists(const cli::Settings& settings) {
  OperatorLists lists;
  if (!settings.block_path.empty())
    bpf::each_entry(settings.block_path, "block list",
                    [&](std::string_view entry, std::string_view where) { add_blocked(entry, where, lists); });
  for (const std::string& entry : settings.block) add_blocked(bpf::trim_entry(entry), "block", lists);
  if (!settings.bypass_path.empty())
    bpf::each_entry(settings.bypass_path, "bypass list",
                    [&](std::string_view entry, std::string_view where) { add_bypassed(entry, where, lists); });
  for (const std::string& entry : settings.bypass) add_bypassed(bpf::trim_entry(entry), "bypass", lists);
  return lists;
}

std::uint32_t stages_of(const cli::Settings& settings, const OperatorLists& lists) {
  std::uint32_t uses = 0;
  if (!settings.control_path.empty()) uses |= ENGINE_USE_BLOCK | ENGINE_USE_BYPASS | ENGINE_USE_RATE;
  if (!lists.blocked_for_s.empty()) uses |= ENGINE_USE_BLOCK;
  if (!lists.bypassed_for_s.empty()) uses |= ENGINE_USE_BYPASS;
  if (settings.rate_limit.max_pps != 0) uses |= ENGINE_USE_RATE;
  return uses;
}

ListRooms list_rooms(const cli::Settings& settings, const OperatorLists& lists) {
  const auto timed = static_cast<std::uint32_t>(
      std::ranges::count_if(lists.blocked_for_s, [](const auto& it) { return it.first.is_address(); }));
  const auto flows = static_cast<std::uint32_t>(lists.bypassed_for_s.size());
  const auto networks = static_cast<std::uint32_t>(lists.blocked_for_s.size()) - timed;
  return {.addresses = settings.list_room + timed,
          .networks = std::max(kLeastNetworks, settings.list_room / kAddressesPerNetwork) + networks,
          .flows = settings.list_room + flows};
}

void add_stages(const cli::Settings& settings, std::uint32_t uses, const OperatorLists& lists, bpf::RootConfig& to) {
  const ListRooms rooms = list_rooms(settings, lists);
  to.block = lists.blocked;
  if ((uses & ENGINE_USE_BLOCK) != 0) {
    to.more_addresses = rooms.addresses;
    to.more_networks = rooms.networks;
  }
  if ((uses & ENGINE_USE_BYPASS) != 0) to.bypass_flows = rooms.flows;
  if ((uses & ENGINE_USE_RATE) == 0) return;
  to.rate_sources = kRateSources;
  to.rate = {settings.rate_limit.max_pps, settings.rate_limit.burst};
}

EnforcementConfig enforcement_config(const cli::Settings& settings, const OperatorLists& lists) {
  EnforcementConfig config;
  const ListRooms rooms = list_rooms(settings, lists);
  config.room = {rooms.addresses, rooms.networks};
  config.flow_room = rooms.flows;
  config.permanent = sources_of(lists.blocked);
  config.rate_in_force = {settings.rate_limit.max_pps, settings.rate_limit.burst};
  for (const cli::PluginSetting& plugin : settings.plugins) config.plugins.push_back(plugin.name);
  return config;
}

void put_in_force(const OperatorLists& lists, Enforcement& enforcement, std::uint64_t now_ns) {
  const auto require = [](const Enforcement::Answer& why, std::string_view verb, const std::string& what) {
    if (why.empty()) return;
    throw SetupError(ExitCode::runtime_failure, std::string(verb) + " " + what, why);
  };
  for (const auto& [source, seconds] : lists.blocked_for_s)
    require(enforcement.block(source, seconds, now_ns, true), "block", source.text());
  for (const auto& [flow, seconds] : lists.bypassed_for_s)
    require(enforcement.bypass(flow, seconds, now_ns), "bypass", flow.text());
}

}  // namespace engine
