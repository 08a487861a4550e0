#include "numa/memory.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include "engine/base/error.h"
#include "numa/huge_pages.h"

namespace numa {
namespace {

using engine::ExitCode;
using engine::SetupError;

std::string mebibytes(std::size_t bytes) { return std::to_string((bytes + (1U << 20) - 1) >> 20) + " MiB"; }

}  // namespace

NodeMemory::NodeMemory(std::size_t size_bytes, unsigned node, Populate populate, Pages pages) : node_(node) {
  allocate(size_bytes, nullptr, populate, pages);
}

NodeMemory::NodeMemory(AddressPart place, std::size_t size_bytes, unsigned node, Populate populate, Pages pages)
    : place_(std::move(place)), node_(node) {
  allocate(size_bytes, place_.bytes().data(), populate, pages);
}

void NodeMemory::allocate(std::size_t size_bytes, void* place, Populate populate, Pages pages) {
  const std::string object = "packet memory of " + mebibytes(size_bytes) + " on node " + std::to_string(node_);
  if (size_bytes == 0 || size_bytes > SIZE_MAX - huge_page_bytes)
    throw SetupError(ExitCode::machine_cannot, object, "the size is out of range");
  if (pages != Pages::normal && try_huge(size_bytes, place)) return;
  if (pages == Pages::huge)
    throw SetupError(ExitCode::machine_cannot, object, why_normal_pages_,
                     reserve_command(node_, size_bytes) + ", or use --hugepages auto");
  page_bytes_ = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  size_bytes_ = (size_bytes + page_bytes_ - 1) / page_bytes_ * page_bytes_;

  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (place != nullptr ? MAP_FIXED : 0);
  void* mapped = ::mmap(place, size_bytes_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapped == MAP_FAILED)
    throw SetupError(ExitCode::machine_cannot, object, std::generic_category().message(errno), "use fewer queues");

  // From here on the destructor does not run if we throw: the mapping must not outlive the failure.
  const auto fail = [&](int error) {
    if (place == nullptr) ::munmap(mapped, size_bytes_);
    throw SetupError(ExitCode::machine_cannot, object, std::generic_category().message(error));
  };
  // ENOSYS: a kernel without NUMA. EPERM: a container's seccomp filter; the kernel's own choice is then the node of the
  // thread that touches the memory first.
  const int bound = prefer_node(mapped, size_bytes_, node_);
  if (bound != 0 && bound != ENOSYS && bound != EPERM) fail(bound);
  // Not MAP_POPULATE: pages must not be there before they are bound. MADV_POPULATE_WRITE came with Linux 5.14 and
  // reports what a plain touch would turn into SIGBUS or the out-of-memory killer.
  if (populate == Populate::now && ::madvise(mapped, size_bytes_, MADV_POPULATE_WRITE) != 0) {
    if (errno != EINVAL) fail(errno);
    auto* bytes = static_cast<volatile std::byte*>(mapped);
    for (std::size_t at = 0; at < size_bytes_; at += page_bytes_) bytes[at] = std::byte{0};
  }
  data_ = static_cast<std::byte*>(mapped);
}

bool NodeMemory::try_huge(std::size_t size_bytes, void* place) {
  const std::size_t rounded = (size_bytes + huge_page_bytes - 1) / huge_page_bytes * huge_page_bytes;
  HugeMapping made = map_huge_pages(place, rounded, node_);
  why_normal_pages_ = std::move(made.refusal);
  if (made.data == nullptr) return false;
  data_ = made.data;
  size_bytes_ = rounded;
  page_bytes_ = huge_page_bytes;
  return true;
}

NodeMemory::NodeMemory(NodeMemory&& other) noexcept
    : place_(std::move(other.place_)),
      data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)),
      page_bytes_(other.page_bytes_),
      why_normal_pages_(std::move(other.why_normal_pages_)),
      node_(other.node_) {}

NodeMemory& NodeMemory::operator=(NodeMemory&& other) noexcept {
  std::swap(place_, other.place_);
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(page_bytes_, other.page_bytes_);
  std::swap(why_normal_pages_, other.why_normal_pages_);
  std::swap(node_, other.node_);
  return *this;
}

NodeMemory::~NodeMemory() {
  if (data_ != nullptr && place_.bytes().empty()) ::munmap(data_, size_bytes_);
}

void pin_this_thread(unsigned cpu) {
  const std::string object = "bind a thread to cpu " + std::to_string(cpu);
  if (cpu >= CPU_SETSIZE) throw SetupError(ExitCode::machine_cannot, object, "the number is out of range");
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof one, &one);
  if (error != 0)
    throw SetupError(ExitCode::machine_cannot, object, std::generic_category().message(error),
                     "choose an online cpu with --cpus");
}

void keep_this_thread_off(std::span<const unsigned> cpus) noexcept {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (const unsigned cpu : cpus) CPU_CLR(cpu, &allowed);
  if (CPU_COUNT(&allowed) > 0) ::sched_setaffinity(0, sizeof allowed, &allowed);
}

}  // namespace numa
