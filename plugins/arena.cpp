// The slow half of the arena: pages, and the runs that are made of them.
#include "plugins/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "engine/base/error.h"
#include "plugins/watchdog.h"

namespace plugins {
namespace {

constexpr std::size_t kAddressesPerByte = 4;
constexpr std::size_t kSlack_bytes = 4u << 20;  // for the last run of each class
constexpr std::uint32_t kWritableStep = 256;    // 1 MiB; smaller than a huge page, which a small plugin does not need
constexpr std::uint32_t kWorthRemapping = 256;  // below that, copying is faster than changing the page table
constexpr std::uint32_t kLongestSearch = 32;    // free spans looked at in a bin
constexpr std::uint32_t kKeptRunPages = 8;      // an empty run as small is kept if its class has no other
constexpr std::size_t kHuge_bytes = 2u << 20;

// Far from the libraries: LuaJIT finds place for its machine code only within 2 GiB around libluajit (lj_mcode.c), and
// the kernel would put the arenas of many states just there.
constexpr std::uintptr_t kFirstHint = 0x2000'0000'0000;

void* map_far(std::size_t bytes, int protection) noexcept {
  static std::atomic<std::uintptr_t> next_hint = kFirstHint;
  const std::size_t step = (bytes + kHuge_bytes) / kHuge_bytes * kHuge_bytes;
  const std::uintptr_t hint = next_hint.fetch_add(step, std::memory_order_relaxed);
  void* at = mmap(reinterpret_cast<void*>(hint), bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

constexpr std::uint32_t bin_of(std::uint32_t length) noexcept {
  return static_cast<std::uint32_t>(std::bit_width(length)) - 1;
}

}  // namespace

constexpr std::array<Arena::SizeClass, Arena::kClasses> Arena::kSizes = [] {
  std::array<SizeClass, kClasses> sizes{};
  for (std::uint32_t i = 0; i < kClasses; ++i) {
    const std::uint32_t bytes = i < 32 ? (i + 1) * 16 : (9 + i % 8) << ((i - 32) / 8 + 6);
    const std::uint32_t pages = bytes <= 512 ? 4 : bytes <= 4096 ? kKeptRunPages : 32;
    sizes[i] = {bytes, static_cast<std::uint16_t>(pages * kPage_bytes / bytes), static_cast<std::uint16_t>(pages)};
  }
  return sizes;
}();

Arena::Arena(std::size_t cap_bytes) : cap_bytes_(cap_bytes) {
  page_count_ = pages_of(cap_bytes * kAddressesPerByte + kSlack_bytes);
  most_touched_ = std::max(pages_of(cap_bytes / 8), kWritableStep);
  roomy_.fill(kNone);
  bins_.fill(kNone);
  pages_ = static_cast<Page*>(map_far(page_count_ * sizeof(Page), PROT_READ | PROT_WRITE));
  // Without access: what may never be used is promised by nobody (vm.overcommit_memory = 2).
  if (pages_ != nullptr) base_ = static_cast<std::byte*>(map_far(std::size_t{page_count_} << kPageBits, PROT_NONE));
  if (base_ != nullptr) return;
  const int error = errno;
  if (pages_ != nullptr) munmap(pages_, page_count_ * sizeof(Page));
  throw engine::SetupError(engine::ExitCode::bad_usage, "a plugin's memory", std::strerror(error));
}

Arena::~Arena() {
  munmap(base_, std::size_t{page_count_} << kPageBits);
  munmap(pages_, page_count_ * sizeof(Page));
}

void Arena::cut_off() noexcept {
  if (way_out_ != nullptr && !this_post.held) _longjmp(*std::exchange(way_out_, nullptr), kCutOff);
}

void Arena::link(std::uint32_t& list, std::uint32_t page) noexcept {
  pages_[page].next = list;
  pages_[page].previous = kNone;
  if (list != kNone) pages_[list].previous = page;
  list = page;
}

void Arena::unlink(std::uint32_t& list, std::uint32_t page) noexcept {
  const Page& entry = pages_[page];
  if (entry.next != kNone) pages_[entry.next].previous = entry.previous;
  (entry.previous != kNone ? pages_[entry.previous].next : list) = entry.next;
}

std::uint32_t Arena::take_top(std::uint32_t length) noexcept {
  if (length > page_count_ - top_) return kNone;
  if (top_ + length > writable_) {
    const std::uint32_t wanted = (top_ + length + kWritableStep - 1) / kWritableStep * kWritableStep;
    const std::uint32_t end = std::min(wanted, page_count_);
    const std::size_t bytes = std::size_t{end - writable_} << kPageBits;
    if (mprotect(address_of(writable_), bytes, PROT_READ | PROT_WRITE) != 0) return kNone;
    writable_ = end;
  }
  top_ += length;
  return top_ - length;
}

// From the bin of this length one that is long enough, else from a bin where all are.
std::uint32_t Arena::take_pages(std::uint32_t length) noexcept {
  std::uint32_t bin = bin_of(length);
  std::uint32_t page = bins_[bin];
  for (std::uint32_t seen = 0; page != kNone && pages_[page].length < length; page = pages_[page].next) {
    if (++seen == kLongestSearch) {
      page = kNone;
      break;
    }
  }
  while (page == kNone && ++bin < kBins) page = bins_[bin];
  if (page == kNone) return take_top(length);
  carve(page, length);
  return page;
}

// Takes the beginning of free pages. The rest is not freed anew: it is counted already and has no free neighbour.
void Arena::carve(std::uint32_t page, std::uint32_t length) noexcept {
  const std::uint32_t rest = pages_[page].length - length;
  const bool touched = pages_[page].touched;
  unlink(bins_[bin_of(pages_[page].length)], page);
  pages_[page].use = Use::none;
  if (touched) touched_ -= std::min(touched_, length);
  if (rest != 0) mark_free(page + length, rest, touched);
}

void Arena::mark_free(std::uint32_t page, std::uint32_t length, bool touched) noexcept {
  pages_[page].use = pages_[page + length - 1].use = Use::free;
  pages_[page].length = pages_[page + length - 1].length = length;
  pages_[page].touched = touched;
  link(bins_[bin_of(length)], page);
}

void Arena::free_pages(std::uint32_t page, std::uint32_t length, bool touched) noexcept {
  if (touched) touched_ += length;
  if (page > 0 && pages_[page - 1].use == Use::free) {
    const std::uint32_t before = pages_[page - 1].length;
    page -= before;
    length += before;
    touched |= pages_[page].touched;
    unlink(bins_[bin_of(before)], page);
  }
  if (page + length < top_ && pages_[page + length].use == Use::free) {
    const std::uint32_t behind = pages_[page + length].length;
    touched |= pages_[page + length].touched;
    unlink(bins_[bin_of(behind)], page + length);
    length += behind;
  }
  mark_free(page, length, touched);
  if (touched_ > most_touched_) give_back();
}

void Arena::give_back() noexcept {
  for (const std::uint32_t bin : bins_) {
    for (std::uint32_t page = bin; page != kNone; page = pages_[page].next) {
      if (!pages_[page].touched) continue;
      madvise(address_of(page), std::size_t{pages_[page].length} << kPageBits, MADV_DONTNEED);
      pages_[page].touched = false;
    }
  }
  touched_ = 0;
}

bool Arena::add_run(std::uint32_t size_class) noexcept {
  const std::uint32_t length = kSizes[size_class].pages;
  const std::uint32_t page = take_pages(length);
  if (page == kNone) return false;
  for (std::uint32_t i = page; i < page + length; ++i) {
    pages_[i].first = page;
    pages_[i].use = Use::small;
  }
  Page& run = pages_[page];
  run.free_blocks = nullptr;
  run.length = length;
  run.live = run.fresh = 0;
  run.size_class = static_cast<std::uint8_t>(size_class);
  link(roomy_[size_class], page);
  return true;
}

void Arena::drop_run(Page& run) noexcept {
  std::uint32_t& list = roomy_[run.size_class];
  const bool only = run.next == kNone && run.previous == kNone;
  if (only && run.length <= kKeptRunPages) return;
  unlink(list, run.first);
  free_pages(run.first, run.length);
}

void Arena::mark_large(std::uint32_t page, std::uint32_t length) noexcept {
  pages_[page].length = length;
  pages_[page].use = pages_[page + length - 1].use = Use::large;
}

void* Arena::take_large(std::size_t bytes) noexcept {
  const std::uint32_t length = pages_of(bytes);
  const std::uint32_t page = take_pages(length);
  if (page == kNone) return nullptr;
  mark_large(page, length);
  return address_of(page);
}

void* Arena::move(std::byte* block, std::size_t old_bytes, std::size_t new_bytes) noexcept {
  const Page& page = pages_[page_of(block)];
  const bool to_small = new_bytes <= kLargestSmall_bytes;
  if (page.use == Use::small) {
    if (to_small && class_of(new_bytes) == pages_[page.first].size_class) return block;
  } else if (!to_small) {
    return move_large(page_of(block), pages_of(new_bytes));
  }
  void* to = take(new_bytes);
  if (to == nullptr) return nullptr;
  std::memcpy(to, block, std::min(old_bytes, new_bytes));
  release(block);
  return to;
}

void* Arena::move_large(std::uint32_t page, std::uint32_t length) noexcept {
  const std::uint32_t before = pages_[page].length;
  if (length <= before) {
    if (length < before) {
      mark_large(page, length);
      free_pages(page + length, before - length);
    }
    return address_of(page);
  }
  if (grow_in_place(page, length)) return address_of(page);
  const std::uint32_t to = take_pages(length);
  if (to == kNone) return nullptr;
  const std::size_t bytes = std::size_t{before} << kPageBits;
  // Moves the pages instead of their content, and leaves untouched ones (Linux 5.7).
  const bool remapped = before >= kWorthRemapping &&
                        mremap(address_of(page), bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
                               address_of(to)) != MAP_FAILED;
  if (!remapped) std::memcpy(address_of(to), address_of(page), bytes);
  mark_large(to, length);
  free_pages(page, before, !remapped);
  return address_of(to);
}

bool Arena::grow_in_place(std::uint32_t page, std::uint32_t length) noexcept {
  const std::uint32_t before = pages_[page].length;
  const std::uint32_t behind = page + before;
  const std::uint32_t more = length - before;
  if (behind == top_) {
    if (take_top(more) == kNone) return false;
  } else {
    if (pages_[behind].use != Use::free || pages_[behind].length < more) return false;
    carve(behind, more);
  }
  mark_large(page, length);
  return true;
}

}  // namespace plugins
