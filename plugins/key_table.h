// An open-addressing table of packed keys: dense rows in order of arrival, and an index of row numbers.
//
// Rows and index are reserved at once but touched only as far as they are used: a table for 65,536 keys costs memory
// for those it holds, on the node of the thread that adds (first touch). No allocation in find_or_insert.
#pragma once

#include <sys/mman.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

namespace plugins {

template <typename Tally>
class KeyTable {
 public:
  struct Row {
    std::uint32_t hash;
    std::uint32_t words;  // of the key: values differ in length
    Tally tally;
    const std::uint64_t* key() const noexcept { return reinterpret_cast<const std::uint64_t*>(this + 1); }
    std::uint64_t* key() noexcept { return reinterpret_cast<std::uint64_t*>(this + 1); }
  };

  KeyTable(std::uint32_t key_words, std::uint32_t max_rows) : stride_bytes_(sizeof(Row) + key_words * 8u) {
    // Flooding with colliding keys must not be possible from the wire; results don't depend on the seed.
    if (getrandom(&seed_, sizeof seed_, 0) != sizeof seed_) seed_ = reinterpret_cast<std::uintptr_t>(this);
    if (getrandom(&secret_, sizeof secret_, 0) != sizeof secret_) secret_ = kOdd;
    reserve(max_rows);
  }

  std::uint32_t size() const noexcept { return size_; }
  std::uint32_t capacity() const noexcept { return capacity_; }
  Row& row(std::uint32_t i) noexcept { return *reinterpret_cast<Row*>(rows_.get() + i * stride_bytes_); }
  const Row& row(std::uint32_t i) const noexcept {
    return *reinterpret_cast<const Row*>(rows_.get() + i * stride_bytes_);
  }

  // The row of this key and whether it is new; nullptr if it is new and the table is full.
  std::pair<Row*, bool> find_or_insert(const std::uint64_t* key, std::uint32_t words) noexcept {
    const std::uint32_t hash = hash_of(key, words);
    std::uint32_t at = hash & mask_;
    for (; index_[at] != 0; at = (at + 1) & mask_) {
      Row& candidate = row(index_[at] - 1);
      if (candidate.hash == hash && candidate.words == words && equal(candidate.key(), key, words))
        return {&candidate, false};
    }
    if (size_ == capacity_) return {nullptr, true};
    Row& fresh = row(size_);
    fresh.hash = hash;
    fresh.words = words;
    fresh.tally = Tally{};
    std::memcpy(fresh.key(), key, words * 8);
    index_[at] = ++size_;
    return {&fresh, true};
  }

  const Row* find(const std::uint64_t* key, std::uint32_t words) const noexcept {
    const std::uint32_t hash = hash_of(key, words);
    for (std::uint32_t at = hash & mask_; index_[at] != 0; at = (at + 1) & mask_) {
      const Row& candidate = row(index_[at] - 1);
      if (candidate.hash == hash && candidate.words == words && equal(candidate.key(), key, words)) return &candidate;
    }
    return nullptr;
  }

  // Keeps the rows for which keep(row) holds, in their order.
  template <typename Keep>
  void filter(Keep keep) noexcept {
    clear_index();
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < size_; ++i) {
      if (!keep(row(i).tally)) continue;
      if (kept != i) std::memcpy(&row(kept), &row(i), sizeof(Row) + row(i).words * 8);
      ++kept;
    }
    size_ = kept;
    for (std::uint32_t i = 0; i < size_; ++i) link(i);
  }

  void clear() noexcept {
    clear_index();
    size_ = 0;
  }

  // Room for so many rows; keeps the content. The only call that allocates.
  void reserve(std::uint32_t max_rows) {
    max_rows = std::max(max_rows, 1u);
    if (max_rows <= capacity_) return;
    std::uint32_t slots = 4;
    while (slots < 2 * std::uint64_t{max_rows}) slots *= 2;
    auto rows = allocate<std::byte>(max_rows * stride_bytes_);
    auto index = allocate<std::uint32_t>(slots);
    if (size_ != 0) std::memcpy(rows.get(), rows_.get(), size_ * stride_bytes_);
    rows_ = std::move(rows);
    index_ = std::move(index);
    capacity_ = max_rows;
    mask_ = slots - 1;
    for (std::uint32_t i = 0; i < size_; ++i) link(i);
  }

 private:
  static constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15u;
  __extension__ using Wide = unsigned __int128;
  // Anonymous pages, not the heap: they are touched only where they are used (the heap's calloc clears blocks that it
  // has had before), and small ones, since the first touch of a huge page would cost 2 MiB.
  struct Unmap {
    std::size_t size_bytes = 0;
    void operator()(void* memory) const noexcept { munmap(memory, size_bytes); }
  };
  template <typename T>
  using Pages = std::unique_ptr<T[], Unmap>;

  template <typename T>
  static Pages<T> allocate(std::size_t count) {
    const std::size_t size_bytes = count * sizeof(T);
    void* memory = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    madvise(memory, size_bytes, MADV_NOHUGEPAGE);  // a kernel without huge pages refuses: then there are none anyway
    return Pages<T>(static_cast<T*>(memory), Unmap{size_bytes});
  }

  static bool equal(const std::uint64_t* a, const std::uint64_t* b, std::uint32_t words) noexcept {
    std::uint64_t different = 0;
    for (std::uint32_t i = 0; i < words; ++i) different |= a[i] ^ b[i];
    return different == 0;
  }

  // Folded 64x64 -> 128 bit multiplication, two words at a time: the mixing step of wyhash.
  std::uint32_t hash_of(const std::uint64_t* key, std::uint32_t words) const noexcept {
    std::uint64_t h = seed_;
    std::uint32_t i = 0;
    for (; i + 1 < words; i += 2) h = mix(key[i] ^ h, key[i + 1] ^ secret_);
    if (i < words) h = mix(key[i] ^ h, kOdd);
    return static_cast<std::uint32_t>(h ^ (h >> 32));
  }
  static std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
    const auto product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  void link(std::uint32_t i) noexcept {
    std::uint32_t at = row(i).hash & mask_;
    while (index_[at] != 0) at = (at + 1) & mask_;
    index_[at] = i + 1;
  }

  // Slot by slot when few are used, so that clearing does not touch what was never used.
  void clear_index() noexcept {
    if (size_ > (mask_ + 1) / 16) {
      std::memset(index_.get(), 0, (mask_ + std::size_t{1}) * sizeof(std::uint32_t));
      return;
    }
    for (std::uint32_t i = 0; i < size_; ++i) {
      std::uint32_t at = row(i).hash & mask_;
      // Every row's own slot lies in the run that starts here; the whole run goes, its other rows go anyway.
      while (index_[at] != 0) {
        index_[at] = 0;
        at = (at + 1) & mask_;
      }
    }
  }

  std::size_t stride_bytes_;
  std::uint64_t seed_ = 0;
  std::uint64_t secret_ = kOdd;  // unknown too: a word equal to it would hide the other of its pair
  Pages<std::byte> rows_;
  Pages<std::uint32_t> index_;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;
  std::uint32_t mask_ = 0;
};

}  // namespace plugins
