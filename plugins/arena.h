// The memory of one Lua state: a range of addresses of its own, with a cap, given back as a whole.
//
// The cap is on what Lua asks for, new and grown blocks alike, so that neither the arena's rounding (an eighth at most,
// sixteen bytes for small blocks) nor holes between blocks are charged to the plugin. The range has four times as many
// addresses as the cap has bytes: enough for holes, and only pages in use are resident. What was freed stays resident
// up to an eighth of the cap, so that a plugin which makes and drops the same blocks takes no page faults.
//
// Blocks up to 32 KiB lie in runs of blocks of one size, larger ones in pages of their own. Whose page it is stands in
// a table beside the memory: nothing that Lua could have left half-done is needed to give all of it back.
//
// Running Lua code is never told that there is no memory: LuaJIT 2.1 of 2022 handles that error with a stale stack when
// it comes from machine code (lj_err_mem in lj_err.c), and crashes. Where a way out is armed, the arena leaves by it;
// the state is in the middle of something then and can't be used any more, not even closed.
//
// Belongs to one state and so to one thread at a time.
#pragma once

#include <array>
#include <bit>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace plugins {

class Arena {
 public:
  explicit Arena(std::size_t cap_bytes);  // throws engine::SetupError
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::size_t used_bytes() const noexcept { return used_bytes_; }
  std::size_t peak_bytes() const noexcept { return peak_bytes_; }

  // Where to go when there is no more memory; nullptr: allocate() returns null. Taking the way disarms it.
  void arm(std::jmp_buf* way_out) noexcept { way_out_ = way_out; }

  // Once this is set, whoever asks for memory is cut off: a plugin that makes long strings is hardly ever in code that
  // it can be cut off in.
  void watch(const volatile std::uint32_t* expired) noexcept { expired_ = expired; }

  // lua_Alloc (Lua 5.1 manual, section 3.7): never fails to shrink, returns null beyond the cap if no way out is armed.
  static void* allocate(void* self, void* block, std::size_t old_bytes, std::size_t new_bytes) noexcept {
    return static_cast<Arena*>(self)->resize(static_cast<std::byte*>(block), old_bytes, new_bytes);
  }

 private:
  static constexpr std::uint32_t kPageBits = 12;
  static constexpr std::size_t kPage_bytes = std::size_t{1} << kPageBits;
  static constexpr std::size_t kLargestSmall_bytes = 32u << 10;
  static constexpr std::size_t kLinear_bytes = 512;  // up to here a class for each 16 bytes, then 8 per doubling
  static constexpr std::uint32_t kClasses = 32 + 6 * 8;
  static constexpr std::uint32_t kBins = 24;  // of free pages, by the logarithm of their number
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  enum class Use : std::uint8_t { none, free, small, large };

  // One page's entry. What belongs to several pages stands at the first of them.
  struct Page {
    void* free_blocks;    // small
    std::uint32_t first;  // small, at every page: the run's first page
    std::uint32_t next;   // small: runs of its class with room; free: its bin
    std::uint32_t previous;
    std::uint32_t length;  // pages; free: at the last page too
    std::uint16_t live;    // small: blocks in use
    std::uint16_t fresh;   // small: blocks that were ever in use; those behind have not been touched
    std::uint8_t size_class;
    Use use;       // at the first and the last page
    bool touched;  // free: may be resident
  };
  static_assert(sizeof(Page) == 32);

  struct SizeClass {
    std::uint32_t block_bytes;
    std::uint16_t blocks;  // of a run
    std::uint16_t pages;   // of a run
  };
  static const std::array<SizeClass, kClasses> kSizes;

  static constexpr std::uint32_t class_of(std::size_t bytes) noexcept {
    if (bytes <= kLinear_bytes) return static_cast<std::uint32_t>((bytes - 1) >> 4);
    const auto width = static_cast<std::uint32_t>(std::bit_width(bytes - 1));
    return 32 + (width - 10) * 8 + (static_cast<std::uint32_t>((bytes - 1) >> (width - 4)) & 7);
  }
  static std::uint32_t pages_of(std::size_t bytes) noexcept {
    return static_cast<std::uint32_t>((bytes + kPage_bytes - 1) >> kPageBits);
  }
  std::uint32_t page_of(const std::byte* block) const noexcept {
    return static_cast<std::uint32_t>(static_cast<std::size_t>(block - base_) >> kPageBits);
  }
  std::byte* address_of(std::uint32_t page) const noexcept { return base_ + (std::size_t{page} << kPageBits); }

  void* resize(std::byte* block, std::size_t old_bytes, std::size_t new_bytes) noexcept {
    if (block == nullptr) old_bytes = 0;
    if (new_bytes == 0) {
      if (block != nullptr) release(block);
      used_bytes_ -= old_bytes;
      return nullptr;
    }
    if (new_bytes > old_bytes) {
      if (expired_ != nullptr && *expired_ != 0) cut_off();
      if (new_bytes - old_bytes > cap_bytes_ - used_bytes_) return refuse();
    }
    void* result = block == nullptr ? take(new_bytes) : move(block, old_bytes, new_bytes);
    // Lua takes it for granted that shrinking works; the old block is large enough.
    if (result == nullptr) result = new_bytes <= old_bytes ? block : refuse();
    if (result == nullptr) return nullptr;
    used_bytes_ += new_bytes - old_bytes;
    if (used_bytes_ > peak_bytes_) peak_bytes_ = used_bytes_;
    return result;
  }

  void* take(std::size_t bytes) noexcept {
    if (bytes > kLargestSmall_bytes) return take_large(bytes);
    const std::uint32_t size_class = class_of(bytes);
    if (roomy_[size_class] == kNone && !add_run(size_class)) return nullptr;
    Page& run = pages_[roomy_[size_class]];
    void* block = run.free_blocks;
    if (block != nullptr) {
      run.free_blocks = *static_cast<void**>(block);
    } else {
      block = address_of(run.first) + std::size_t{run.fresh++} * kSizes[size_class].block_bytes;
    }
    if (++run.live == kSizes[size_class].blocks) unlink(roomy_[size_class], run.first);
    return block;
  }

  void release(std::byte* block) noexcept {
    const Page& page = pages_[page_of(block)];
    if (page.use == Use::large) return free_pages(page_of(block), page.length);
    Page& run = pages_[page.first];
    *reinterpret_cast<void**>(block) = run.free_blocks;
    run.free_blocks = block;
    if (run.live-- == kSizes[run.size_class].blocks) link(roomy_[run.size_class], run.first);
    if (run.live == 0) drop_run(run);
  }

  void* refuse() noexcept {
    if (std::jmp_buf* way_out = std::exchange(way_out_, nullptr)) _longjmp(*way_out, 1);
    return nullptr;
  }

  // arena.cpp
  void cut_off() noexcept;
  void* take_large(std::size_t bytes) noexcept;
  void* move(std::byte* block, std::size_t old_bytes, std::size_t new_bytes) noexcept;
  void* move_large(std::uint32_t page, std::uint32_t length) noexcept;
  bool grow_in_place(std::uint32_t page, std::uint32_t length) noexcept;
  bool add_run(std::uint32_t size_class) noexcept;
  void drop_run(Page& run) noexcept;
  std::uint32_t take_pages(std::uint32_t length) noexcept;  // kNone: no addresses left
  std::uint32_t take_top(std::uint32_t length) noexcept;
  void free_pages(std::uint32_t page, std::uint32_t length, bool touched = true) noexcept;
  void carve(std::uint32_t page, std::uint32_t length) noexcept;
  void mark_free(std::uint32_t page, std::uint32_t length, bool touched) noexcept;
  void give_back() noexcept;
  void mark_large(std::uint32_t page, std::uint32_t length) noexcept;
  void link(std::uint32_t& list, std::uint32_t page) noexcept;
  void unlink(std::uint32_t& list, std::uint32_t page) noexcept;

  std::size_t cap_bytes_;
  std::size_t used_bytes_ = 0;
  std::size_t peak_bytes_ = 0;
  std::byte* base_ = nullptr;
  Page* pages_ = nullptr;
  std::array<std::uint32_t, kClasses> roomy_;  // runs with room, of each class
  std::jmp_buf* way_out_ = nullptr;
  const volatile std::uint32_t* expired_ = nullptr;
  std::array<std::uint32_t, kBins> bins_;
  std::uint32_t page_count_ = 0;
  std::uint32_t top_ = 0;       // pages behind were never used
  std::uint32_t writable_ = 0;  // pages behind can't be accessed yet
  std::uint32_t touched_ = 0;   // free pages that may be resident, about
  std::uint32_t most_touched_ = 0;
};

}  // namespace plugins
