#include "engine/enforce/enforcement.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/results/json.h"
#include "plugins/requests.h"

namespace engine {
namespace {

constexpr std::uint64_t kSecond_ns = 1'000'000'000;
constexpr std::uint32_t kEventsPerSecond = 100;
constexpr std::uint32_t kWarningsPerSecond = 1;
// Thousands that end at once must not keep the collector from the workers' queues: about a millisecond.
constexpr std::size_t kExpireAtOnce = 1024;

constexpr std::string_view kFull = "the list is full; what it holds stays until its time is over";

std::uint64_t end_of(double seconds, std::uint64_t now_ns) noexcept {
  if (seconds == Enforcement::kForGood_s) return TimedList<Source>::kForGood;
  return now_ns + static_cast<std::uint64_t>(seconds * 1e9);
}

double left(std::uint64_t until_ns, std::uint64_t now_ns) noexcept {
  if (until_ns == TimedList<Source>::kForGood) return Enforcement::kForGood_s;
  const std::uint64_t left_ms = until_ns > now_ns ? (until_ns - now_ns) / 1'000'000 : 0;
  return static_cast<double>(std::max<std::uint64_t>(left_ms, 1)) / 1000;  // 0 would be for good
}

}  // namespace

bool PerSecond::pass(std::uint64_t now_ns, std::uint64_t& held) noexcept {
  if (now_ns / kSecond_ns != second_) {
    second_ = now_ns / kSecond_ns;
    passed_ = 0;
  }
  if (passed_ == limit_) {
    ++held_;
    return false;
  }
  ++passed_;
  held = std::exchange(held_, 0);
  return true;
}

Enforcement::Enforcement(EnforcementConfig config)
    : config_(std::move(config)),
      blocked_(config_.blocked, config_.room, config_.permanent, std::move(config_.never)),
      bypassed_(config_.bypassed, config_.flow_room),
      rate_(config_.rate, kByOperator, config_.rate_in_force),
      events_(kEventsPerSecond),
      warnings_(kWarningsPerSecond) {
  config_.permanent = {};
}

void Enforcement::take(std::uint8_t plugin, std::uint8_t kind, std::span<const std::byte> request,
                       std::uint64_t now_ns) {
  const auto as = [&]<class Request>(Request message) {
    if (request.size() < sizeof message) return;
    std::memcpy(static_cast<void*>(&message), request.data(), sizeof message);
    take(plugin, message, now_ns);
  };
  if (kind == ENGINE_MESSAGE_BLOCK) as(engine_block{});
  if (kind == ENGINE_MESSAGE_BYPASS) as(engine_bypass{});
  if (kind == ENGINE_MESSAGE_RATE_LIMIT) as(engine_rate_limit{});
}

void Enforcement::take(std::uint8_t plugin, const engine_block& request, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const Source source = Source::of(request);
  const Answer why = try_block(source, plugin, request.seconds, now_ns);
  if (!why.empty()) warn(plugin, source.text() + " is not blocked: " + why, now_ns);
}

void Enforcement::take(std::uint8_t plugin, const engine_bypass& request, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const Flow flow = Flow::of(request);
  const Answer why = try_bypass(flow, plugin, request.seconds, now_ns);
  if (!why.empty()) warn(plugin, flow.text() + " is not bypassed: " + why, now_ns);
}

void Enforcement::take(std::uint8_t plugin, const engine_rate_limit& request, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const Answer why = try_limit(plugin, {request.max_pps, 0}, request.seconds, now_ns);
  if (!why.empty()) warn(plugin, "sources are not limited: " + why, now_ns);
}

Enforcement::Answer Enforcement::try_block(const Source& source, std::uint8_t by, double seconds, std::uint64_t now_ns,
                                           bool even_never) {
  using Outcome = BlockedSources::Outcome;
  const Outcome outcome = blocked_.block(source, by, end_of(seconds, now_ns), even_never);
  look_for_room();
  switch (outcome) {
    case Outcome::blocked:
      ++blocks_.blocked;
      tell("blocked", by, now_ns, source.text(), seconds);
      break;
    case Outcome::extended:
    case Outcome::permanent:
      ++blocks_.repeated;
      break;
    case Outcome::never:
      ++blocks_.refused_never;
      return "this machine, a gateway or --never-block lies in it";
    case Outcome::full:
      ++blocks_.refused_full;
      return Answer(kFull);
    case Outcome::failed:
      ++blocks_.failed;
      return std::strerror(blocked_.error());
  }
  return {};
}

Enforcement::Answer Enforcement::try_bypass(const Flow& flow, std::uint8_t by, double seconds, std::uint64_t now_ns) {
  using Outcome = BypassedFlows::Outcome;
  const Outcome outcome = bypassed_.bypass(flow, by, end_of(seconds, now_ns));
  look_for_room();
  switch (outcome) {
    case Outcome::bypassed:
      ++bypasses_.bypassed;
      tell("bypassed", by, now_ns, flow.text(), seconds);
      break;
    case Outcome::extended:
    case Outcome::permanent:
      ++bypasses_.repeated;
      break;
    case Outcome::full:
      ++bypasses_.refused_full;
      return Answer(kFull);
    case Outcome::failed:
      ++bypasses_.failed;
      return std::strerror(bypassed_.error());
  }
  return {};
}

Enforcement::Answer Enforcement::try_limit(std::uint8_t by, const RateWish& wish, double seconds,
                                           std::uint64_t now_ns) {
  const RateWish before = rate_.in_force();
  if (const int error = rate_.want(by, wish, end_of(seconds, now_ns)); error != 0) return std::strerror(error);
  // A plugin repeats its wish with every packet of a flood.
  if (rate_.in_force() != before) tell("rate_limit", by, now_ns, {}, seconds);
  return {};
}

Enforcement::Answer Enforcement::block(const Source& source, double seconds, std::uint64_t now_ns, bool even_never) {
  const std::lock_guard lock(mutex_);
  return try_block(source, kByOperator, seconds, now_ns, even_never);
}

Enforcement::Answer Enforcement::unblock(const Source& source, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const int error = blocked_.unblock(source);
  if (error != 0) return error == ENOENT ? "it is not in the list" : std::strerror(error);
  ++blocks_.unblocked;
  look_for_room();
  tell("unblocked", kByOperator, now_ns, source.text(), kForGood_s);
  return {};
}

Enforcement::Answer Enforcement::bypass(const Flow& flow, double seconds, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  return try_bypass(flow, kByOperator, seconds, now_ns);
}

Enforcement::Answer Enforcement::unbypass(const Flow& flow, FlowFigures& last, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const int error = bypassed_.unbypass(flow, last);
  if (error != 0) return error == ENOENT ? "it is not in the list" : std::strerror(error);
  end_bypass(flow, kByOperator, last, now_ns);
  look_for_room();
  return {};
}

Enforcement::Answer Enforcement::limit_rate(const RateWish& wish, double seconds, std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  return try_limit(kByOperator, wish, seconds, now_ns);
}

void Enforcement::expire(std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  blocked_.expire(now_ns, kExpireAtOnce, [&](const Source& source, std::uint8_t by) {
    ++blocks_.unblocked;
    tell("unblocked", by, now_ns, source.text(), kForGood_s);
  });
  bypassed_.expire(now_ns, kExpireAtOnce, [&](const Flow& flow, std::uint8_t by, const FlowFigures& last) {
    end_bypass(flow, by, last, now_ns);
  });
  rate_.expire(now_ns, [&](std::uint8_t by) { tell("rate_limit", by, now_ns, {}, kForGood_s); });
  look_for_room();
}

void Enforcement::end(std::uint64_t now_ns) {
  const std::lock_guard lock(mutex_);
  bypassed_.end(
      [&](const Flow& flow, std::uint8_t by, const FlowFigures& last) { end_bypass(flow, by, last, now_ns); });
}

void Enforcement::end_bypass(const Flow& flow, std::uint8_t by, const FlowFigures& last, std::uint64_t now_ns) {
  ++bypasses_.ended;
  bypasses_.packets += last.packets;
  bypasses_.bytes += last.bytes;
  tell("bypass_ended", by, now_ns, flow.text(), kForGood_s, &last);
}

RateWish Enforcement::rate_limit() const {
  const std::lock_guard lock(mutex_);
  return rate_.in_force();
}

std::size_t Enforcement::page_blocked(std::size_t cursor, std::size_t limit, std::uint64_t now_ns,
                                      const std::function<void(const Source&, double, std::string_view)>& visit) const {
  const std::lock_guard lock(mutex_);
  return blocked_.list().page(cursor, limit, [&](const Source& source, const auto& entry) {
    visit(source, left(entry.until_ns, now_ns), name_of(entry.by));
  });
}

std::size_t Enforcement::page_bypassed(
    std::size_t cursor, std::size_t limit, std::uint64_t now_ns,
    const std::function<void(const Flow&, double, std::string_view, const FlowFigures&)>& visit) const {
  const std::lock_guard lock(mutex_);
  return bypassed_.list().page(cursor, limit, [&](const Flow& flow, const auto& entry) {
    FlowFigures figures;
    bypassed_.read(flow, figures);  // gone from the kernel's list: zeros
    visit(flow, left(entry.until_ns, now_ns), name_of(entry.by), figures);
  });
}

Enforcement::Sizes Enforcement::sizes() const {
  const std::lock_guard lock(mutex_);
  return {blocked_.addresses(), blocked_.networks(), bypassed_.size()};
}

BlockLedger Enforcement::blocks() const {
  const std::lock_guard lock(mutex_);
  return blocks_;
}

BypassLedger Enforcement::bypasses() const {
  const std::lock_guard lock(mutex_);
  return bypasses_;
}

// relaxed: a worker that sees it late sends a request that is refused here.
void Enforcement::look_for_room() noexcept {
  const std::uint32_t full = (blocked_.has_room_for_addresses() ? 0 : plugins::Requests::kNoAddresses) |
                             (blocked_.has_room_for_networks() ? 0 : plugins::Requests::kNoNetworks) |
                             (bypassed_.has_room() ? 0 : plugins::Requests::kNoFlows);
  if (full != full_.load(std::memory_order_relaxed)) full_.store(full, std::memory_order_relaxed);
}

std::string_view Enforcement::name_of(std::uint8_t by) const noexcept {
  if (by == kByOperator) return "operator";
  return by < config_.plugins.size() ? std::string_view(config_.plugins[by]) : "engine";
}

void Enforcement::tell(std::string_view event, std::uint8_t by, std::uint64_t now_ns, std::string_view target,
                       double seconds, const FlowFigures* figures) {
  std::uint64_t held = 0;
  if (!events_.pass(now_ns, held)) return;
  std::string members;
  JsonWriter json(members);
  json.text(by == kByOperator ? "by" : "plugin", name_of(by));
  if (!target.empty()) json.text("target", target);
  if (target.empty()) json.unsigned_number("max_pps", rate_.in_force().max_pps);
  if (seconds != kForGood_s) json.real("for_s", seconds);
  if (figures != nullptr) {
    json.unsigned_number("packets", figures->packets);
    json.unsigned_number("bytes", figures->bytes);
  }
  if (held != 0) json.unsigned_number("not_told", held);
  config_.tell(event, members);
}

void Enforcement::warn(std::uint8_t plugin, const std::string& text, std::uint64_t now_ns) {
  std::uint64_t held = 0;
  if (config_.log == nullptr || !warnings_.pass(now_ns, held)) return;
  const std::string line = std::string(name_of(plugin)) + ": " + text;
  config_.log->warn(held == 0 ? line : line + " (and " + std::to_string(held) + " more)");
}

}  // namespace engine
