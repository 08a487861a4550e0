#include "bpf/map_entries.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "bpf/kernel_error.h"
#include "bpf/options.h"

namespace bpf {
namespace {

constexpr std::size_t kBatch = 65536;
// A read goes on where buckets of a hash begin, and fails where one holds more than this: it would hold nearly all that
// is in the map. More at a time is no faster, what was read has left the cache by then (bench/kernel_bench).
constexpr std::size_t kReadBatch = 4096;
constexpr int kNotSupported = 524;  // ENOTSUPP, which the kernel keeps to itself (include/linux/errno.h)

bool cannot_batch(int error) noexcept { return error == EINVAL || error == EOPNOTSUPP || error == kNotSupported; }

void each_entry_singly(int map_fd, std::size_t key_bytes, std::size_t value_bytes,
                       const std::function<void(const void*, const void*)>& see) {
  std::vector<std::byte> key(key_bytes), next(key_bytes), value(value_bytes);
  for (const void* from = nullptr; bpf_map_get_next_key(map_fd, from, next.data()) == 0; from = key.data()) {
    key = next;
    if (bpf_map_lookup_elem(map_fd, key.data(), value.data()) == 0) see(key.data(), value.data());
  }
}

}  // namespace

void put_entries(int map_fd, std::span<const std::byte> keys, std::size_t key_bytes, std::span<const std::byte> value,
                 const std::string& what) {
  const std::size_t count = keys.size() / key_bytes;
  std::vector<std::byte> values;
  const std::size_t batch = std::min(count, kBatch);
  values.reserve(batch * value.size());
  for (std::size_t i = 0; i < batch; ++i) values.insert(values.end(), value.begin(), value.end());
  bool by_batch = true;
  for (std::size_t at = 0; at < count;) {
    const std::byte* const key = keys.data() + at * key_bytes;
    if (by_batch) {
      Options<bpf_map_batch_opts> options;
      auto size = static_cast<__u32>(std::min(batch, count - at));
      if (bpf_map_update_batch(map_fd, key, values.data(), &size, &options) == 0) {
        at += size;
        continue;
      }
      if (at > 0 || !cannot_batch(errno)) throw kernel_error(what, errno);
      by_batch = false;
    }
    if (bpf_map_update_elem(map_fd, key, value.data(), BPF_ANY) != 0) throw kernel_error(what, errno);
    ++at;
  }
}

void each_entry(int map_fd, std::size_t key_bytes, std::size_t value_bytes,
                const std::function<void(const void*, const void*)>& see) {
  const std::size_t batch = std::min<std::size_t>(max_entries_of(map_fd), kReadBatch);
  std::vector<std::byte> keys(batch * key_bytes), values(batch * value_bytes);
  // Where the next batch begins: a bucket's number or a key, as the kind of map has it.
  std::vector<std::byte> from(std::max(key_bytes, sizeof(std::uint64_t))), to(from.size());
  const Options<bpf_map_batch_opts> options;
  for (bool first = true, more = true; more; first = false, from.swap(to)) {
    auto count = static_cast<__u32>(batch);
    more = bpf_map_lookup_batch(map_fd, first ? nullptr : from.data(), to.data(), keys.data(), values.data(), &count,
                                &options) == 0;
    if (!more && first && cannot_batch(errno)) return each_entry_singly(map_fd, key_bytes, value_bytes, see);
    if (!more && errno != ENOENT) throw kernel_error("read the entries of a map", errno);  // ENOENT: these are the last
    for (std::size_t i = 0; i < count; ++i) see(&keys[i * key_bytes], &values[i * value_bytes]);
  }
}

void copy_entries(int from_fd, int to_fd, std::size_t key_bytes, std::size_t value_bytes, const std::string& what) {
  each_entry(from_fd, key_bytes, value_bytes, [&](const void* key, const void* value) {
    if (bpf_map_update_elem(to_fd, key, value, BPF_ANY) != 0) throw kernel_error(what, errno);
  });
}

std::uint32_t max_entries_of(int map_fd) {
  if (map_fd < 0) return 0;
  bpf_map_info info = {};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(map_fd, &info, &size) != 0) throw kernel_error("read the size of a map", errno);
  return info.max_entries;
}

}  // namespace bpf
