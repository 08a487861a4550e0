// What the kernel lets us do, and giving it up once it is no longer needed.
//
// Capabilities belong to threads, not to the process (capabilities(7)): drop_privileges() is called by the main thread
// after sockets, programs and promiscuous mode are set up and before it starts workers, which inherit what is left.
// Receiving, waking the kernel, map updates by descriptor and detaching all work without any capability since Linux
// 5.19 (kernel/bpf/syscall.c gates only loading and creating); the caller knows older kernels.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/capability.h>

namespace engine::cli {

struct MissingCapabilities {
  std::vector<std::string> required;  // AF_XDP does not work without
  std::vector<std::string> helpful;   // the ledger's redirect errors (PERFMON), packet memory beyond memlock (IPC_LOCK)
};

// Of the calling thread. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as in the kernel
// (include/linux/capability.h).
MissingCapabilities missing_capabilities();

// "CAP_NET_RAW, CAP_BPF": for messages of whoever met EPERM. Empty if none of `names` is missing.
std::string capability_list(std::span<const std::string> names);

// Throws SetupError(not_permitted) naming every missing capability and how to give it.
void require_capabilities(std::string_view object);

// Leaves the calling thread with `keep` at most, in all sets that an exec could draw on, and sets no_new_privs: what
// it starts cannot gain privileges either, not even as user root. Throws SetupError.
void drop_privileges(std::span<const cap_value_t> keep = {});

}  // namespace engine::cli
