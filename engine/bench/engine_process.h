// The engine as users run it: a process of its own, of which its control socket says what it counted and /proc what it
// holds. Main thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/base/unique_fd.h"
#include "engine/bench/report.h"
#include "engine/bench/sampled_worker.h"

namespace engine::bench {

class EngineProcess {
 public:
  // What it counted of all its queues, so far.
  struct Counts {
    std::uint64_t analysed = 0;
    std::uint64_t bytes = 0;
    std::uint64_t lost = 0;  // by any cause but the filter and the lists
    std::uint64_t results_dropped = 0;
    std::uint64_t plugin_errors = 0;
    std::uint64_t unaccounted = 0;  // known once it has ended
  };

  // Starts one with these options, of which --control and --summary are ours, and waits until it captures. Results go
  // nowhere unless --output says where. Throws SetupError.
  explicit EngineProcess(std::span<char* const> options);
  ~EngineProcess();  // kills it if it is still there
  EngineProcess(const EngineProcess&) = delete;
  EngineProcess& operator=(const EngineProcess&) = delete;

  pid_t pid() const noexcept { return pid_; }
  Counts counts();        // throws SetupError if it has ended
  WorkerSample sample();  // the same as packets, and its CPU time; all packets are taken for ours
  InterfaceUsed used();   // its first interface
  Counts stop();          // as SIGINT does; its last word. Throws SetupError where that is a failure

 private:
  std::string ask(const std::string& line);
  std::optional<std::string> exchange(const std::string& line);
  UniqueFd connect();
  bool ends_within(int timeout_ms) noexcept;
  std::string how_it_ended() const;
  void clear() noexcept;

  std::string folder_;
  pid_t pid_ = -1;
  UniqueFd exit_;  // readable once it has ended
  bool has_ended_ = false;
  int status_ = 0;
  UniqueFd socket_;
};

}  // namespace engine::bench
