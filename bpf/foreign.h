// Programs on an interface that are not ours: how they are named in a refusal, and how `--replace` removes one.
#pragma once

#include <cstdint>
#include <string>

namespace bpf {

// "program 17", or "program 17 (xdp_dispatcher)" where the name can be read (needs CAP_SYS_ADMIN).
std::string describe_program(std::uint32_t program_id);

// Detaches it. One attached by netlink goes only if it is still the one that was seen; one held by a bpf_link is
// detached through its link (needs CAP_SYS_ADMIN). Throws SetupError if the kernel does not allow it.
void remove_foreign(unsigned ifindex, const std::string& ifname, std::uint32_t program_id);

}  // namespace bpf
