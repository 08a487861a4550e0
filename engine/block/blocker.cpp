#include "engine/block/blocker.h"

#include <cstring>
#include <utility>

#include "engine/results/json.h"
#include "plugins/blocks.h"

namespace engine {
namespace {

constexpr std::uint64_t kSecond_ns = 1'000'000'000;
constexpr std::uint32_t kEventsPerSecond = 100;
constexpr std::uint32_t kWarningsPerSecond = 1;
// Thousands that end at once must not keep the collector from the workers' queues: about a millisecond.
constexpr std::size_t kExpireAtOnce = 1024;

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

Blocker::Blocker(BlockerConfig config)
    : config_(std::move(config)),
      blocks_(config_.kernel, config_.permanent, config_.never),
      events_(kEventsPerSecond),
      warnings_(kWarningsPerSecond) {}

void Blocker::take(std::uint8_t plugin, const engine_block& request, std::uint64_t now_ns) {
  const Source source = Source::of(request);
  using Outcome = TimedBlocks::Outcome;
  const auto refuse = [&](std::uint64_t& counter, std::string_view why) {
    ++counter;
    warn(std::string(name_of(plugin)) + ": " + source.text() + " is not blocked: " + std::string(why), now_ns);
  };
  switch (blocks_.block(source, plugin, request.seconds, now_ns)) {
    case Outcome::blocked:
      ++ledger_.blocked;
      tell("blocked", plugin, source, &request.seconds, now_ns);
      break;
    case Outcome::extended:
    case Outcome::permanent:
      ++ledger_.repeated;
      break;
    case Outcome::never:
      refuse(ledger_.refused_never, "this machine, a gateway or --never-block lies in it");
      break;
    case Outcome::full:
      refuse(ledger_.refused_full, "the list is full; what it holds stays until its time is over");
      break;
    case Outcome::failed:
      refuse(ledger_.failed, std::strerror(blocks_.error()));
      break;
  }
  look_for_room();
}

void Blocker::expire(std::uint64_t now_ns) {
  blocks_.expire(now_ns, kExpireAtOnce, [&](const Source& source, std::uint8_t plugin) {
    ++ledger_.unblocked;
    tell("unblocked", plugin, source, nullptr, now_ns);
  });
  look_for_room();
}

// relaxed: a worker that sees it late sends a request that is refused here.
void Blocker::look_for_room() noexcept {
  const std::uint32_t full = (blocks_.addresses() >= TimedBlocks::kMaxAddresses ? plugins::Blocks::kNoAddresses : 0) |
                             (blocks_.networks() >= TimedBlocks::kMaxNetworks ? plugins::Blocks::kNoNetworks : 0);
  if (full != full_.load(std::memory_order_relaxed)) full_.store(full, std::memory_order_relaxed);
}

std::string_view Blocker::name_of(std::uint8_t plugin) const noexcept {
  return plugin < config_.plugins.size() ? std::string_view(config_.plugins[plugin]) : "engine";
}

void Blocker::tell(std::string_view event, std::uint8_t plugin, const Source& source, const double* seconds,
                   std::uint64_t now_ns) {
  std::uint64_t held = 0;
  if (!events_.pass(now_ns, held)) return;
  std::string members;
  JsonWriter json(members);
  json.text("plugin", name_of(plugin));
  json.text("target", source.text());
  if (seconds != nullptr) json.real("for_s", *seconds);
  if (held != 0) json.unsigned_number("not_told", held);
  config_.tell(event, members);
}

void Blocker::warn(const std::string& text, std::uint64_t now_ns) {
  std::uint64_t held = 0;
  if (config_.log == nullptr || !warnings_.pass(now_ns, held)) return;
  config_.log->warn(held == 0 ? text : text + " (and " + std::to_string(held) + " more)");
}

TimedBlocks::Kernel kernel_list(std::vector<bpf::RootProgram*> programs) {
  // The first error, after all have been asked.
  const auto ask_all = [programs = std::move(programs)](const auto& ask) {
    int error = 0;
    for (bpf::RootProgram* program : programs) {
      const int result = ask(*program);
      if (error == 0) error = result;
    }
    return error;
  };
  return {.add =
              [ask_all](const Source& source) {
                return ask_all([&](bpf::RootProgram& program) {
                  return source.is_address() ? program.block(source.address()) : program.block(source.network());
                });
              },
          .remove =
              [ask_all](const Source& source) {
                return ask_all([&](bpf::RootProgram& program) {
                  return source.is_address() ? program.unblock(source.address()) : program.unblock(source.network());
                });
              }};
}

}  // namespace engine
