#include "bpf/kernel_error.h"

#include <bpf/libbpf.h>
#include <sys/capability.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace bpf {
namespace {

bool has_capability(const char* name) {
  cap_value_t value;
  if (cap_from_name(name, &value) != 0) return true;  // unknown to libcap: no ground to call it missing
  cap_t caps = cap_get_proc();
  if (caps == nullptr) return true;
  cap_flag_value_t flag = CAP_CLEAR;
  cap_get_flag(caps, value, CAP_EFFECTIVE, &flag);
  cap_free(caps);
  return flag == CAP_SET;
}

// CAP_SYS_ADMIN implies CAP_BPF and CAP_PERFMON, not CAP_NET_ADMIN (include/linux/capability.h: bpf_capable).
std::string missing_capabilities(const char* also) {
  std::vector<std::string> wanted = {"cap_bpf", "cap_net_admin"};
  if (also != nullptr) wanted.emplace_back(also);
  const bool sys_admin = has_capability("cap_sys_admin");
  std::string missing;
  for (std::string& name : wanted) {
    if (has_capability(name.c_str()) || (sys_admin && name != "cap_net_admin")) continue;
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    missing.append(missing.empty() ? "" : ", ").append(name);
  }
  return missing;
}

}  // namespace

std::string last_log_line(std::string_view log) {
  while (!log.empty()) {
    const std::size_t end = log.find_last_not_of(std::string_view("\n\0", 2));
    if (end == std::string_view::npos) return {};
    log = log.substr(0, end + 1);
    const std::size_t newline = log.rfind('\n');
    const std::string_view line = newline == std::string_view::npos ? log : log.substr(newline + 1);
    // kernel/bpf/verifier.c: print_verification_stats
    const bool statistics = line.starts_with("processed ") || line.starts_with("verification time") ||
                            line.starts_with("stack depth") || line.starts_with("mark_precise");
    if (!statistics) return std::string(line);
    if (newline == std::string_view::npos) return {};
    log = log.substr(0, newline);
  }
  return {};
}

engine::SetupError kernel_error(std::string_view object, int error, std::string_view log, std::string_view remedy,
                                const char* also) {
  std::string reason = std::strerror(error);
  const std::string word = last_log_line(log);
  if (!word.empty()) reason.append(" (verifier: ").append(word).append(")");
  if ((error != EPERM && error != EACCES) || !word.empty())
    return {engine::ExitCode::machine_cannot, object, reason, remedy};
  const std::string missing = missing_capabilities(also);
  if (missing.empty()) return {engine::ExitCode::not_permitted, object, reason, remedy};
  return {engine::ExitCode::not_permitted, object, reason + ", missing " + missing,
          "run as root or give the process these capabilities"};
}

QuietLibbpf::QuietLibbpf() noexcept
    : previous_(reinterpret_cast<void*>(libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; }))) {
}

QuietLibbpf::~QuietLibbpf() { libbpf_set_print(reinterpret_cast<libbpf_print_fn_t>(previous_)); }

}  // namespace bpf
