// Many entries of a map at a time: written and read by batch where the kernel can (5.6), else one by one. Set-up code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace bpf {

// Writes each key with the same value. Throws SetupError with `what`, and the errno: E2BIG, ENOSPC where the map is
// full.
void put_entries(int map_fd, std::span<const std::byte> keys, std::size_t key_bytes, std::span<const std::byte> value,
                 const std::string& what);

template <class Key, class Value>
void put_entries(int map_fd, std::span<const Key> keys, const Value& value, const std::string& what) {
  put_entries(map_fd, std::as_bytes(keys), sizeof(Key), std::as_bytes(std::span(&value, 1)), what);
}

// Sees each entry. What is added or taken out meanwhile may be seen or not. Throws SetupError.
void each_entry(int map_fd, std::size_t key_bytes, std::size_t value_bytes,
                const std::function<void(const void* key, const void* value)>& see);

// Both have keys and values of these sizes. Throws SetupError.
void copy_entries(int from_fd, int to_fd, std::size_t key_bytes, std::size_t value_bytes, const std::string& what);

// 0 for a descriptor that is none.
std::uint32_t max_entries_of(int map_fd);

}  // namespace bpf
