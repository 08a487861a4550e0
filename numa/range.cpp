#include "numa/range.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include "engine/base/error.h"

namespace numa {
namespace {

constexpr int kReserved = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

}  // namespace

AddressPart::~AddressPart() {
  if (range_ != nullptr) range_->give_back(bytes_);
}

AddressRange::AddressRange(std::size_t bytes) : mapping_bytes_(bytes + kUnit_bytes), taken_(bytes / kUnit_bytes) {
  mapping_ = ::mmap(nullptr, mapping_bytes_, PROT_NONE, kReserved, -1, 0);
  if (mapping_ == MAP_FAILED)
    throw engine::SetupError(engine::ExitCode::machine_cannot, "reserve addresses for packet memory",
                             std::generic_category().message(errno), "see ulimit -v");
  const auto address = reinterpret_cast<std::uintptr_t>(mapping_);
  base_ = static_cast<std::byte*>(mapping_) + ((kUnit_bytes - address % kUnit_bytes) % kUnit_bytes);
}

AddressRange::~AddressRange() { ::munmap(mapping_, mapping_bytes_); }

AddressPart AddressRange::take(std::size_t bytes) {
  const std::size_t units = (bytes + kUnit_bytes - 1) / kUnit_bytes;
  const auto none = static_cast<std::ptrdiff_t>(units);
  const auto found = std::search_n(taken_.begin(), taken_.end(), none, false);
  if (units == 0 || found == taken_.end())
    throw engine::SetupError(engine::ExitCode::bad_usage, "packet memory of one worker",
                             "its queues need more than " + std::to_string(taken_.size() * kUnit_bytes >> 30) + " GiB",
                             "use more workers (--workers N) or smaller rings (--rx-ring, --frames)");
  std::fill_n(found, none, true);
  const auto first = static_cast<std::size_t>(found - taken_.begin());
  return {*this, {base_ + first * kUnit_bytes, units * kUnit_bytes}};
}

void AddressRange::give_back(std::span<std::byte> part) noexcept {
  // Over what is there, in one step: nobody else's mapping may slip in between. It can't fail but for want of kernel
  // memory; then the old content stays and is overwritten by the next who takes it.
  ::mmap(part.data(), part.size(), PROT_NONE, kReserved | MAP_FIXED, -1, 0);
  const auto first = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(part.data() - base_) / kUnit_bytes);
  std::fill_n(taken_.begin() + first, static_cast<std::ptrdiff_t>(part.size() / kUnit_bytes), false);
}

}  // namespace numa
