#include "engine/cli/privileges.h"

#include <sys/prctl.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "engine/base/error.h"

namespace engine::cli {
namespace {

struct FreeCapabilities {
  void operator()(_cap_struct* sets) const noexcept { cap_free(sets); }
};
using Capabilities = std::unique_ptr<_cap_struct, FreeCapabilities>;

[[noreturn]] void fail(std::string_view object) {
  throw SetupError(ExitCode::runtime_failure, object, std::strerror(errno));
}

bool is_effective(const Capabilities& sets, cap_value_t capability) {
  cap_flag_value_t value = CAP_CLEAR;
  return cap_get_flag(sets.get(), capability, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET;
}

}  // namespace

MissingCapabilities missing_capabilities() {
  const Capabilities sets(cap_get_proc());
  if (!sets) fail("read capabilities");
  const bool admin = is_effective(sets, CAP_SYS_ADMIN);
  MissingCapabilities missing;
  if (!is_effective(sets, CAP_NET_RAW)) missing.required.emplace_back("CAP_NET_RAW");
  if (!is_effective(sets, CAP_NET_ADMIN)) missing.required.emplace_back("CAP_NET_ADMIN");
  if (!is_effective(sets, CAP_BPF) && !admin) missing.required.emplace_back("CAP_BPF");
  if (!is_effective(sets, CAP_PERFMON) && !admin) missing.helpful.emplace_back("CAP_PERFMON");
  if (!is_effective(sets, CAP_IPC_LOCK)) missing.helpful.emplace_back("CAP_IPC_LOCK");
  return missing;
}

std::string capability_list(std::span<const std::string> names) {
  std::string list;
  for (const std::string& name : names) list.append(list.empty() ? "" : ", ").append(name);
  return list;
}

void require_capabilities(std::string_view object) {
  MissingCapabilities missing = missing_capabilities();
  if (missing.required.empty()) return;
  // Whoever is to be given some should be told of the others at once.
  std::string reason = "not permitted without " + capability_list(missing.required);
  if (!missing.helpful.empty())
    reason.append(" (also missing, but optional: ").append(capability_list(missing.helpful)).append(")");
  throw SetupError(ExitCode::not_permitted, object, reason,
                   "run as root, or give the program its capabilities: "
                   "setcap cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon,cap_ipc_lock+ep ENGINE");
}

void drop_privileges(std::span<const cap_value_t> keep) {
  // Ambient capabilities would survive into the permitted set of a plain exec; clearing inheritable clears them too,
  // but an old kernel without ambient ones (before 4.3) answers EINVAL, which is as good.
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("set no_new_privs");
  const Capabilities now(cap_get_proc());
  const Capabilities wanted(cap_init());
  if (!now || !wanted) fail("read capabilities");
  for (const cap_value_t capability : keep) {
    if (!is_effective(now, capability)) continue;  // what we do not have cannot be kept
    if (cap_set_flag(wanted.get(), CAP_PERMITTED, 1, &capability, CAP_SET) != 0 ||
        cap_set_flag(wanted.get(), CAP_EFFECTIVE, 1, &capability, CAP_SET) != 0) {
      fail("keep a capability");
    }
  }
  if (cap_set_proc(wanted.get()) != 0) fail("drop capabilities");
}

}  // namespace engine::cli
