#include "engine/plugin_slot.h"

#include <numeric>
#include <utility>

#include "engine/base/error.h"
#include "engine/results/json.h"
#include "plugins/outbox.h"

namespace engine {
namespace {

// The time of what has not happened, before all others.
constexpr double kNever_ns = -1e18;

}  // namespace

PluginSlot::PluginSlot(Workshop& workshop, std::size_t plugin, const plugins::Seat& seat, bool lossless)
    : workshop_(workshop), plugin_(plugin), seat_(seat), lossless_(lossless) {
  deaths_ns_.fill(kNever_ns);
  std::iota(identity_.begin(), identity_.end(), std::uint16_t{0});
}

PluginSlot::~PluginSlot() { delete incoming_.load(std::memory_order_acquire); }

void PluginSlot::seat(std::unique_ptr<Prepared> prepared) {
  std::string problem;
  if (!prepared->state->take_seat(seat_, nullptr, problem))
    throw SetupError(ExitCode::bad_usage, "plugin " + prepared->state->name(), problem);
  current_ = std::move(prepared);
  current_->state->join(structures_);
  interval_ns_ = current_->state->interval_ns();
}

void PluginSlot::begin(const std::uint8_t* frames, std::uint64_t epoch_ns) noexcept {
  seat_.frames = frames;
  seat_.epoch_ns = epoch_ns;
  current_->state->set_frames(frames);
  current_->state->set_epoch(epoch_ns);
}

void PluginSlot::run(std::uint32_t count, double now_ns) noexcept {
  if (!ready(now_ns)) {
    past_.missed += count;
    return;
  }
  const std::uint32_t left = current_->state->run(count);
  if (current_->state->is_dead()) [[unlikely]] {
    bury(now_ns);
    return run(std::span(identity_).subspan(count - left, left), now_ns);
  }
  watch_errors(now_ns);
}

// A state that dies is followed by another for the packets behind the one it died of.
void PluginSlot::run(std::span<const std::uint16_t> index, double now_ns) noexcept {
  while (!index.empty()) {
    if (!ready(now_ns)) {
      past_.missed += index.size();
      return;
    }
    const std::uint32_t left = current_->state->run(index);
    if (!current_->state->is_dead()) break;
    bury(now_ns);
    index = index.last(left);
  }
  watch_errors(now_ns);
}

void PluginSlot::tick(double now_ns) noexcept {
  if (!ready(now_ns)) return;
  current_->state->tick(now_ns);
  if (current_->state->is_dead()) bury(now_ns);
  structures_.take_retired(now_ns);
}

void PluginSlot::stop() noexcept {
  if (!in_service_) return;
  current_->state->stop();
  if (!current_->state->is_dead()) return;
  ++past_.cutoffs;
  in_service_ = false;
}

void PluginSlot::collect_garbage_step() noexcept {
  if (in_service_) current_->state->collect_garbage_step();
}

void PluginSlot::offer(Prepared* fresh) noexcept {
  // release: the worker sees it whole; acquire: what it did not take in time is destroyed here.
  delete incoming_.exchange(fresh, std::memory_order_acq_rel);
}

// Whether the plugin is in service now: a reload came, a quarantine is over, a spare is there.
bool PluginSlot::look(double now_ns) noexcept {
  if (Prepared* fresh = incoming_.exchange(nullptr, std::memory_order_acquire)) {
    if (adopt(fresh, true)) {
      in_service_ = true;
      quarantined_ = false;
      window_ns_ = kNever_ns;                                // the errors were the old one's
    } else if (in_service_ && current_->state->is_dead()) {  // of its on_save
      bury(now_ns);
    }
  }
  if (in_service_) return true;
  if (quarantined_ && now_ns < back_at_ns_) return false;
  if (quarantined_) tell("plugin_retried", {});
  quarantined_ = false;
  window_ns_ = kNever_ns;
  if (!current_->state->is_dead()) return in_service_ = true;
  return revive(now_ns);
}

// Another state in the place of the dead one.
bool PluginSlot::revive(double now_ns) noexcept {
  Prepared* spare = workshop_.take_spare(plugin_);
  if (spare == nullptr && lossless_) spare = workshop_.wait_for_spare(plugin_);
  if (spare == nullptr) return false;
  if (adopt(spare, false)) {
    tell("plugin_restarted", {});
    return in_service_ = true;
  }
  quarantine(now_ns, "its on_start failed");
  return false;
}

// Seats it; with it the structures go on. Else it is put away, and the one before it stays.
bool PluginSlot::adopt(Prepared* fresh, bool reload) noexcept {
  std::string problem;
  plugins::State* before = reload && in_service_ ? current_->state.get() : nullptr;
  if (!fresh->state->take_seat(seat_, before, problem)) {
    tell(reload ? "plugin_reload_failed" : "plugin_restart_failed", problem);
    workshop_.put_away(fresh);
    return false;
  }
  fresh->state->join(structures_);
  const plugins::Statistics old = current_->state->statistics();
  past_.packets += old.packets;
  past_.errors += old.errors;
  past_.capture_refused += old.capture_refused;
  past_.actions_refused += old.actions_refused;
  workshop_.put_away(current_.release());
  current_.reset(fresh);
  version_.store(fresh->version, std::memory_order_relaxed);
  if (reload) {
    ++past_.reloads;
    tell("plugin_reloaded", {});
  }
  return true;
}

// The state is dead. It stays where it is until another takes its place: its figures count.
void PluginSlot::bury(double now_ns) noexcept {
  in_service_ = false;
  ++past_.cutoffs;
  tell("plugin_cut_off", current_->state->condition());
  deaths_ns_[deaths_++ % kDeathsToQuarantine] = now_ns;
  const double oldest_ns = deaths_ns_[deaths_ % kDeathsToQuarantine];
  if (now_ns - oldest_ns < static_cast<double>(kWindow_ns)) return quarantine(now_ns, "three cut-offs within a minute");
  revive(now_ns);
}

// Only above a share of the packets: hostile traffic must not be able to switch a plugin off.
void PluginSlot::watch_errors(double now_ns) noexcept {
  const plugins::Statistics now = current_->state->statistics();
  const std::uint64_t packets = past_.packets + now.packets, errors = past_.errors + now.errors;
  if (now_ns - window_ns_ >= static_cast<double>(kWindow_ns)) {
    window_ns_ = now_ns;
    window_packets_ = packets;
    window_errors_ = errors;
    return;
  }
  const std::uint64_t fresh_errors = errors - window_errors_;
  if (fresh_errors <= kErrorsToQuarantine || fresh_errors * 100 <= packets - window_packets_) return;
  quarantine(now_ns, "errors in more than one packet of a hundred");
}

void PluginSlot::quarantine(double now_ns, std::string_view why) noexcept {
  const double length_ns = static_cast<double>(kFirstQuarantine_ns << std::min(quarantines_, kLongestQuarantine));
  ++quarantines_;
  in_service_ = false;
  quarantined_ = true;
  back_at_ns_ = now_ns + length_ns;
  tell("plugin_quarantined",
       std::string(why) + "; left alone for " + std::to_string(static_cast<std::uint64_t>(length_ns * 1e-9)) + " s");
}

void PluginSlot::warn_slow(std::uint64_t took_ns, double now_ns) noexcept {
  if (now_ns - warned_ns_ < static_cast<double>(kWindow_ns) || current_->state->is_dead()) return;
  warned_ns_ = now_ns;
  current_->state->warn("a batch took " + std::to_string(took_ns / 1'000'000) + " ms; its deadline is " +
                        std::to_string(current_->state->spec().deadline_ns / 1'000'000) + " ms of processor time");
}

PluginSlot::Figures PluginSlot::figures() const noexcept {
  Figures all = past_;
  const plugins::Statistics now = current_->state->statistics();
  all.packets += now.packets;
  all.errors += now.errors;
  all.capture_refused += now.capture_refused;
  all.actions_refused += now.actions_refused;
  all.memory_bytes = now.memory_bytes;
  all.condition = quarantined_ ? "quarantined" : current_->state->condition();
  return all;
}

// An event's line, as far as there is room.
void PluginSlot::tell(std::string_view event, std::string_view detail) noexcept {
  std::string members;
  JsonWriter json(members);
  json.text("plugin", current_->state->name());
  json.unsigned_number("worker", seat_.worker);
  if (!detail.empty()) json.text("reason", detail);
  const engine_packet& now = seat_.packets[0];
  const auto name_bytes = static_cast<std::uint16_t>(event.size());
  plugins::append_message(*seat_.outbox,
                          {0, ENGINE_MESSAGE_EVENT, static_cast<std::uint8_t>(plugin_), 0, now.time, now._place},
                          {plugins::bytes_of(name_bytes), event, members});
}

}  // namespace engine
