// The records and structures of one plugin by number, the same on all workers and over all reloads: messages carry the
// number. Grows only. Numbers are given on set-up threads; the collector's thread looks them up without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "plugins/record.h"

namespace plugins {

class Registry {
 public:
  static constexpr std::size_t kMost = 1024;

  // The number of a record with these fields, or of a structure of this shape; nothing: kMost are taken.
  std::optional<std::uint16_t> record(const RecordSchema& schema) {
    return find_or_add(
        records_, [&](const RecordSchema& known) { return known == schema; }, schema);
  }
  std::optional<std::uint16_t> structure(std::string_view name, std::string_view shape) {
    const auto same = [&](const Named& known) { return known.name == name && known.shape == shape; };
    return find_or_add(structures_, same, Named{std::string(name), std::string(shape)});
  }

  // nullptr: there is none of this number. Valid as long as the registry.
  const RecordSchema* schema(std::uint16_t number) const noexcept { return at(records_, number); }
  const std::string* structure_name(std::uint16_t number) const noexcept {
    const Named* known = at(structures_, number);
    return known != nullptr ? &known->name : nullptr;
  }

 private:
  struct Named {
    std::string name;
    std::string shape;
  };
  template <typename T>
  struct List {
    std::array<std::atomic<const T*>, kMost> entries{};
    std::size_t size = 0;
    ~List() {
      for (std::size_t i = 0; i < size; ++i) delete entries[i].load(std::memory_order_relaxed);
    }
  };

  template <typename T, typename Same>
  std::optional<std::uint16_t> find_or_add(List<T>& list, const Same& same, const T& value) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < list.size; ++i)
      if (same(*list.entries[i].load(std::memory_order_relaxed))) return static_cast<std::uint16_t>(i);
    if (list.size == kMost) return std::nullopt;
    // release: pairs with at(), on the collector's thread.
    list.entries[list.size].store(new T(value), std::memory_order_release);
    return static_cast<std::uint16_t>(list.size++);
  }
  template <typename T>
  static const T* at(const List<T>& list, std::uint16_t number) noexcept {
    return number < kMost ? list.entries[number].load(std::memory_order_acquire) : nullptr;
  }

  std::mutex mutex_;
  List<RecordSchema> records_;
  List<Named> structures_;
};

}  // namespace plugins
