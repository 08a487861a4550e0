// Keeps ports captured as far as their interfaces allow, and tells what happens to these.
//
//   link down and up        nothing is lost: the sockets stay and go on
//   removed, moved away     the port is let go; once an interface of the name is back and up, it is taken again
//   a larger MTU, queues    taken again if frames would not fit or not be seen
//   our program is gone     taken again, unless somebody else's is in its place: then when that is gone
//
// What has happened is told in order; what is to be done follows from how things are, as the kernel says when asked:
// messages of the past (also of what was done here) may still be on their way. Main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/capture.h"
#include "engine/cli/log.h"
#include "engine/cli/promiscuous.h"
#include "engine/source/link_monitor.h"

namespace engine {

struct KeeperConfig {
  bool promiscuous = false;
  bool may_retake = true;  // what a return needs of rights is still there
  // An event for the output, with more members as JSON text behind the interface's name.
  std::function<void(std::string_view event, const std::string& interface, const std::string& members)> tell;
};

class PortKeeper {
 public:
  // The ports are open. Capture, control and log outlive it. Throws SetupError.
  PortKeeper(KeeperConfig config, Capture& capture, RunControl& control, const cli::Log& log);

  int fd() const noexcept { return monitor_.fd(); }  // readable: serve() has something to do
  std::uint64_t due_ns() const noexcept;             // when it has without that

  // While the workers run. False: a port is lost and must not be retaken.
  bool serve(std::uint64_t now_ns);

 private:
  struct Kept {
    Port* port = nullptr;
    bool taken = true;
    bool lost = false;       // its interface is not the one any more that it was opened on
    bool displaced = false;  // our program was taken off it
    std::uint64_t let_go_ns = 0;
    std::uint64_t retry_ns = 0;
    std::uint64_t pause_ns = 0;
    std::string refusal;        // as said last
    std::uint32_t program = 0;  // ours; 0: it has none
    std::uint32_t foreign = 0;
    xsk::DeviceCounters last;
    cli::Promiscuous promiscuous;
  };

  std::vector<LinkEvent> ask();
  void take_note(const LinkEvent& event);
  void note_link(const LinkEvent& event);
  void note_mtu(const LinkEvent& event);
  void note_queues(const LinkEvent& event);
  void fit(Kept& kept, const LinkState& state);
  void judge(std::size_t link);
  bool judge_programs(std::size_t link);
  static bool is_unbound(const Kept& kept);
  void let_go(Kept& kept, std::uint64_t now_ns);
  void retake(std::size_t link);
  void tell(std::string_view event, const Kept& kept, const std::string& members = {});

  KeeperConfig config_;
  Capture& capture_;
  RunControl& control_;
  const cli::Log& log_;
  LinkMonitor monitor_;
  std::vector<Kept> ports_;  // parallel to the capture's and to what is monitored
  std::uint64_t look_ns_ = 0;
};

}  // namespace engine
