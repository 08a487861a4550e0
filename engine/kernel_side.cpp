#include "engine/kernel_side.h"

#include <algorithm>
#include <utility>

#include "bpf/block_list.h"
#include "engine/base/error.h"
#include "engine/cli/filter_file.h"
#include "engine/cli/protect.h"
#include "engine/clock.h"
#include "engine/enforce/kernel_lists.h"
#include "engine/enforce/own_addresses.h"
#include "engine/results/json.h"

namespace engine {
namespace {

// A flood goes on until the collector has seen that its source is to be blocked.
constexpr int kRequestPause_ms = 4;

std::vector<bpf::RootProgram*> programs_of(const Capture& capture) {
  std::vector<bpf::RootProgram*> programs;
  for (const auto& port : capture.ports())
    if (port->program() != nullptr) programs.push_back(port->program());
  return programs;
}

std::vector<Source> never_blocked(const cli::Settings& settings) {
  std::vector<Source> never = own_addresses();
  if (settings.never_block_path.empty()) return never;
  const std::vector<Source> listed = sources_of(bpf::read_block_file(settings.never_block_path));
  never.insert(never.end(), listed.begin(), listed.end());
  return never;
}

}  // namespace

KernelSide::KernelSide(const cli::Settings& settings, const cli::Log& log, const PluginSet& plugins)
    : settings_(settings),
      log_(log),
      listed_(read_operator_lists(settings)),
      stages_(plugins.uses() | stages_of(settings, listed_)),
      filter_(cli::filter_text(settings), plugins.filters(),
              settings.write_path.empty() || settings.capture_only ? KernelFilter::Plugins::decide
                                                                   : KernelFilter::Plugins::all_is_wanted) {}

void KernelSide::add_stages_to(bpf::RootConfig& config) const {
  add_stages(settings_, stages_.load(std::memory_order_relaxed), listed_, config);
}

CaptureRequest KernelSide::request() {
  CaptureRequest request;
  request.filter = filter_.expression();
  // There may be one later: then its stage is in from the start, and lets everything through.
  if (!request.filter && !settings_.control_path.empty()) request.filter.emplace();
  request.add_stages = [this](bpf::RootConfig& config) { add_stages_to(config); };
  return request;
}

void KernelSide::begin(Capture& capture, Tell tell) {
  capture_ = &capture;
  tell_ = std::move(tell);
  filter_.begin(capture);
  const std::vector<bpf::RootProgram*> programs = programs_of(capture);
  // Plugins that ask for nothing may do so after a reload.
  if (programs.empty() || (stages_ == 0 && settings_.plugins.empty())) return;
  EnforcementConfig config = enforcement_config(settings_, listed_);
  config.blocked = kernel_block_lists(programs);
  config.bypassed = kernel_bypass_lists(programs);
  config.rate = kernel_rate_limits(programs);
  config.never = never_blocked(settings_);
  config.tell = tell_;
  config.log = &log_;
  lists_.emplace(std::move(config));
  put_in_force(listed_, *lists_, monotonic_ns());
}

plugins::Requests* KernelSide::requests() {
  if (!lists_) return nullptr;
  requests_.push_back(std::make_unique<plugins::Requests>(lists_->full()));
  return requests_.back().get();
}

void KernelSide::set_up(CollectorConfig& collector) {
  if (!lists_) return;
  // A reload may bring the first plugin that asks.
  collector.longest_pause_ms = [this] {
    return stages_.load(std::memory_order_relaxed) != 0 ? kRequestPause_ms : kLongestPause_ms;
  };
  collector.request = [this](std::uint8_t plugin, std::uint8_t kind, std::span<const std::byte> request) {
    lists_->take(plugin, kind, request, monotonic_ns());
  };
  collector.each_round = [this] { lists_->expire(monotonic_ns()); };
}

// Without a filter AF_XDP takes everything, which a protected interface's operator must have said (--take-all).
std::string KernelSide::why_not_without_filter() const {
  if (settings_.take_all) return {};
  for (const auto& port : capture_->ports()) {
    if (port->program() == nullptr) continue;
    if (const auto why = cli::why_protected(port->link().name))
      return "interface " + port->link().name + " " + *why +
             ", and without a filter AF_XDP would take its packets away from this machine; give a filter";
  }
  return {};
}

std::string KernelSide::set_filter(const std::string& text) {
  if (settings_.no_reload) return "the right to load a filter was given up; start without --no-reload";
  if (text == filter_.operator_text()) return {};
  try {
    if (text.empty())
      if (const std::string why = why_not_without_filter(); !why.empty()) return why;
    filter_.set_operator_text(text);
  } catch (const SetupError& error) {
    return error.what();
  }
  log_.info(text.empty() ? "no filter from here on" : "filter from here on: " + text);
  std::string members;
  JsonWriter(members).text("filter", text);
  tell_("filter_changed", members);
  return {};
}

void KernelSide::reload_filter() {
  std::string why;
  try {
    const bool read_again = !settings_.command_line.empty();
    why = set_filter(cli::filter_text(read_again ? cli::parse_command_line(settings_.command_line) : settings_));
  } catch (const SetupError& error) {
    why = error.what();
  }
  if (why.empty()) return;
  log_.error("the filter stays as it is: " + why);
  std::string members;
  JsonWriter(members).text("reason", why);
  tell_("filter_reload_failed", members);
}

void KernelSide::set_plugin_filters(std::size_t plugin, const std::vector<std::string>& texts) {
  const std::optional<bpf::FilterExpression> before = filter_.expression();
  filter_.set_plugin_texts(plugin, texts);
  if (filter_.expression() == before) return;
  // Widened before the workers have the new plugin, narrowed once all of them have it: told each time.
  std::string members;
  JsonWriter(members).text("filter", filter_.expression().value_or(bpf::FilterExpression()).text());
  tell_("kernel_filter_changed", members);
}

void KernelSide::require_stages(std::uint32_t uses) {
  const std::uint32_t before = stages_.load(std::memory_order_relaxed);
  if ((uses & ~before) == 0 || !lists_) return;
  if (settings_.no_reload)
    throw SetupError(ExitCode::not_permitted, "what it uses needs another program in the kernel",
                     "the right to load one was given up", "start without --no-reload");
  stages_.store(before | uses, std::memory_order_relaxed);
  try {
    filter_.change_stages();
  } catch (const SetupError&) {
    stages_.store(before, std::memory_order_relaxed);
    throw;
  }
}

void KernelSide::end(std::uint64_t now_ns) {
  if (lists_) lists_->end(now_ns);
}

void KernelSide::add_ledger(RunLedger& run) const {
  if (!lists_) return;
  run.blocks = lists_->blocks();
  run.bypasses = lists_->bypasses();
}

}  // namespace engine
