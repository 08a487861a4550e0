// What a state tells the collector beside its results: errors, logs, its end; and what is left of a message that was
// being written when it died. Worker's thread, within a crossing's loan of the outbox.
#include <algorithm>
#include <cstring>
#include <ctime>

#include "plugins/impl.h"
#include "plugins/outbox.h"

namespace plugins {
namespace {

constexpr std::uint64_t kFirstMessages = 10;
constexpr std::size_t kLongestText_bytes = 1024;  // of an error or a log message

std::uint64_t monotonic_seconds() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::uint64_t>(now.tv_sec);
}

}  // namespace

bool RateLimit::pass(std::uint64_t& suppressed) noexcept {
  const std::uint64_t now = monotonic_seconds();
  if (passed_ >= kFirstMessages && now == second_) {
    ++held_;
    return false;
  }
  ++passed_;
  second_ = now;
  suppressed = held_;
  held_ = 0;
  return true;
}

// A record or an emit that was being written is the last in the outbox, its head is whole. If it was complete, it is
// counted as dropped nevertheless. Lua may have been stopped between two stores, so the messages are counted anew.
void State::Impl::drop_half_message() noexcept {
  engine_message head{};
  std::uint32_t last = outbox->used;
  outbox->emitted = emitted_at_entry;
  for (std::uint32_t at = outbox_at_entry; at < outbox->used; at += head.length) {
    std::memcpy(&head, outbox->data + at, sizeof head);
    last = at;
    if (head.kind == ENGINE_MESSAGE_RECORD || head.kind == ENGINE_MESSAGE_JSON) ++outbox->emitted;
  }
  if (head.kind != ENGINE_MESSAGE_RECORD && head.kind != ENGINE_MESSAGE_JSON) return;
  outbox->used = last;
  --outbox->emitted;
  ++outbox->dropped;
}

std::string State::Impl::death_text() const {
  if (death == Death::deadline) {
    return std::string(entered) + " ran longer than its deadline of " +
           std::to_string(deadline_at_entry_ns / 1'000'000) + " ms; cut off";
  }
  return "needs more memory than its cap of " + std::to_string(spec.memory_bytes >> 20) + " MiB; taken out of service";
}

void State::Impl::tell_death() noexcept {
  if (!death_told) death_told = append(ENGINE_MESSAGE_ERROR, -1, death_text());
}

// What a failed call left on top of the stack, which stays there; as much of it as is told.
std::string State::Impl::error_text() const {
  const char* text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : nullptr;
  return text != nullptr ? std::string(text, strnlen(text, kLongestText_bytes))
                         : std::string("an error that is a ") + luaL_typename(L, -1);
}

// Takes the error off the stack.
void State::Impl::report_error() noexcept {
  ++stats.errors;
  std::uint64_t suppressed = 0;
  if (!dry && error_limit.pass(suppressed)) {
    std::string message = error_text();
    if (message.find(".lua:") == std::string::npos && message.rfind("eval:", 0) != 0) message = placed(message);
    if (suppressed != 0) message += " (and " + std::to_string(suppressed) + " more errors)";
    append(ENGINE_MESSAGE_ERROR, -1, message);
  }
  lua_pop(L, 1);
}

// A message with text, behind a level if there is one. False, uncounted, if there is no room.
bool State::Impl::append(std::uint8_t kind, int level, std::string_view text) noexcept {
  const engine_packet& packet = bound.packets[shared.cell.next];
  const auto level_byte = static_cast<std::uint8_t>(level);
  return append_message(*outbox, {0, kind, bound.plugin_index, 0, packet.time, packet._place},
                        {level >= 0 ? bytes_of(level_byte) : std::string_view(), text.substr(0, kLongestText_bytes)});
}

void State::Impl::log(int level, std::string_view text) noexcept {
  std::uint64_t suppressed = 0;
  if (dry || !log_limit.pass(suppressed)) return;
  std::string message(text.substr(0, kLongestText_bytes));
  // The collector takes zeros for padding.
  std::replace(message.begin(), message.end(), '\0', ' ');
  if (suppressed != 0) message += " (and " + std::to_string(suppressed) + " more messages)";
  if (loading) {
    pending_logs.emplace_back(level, std::move(message));
  } else {
    append(ENGINE_MESSAGE_LOG, level, message);
  }
}

void State::Impl::flush_pending() noexcept {
  for (const auto& [level, text] : pending_logs) append(ENGINE_MESSAGE_LOG, level, text);
  pending_logs.clear();
}

void State::Impl::warn(std::string_view text) noexcept {
  const Loan loan(*this);
  log(1, text);
}

}  // namespace plugins
