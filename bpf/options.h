// libbpf's option structures: zeroed, with their size, which is what its LIBBPF_OPTS does by extensions of GNU C that
// -Wpedantic refuses.
#pragma once

#include <cstring>

namespace bpf {

// Filled where it lies and never copied: libbpf refuses structures whose trailing padding is not zero
// (tools/lib/bpf/libbpf_internal.h: libbpf_validate_opts), and a copy need not carry padding.
template <typename Kind>
struct Options : Kind {
  Options() noexcept {
    std::memset(static_cast<void*>(static_cast<Kind*>(this)), 0, sizeof(Kind));
    this->sz = sizeof(Kind);
  }
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;
};

}  // namespace bpf
