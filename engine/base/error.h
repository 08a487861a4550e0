// The one header that every folder may include: how set-up fails.
//
// Set-up code throws SetupError and nothing else; the packet loop is noexcept and counts instead.
// main() prints what() as one line and exits with code().
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace engine {

// Exit codes are part of the command line's contract (see README, "Exit codes").
enum class ExitCode : int {
  done = 0,
  runtime_failure = 1,    // I/O failed, a file was cut off (after what came before was processed)
  bad_usage = 2,          // command, option, value, configuration, plugin or file is wrong or missing
  not_permitted = 3,      // a capability or memlock is missing
  machine_cannot = 4,     // interface, queues, foreign program, forced mode, kernel feature
  second_interrupt = 130
};

// One failed step of set-up, as one line: "<object>: <reason>; <remedy>".
//   object  what it happened to, with the verb where that helps: "bind queue 3 of eth0"
//   reason  why, in the kernel's words where there are any
//   remedy  what the user can do; may be empty
class SetupError : public std::runtime_error {
 public:
  SetupError(ExitCode code, std::string_view object, std::string_view reason, std::string_view remedy = {})
      : std::runtime_error(join(object, reason, remedy)), code_(code) {}

  ExitCode code() const noexcept { return code_; }

  // The machine lacks this way of doing it, and another one may do: where the way was left to us, the next is tried.
  SetupError or_another_way() && {
    another_way_ = true;
    return std::move(*this);
  }
  bool another_way_may_do() const noexcept { return another_way_; }

 private:
  static std::string join(std::string_view object, std::string_view reason, std::string_view remedy) {
    std::string line(object);
    line.append(": ").append(reason);
    if (!remedy.empty()) line.append("; ").append(remedy);
    return line;
  }

  ExitCode code_;
  bool another_way_ = false;
};

}  // namespace engine
