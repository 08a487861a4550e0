// How a refusal of bpf(2) becomes one line for the user: missing capabilities by name, the verifier's last word.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace bpf {

// The last line of a verifier's log that says something; its closing statistics do not. Empty for an empty log.
std::string last_log_line(std::string_view log);

// An error for `object` from an errno value. EPERM and EACCES without a verifier's log: not_permitted, with those of
// CAP_BPF, CAP_NET_ADMIN (and `also`, such as "cap_perfmon") that the calling thread lacks. Else machine_cannot.
engine::SetupError kernel_error(std::string_view object, int error, std::string_view log = {},
                                std::string_view remedy = {}, const char* also = nullptr);

// Keeps libbpf from writing to stderr while it lives: what matters is in the error we throw. The callback is the
// process's, so this is for set-up, where one thread runs.
class QuietLibbpf {
 public:
  QuietLibbpf() noexcept;
  ~QuietLibbpf();
  QuietLibbpf(const QuietLibbpf&) = delete;
  QuietLibbpf& operator=(const QuietLibbpf&) = delete;

 private:
  void* previous_;
};

}  // namespace bpf
