#include "engine/source/port_keeper.h"

#include <algorithm>
#include <cerrno>

#include "engine/clock.h"

namespace engine {
namespace {

constexpr std::uint64_t kMillisecond_ns = 1'000'000;
// What the kernel announces to nobody is looked for so often. Who takes our place by --replace waits a second for the
// queues that we hold.
constexpr std::uint64_t kLook_ns = 250 * kMillisecond_ns;
// Between attempts to take a port again; doubled up to the last. Some NICs reset their link at each.
constexpr std::uint64_t kFirstPause_ns = 100 * kMillisecond_ns;
constexpr std::uint64_t kLongestPause_ns = 1000 * kMillisecond_ns;

std::vector<xsk::Link> links_of(const Capture& capture) {
  std::vector<xsk::Link> links;
  for (const auto& port : capture.ports()) links.push_back(port->link());
  return links;
}

std::string member(const char* name, std::uint64_t value) {
  return std::string(",\"") + name + "\":" + std::to_string(value);
}

}  // namespace

PortKeeper::PortKeeper(KeeperConfig config, Capture& capture, RunControl& control, const cli::Log& log)
    : config_(std::move(config)), capture_(capture), control_(control), log_(log), monitor_(links_of(capture)) {
  for (const auto& port : capture.ports()) {
    Kept& kept = ports_.emplace_back();
    kept.port = port.get();
    if (config_.promiscuous) kept.promiscuous = cli::Promiscuous(port->link().name);
  }
}

std::uint64_t PortKeeper::due_ns() const noexcept {
  std::uint64_t due = look_ns_;
  for (std::size_t i = 0; i < ports_.size(); ++i)
    if (!ports_[i].taken && monitor_.state(i).usable()) due = std::min(due, ports_[i].retry_ns);
  return due;
}

bool PortKeeper::serve(std::uint64_t now_ns) {
  bool asked = now_ns >= look_ns_ || std::ranges::any_of(ports_, is_unbound);
  std::vector<LinkEvent> events = asked ? ask() : monitor_.take();
  const auto of_program = [](const LinkEvent& event) { return event.change == LinkChange::program; };
  if (!asked && std::ranges::any_of(events, of_program)) {
    const std::vector<LinkEvent> more = ask();
    events.insert(events.end(), more.begin(), more.end());
    asked = true;
  }
  for (const LinkEvent& event : events) take_note(event);
  if (asked) {
    look_ns_ = now_ns + kLook_ns;
    for (std::size_t link = 0; link < ports_.size(); ++link) judge(link);
  }

  for (std::size_t link = 0; link < ports_.size(); ++link) {
    Kept& kept = ports_[link];
    if (kept.taken && kept.lost) let_go(kept, now_ns);
    if (kept.taken) continue;
    if (!config_.may_retake) {
      log_.error("the run ends: --no-reload has given up the rights to capture " + kept.port->link().name + " again");
      return false;
    }
    if (monitor_.state(link).usable() && monotonic_ns() >= kept.retry_ns) retake(link);
  }
  return true;
}

// With what our programs are at that moment: others may exchange them (Capture::change_stages).
std::vector<LinkEvent> PortKeeper::ask() {
  const auto lock = capture_.hold_still();
  for (Kept& kept : ports_) kept.program = kept.port->program() != nullptr ? kept.port->program()->program_id() : 0;
  return monitor_.take(LinkMonitor::Ask::now);
}

void PortKeeper::take_note(const LinkEvent& event) {
  Kept& kept = ports_[event.link];
  switch (event.change) {
    case LinkChange::mtu:
      note_mtu(event);
      break;
    case LinkChange::queues:
      note_queues(event);
      break;
    case LinkChange::renamed:
      log_.info("interface " + event.before.name + " is called " + event.now.name + " now");
      capture_.rename(*kept.port, event.now.name);
      tell("interface_renamed", kept);
      break;
    case LinkChange::program:  // judge_programs()
      break;
    default:
      note_link(event);
      break;
  }
}

void PortKeeper::note_link(const LinkEvent& event) {
  Kept& kept = ports_[event.link];
  const std::string subject = "interface " + kept.port->link().name;
  switch (event.change) {
    case LinkChange::down:
      tell("link_down", kept, std::string(",\"cause\":\"") + (event.now.up ? "carrier" : "administrator") + '"');
      log_.warn(subject + " is down" + (event.now.up ? ": no carrier" : ""));
      break;
    case LinkChange::up:
      tell("link_up", kept);
      log_.warn(subject + " is up again");
      break;
    case LinkChange::returned:
      capture_.rename(*kept.port, event.now.name);
      tell("interface_returned", kept);
      log_.info(subject + " is back" + (event.now.usable() ? "" : "; its capture goes on when it is up"));
      kept.retry_ns = kept.pause_ns = 0;
      break;
    default: {
      const bool moved = event.change == LinkChange::moved;
      tell(moved ? "interface_moved" : "interface_removed", kept);
      log_.warn(subject + (moved ? " went to another network namespace" : " is gone") +
                (config_.may_retake ? "; its capture goes on when it is back" : ""));
      kept.lost = kept.lost || (kept.taken && event.before.ifindex == kept.port->link().ifindex);
      kept.last = event.before.counters;
      kept.foreign = 0;
      kept.displaced = false;
      break;
    }
  }
}

void PortKeeper::note_mtu(const LinkEvent& event) {
  Kept& kept = ports_[event.link];
  tell("mtu_changed", kept, member("mtu", event.now.mtu_bytes));
  log_.info("interface " + event.now.name + " has an MTU of " + std::to_string(event.now.mtu_bytes) + " now");
  fit(kept, event.now);
}

void PortKeeper::note_queues(const LinkEvent& event) {
  Kept& kept = ports_[event.link];
  tell("queues_changed", kept, member("queues", event.now.rx_queues));
  log_.info("interface " + event.now.name + " has " + std::to_string(event.now.rx_queues) + " queues now, and had " +
            std::to_string(event.before.rx_queues));
  fit(kept, event.now);
}

void PortKeeper::fit(Kept& kept, const LinkState& state) {
  if (kept.taken) kept.lost = kept.lost || !kept.port->fits(state.mtu_bytes, state.rx_queues);
}

// After a question, so that it is the present.
void PortKeeper::judge(std::size_t link) {
  Kept& kept = ports_[link];
  const unsigned ifindex = monitor_.state(link).ifindex;
  if (ifindex == 0) return;
  const bool ours_is_there = judge_programs(link);
  if (!kept.taken) return;
  // Also where no message told: after a move there and back its sockets are unbound.
  kept.lost = kept.lost || ifindex != kept.port->link().ifindex || is_unbound(kept);
  if (kept.lost || ours_is_there) return;
  tell("program_detached", kept, member("program", kept.program));
  log_.warn("our XDP program was taken off " + kept.port->link().name +
            (kept.foreign != 0 ? "; its capture goes on when the other program is gone" : ""));
  kept.lost = kept.displaced = true;
}

// Tells of other programs. True if the port has all that it needs of its own.
bool PortKeeper::judge_programs(std::size_t link) {
  Kept& kept = ports_[link];
  const std::uint32_t own = kept.program;
  std::uint32_t foreign = 0;
  bool there = own == 0;  // a tap has none
  for (const std::uint32_t id : monitor_.state(link).programs) {
    if (id != 0 && id == own) there = true;
    if (id != 0 && id != own) foreign = id;
  }
  if (foreign == kept.foreign) return there;
  if (foreign == 0) {
    tell("program_detached", kept, member("program", kept.foreign));
    kept.retry_ns = kept.pause_ns = 0;
  } else {
    tell("program_attached", kept, member("program", foreign));
    log_.warn("another XDP program, " + std::to_string(foreign) + ", was attached to " + kept.port->link().name +
              (own == 0 ? "; a tap sees only what it passes" : ""));
  }
  kept.foreign = foreign;
  return there;
}

bool PortKeeper::is_unbound(const Kept& kept) {
  return kept.taken && std::ranges::any_of(kept.port->lanes(), [](const auto& lane) {
           return lane->interface_state.load(std::memory_order_relaxed) == ENXIO;
         });
}

void PortKeeper::let_go(Kept& kept, std::uint64_t now_ns) {
  capture_.let_go(*kept.port, control_, kept.last);
  kept.promiscuous = {};
  kept.taken = kept.lost = false;
  kept.let_go_ns = now_ns;
  kept.retry_ns = kept.pause_ns = 0;
  kept.refusal.clear();
  if (std::ranges::none_of(ports_, &Kept::taken))
    log_.warn("no interface is captured at the moment; the run waits for one (Ctrl-C ends it)");
}

void PortKeeper::retake(std::size_t link) {
  Kept& kept = ports_[link];
  const std::string name = kept.port->link().name;
  try {
    if (kept.displaced && kept.foreign != 0)
      throw SetupError(ExitCode::machine_cannot, "capture " + name, "another XDP program has taken the place of ours");
    if (config_.promiscuous) kept.promiscuous = cli::Promiscuous(name);
    capture_.take(*kept.port, control_);
  } catch (const SetupError& error) {
    kept.promiscuous = {};
    if (kept.refusal != error.what()) log_.warn(std::string("not captured for now: ") + error.what());
    kept.refusal = error.what();
    kept.pause_ns = std::clamp(2 * kept.pause_ns, kFirstPause_ns, kLongestPause_ns);
    kept.retry_ns = monotonic_ns() + kept.pause_ns;
    return;
  }
  kept.taken = true;
  kept.displaced = false;
  const std::uint64_t away_ms = (monotonic_ns() - kept.let_go_ns) / kMillisecond_ns;
  tell("capture_resumed", kept, member("away_ms", away_ms));
  log_.info("the capture of " + name + " goes on, after " + std::to_string(away_ms) + " ms");
}

void PortKeeper::tell(std::string_view event, const Kept& kept, const std::string& members) {
  config_.tell(event, kept.port->link().name, members);
}

}  // namespace engine
