// The native functions of plugins/native.h. Handles are pointers to plugins::Handle under an incomplete type.
#include <arpa/inet.h>
#include <pthread.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "plugins/counter.h"
#include "plugins/native.h"
#include "plugins/natives.h"
#include "plugins/topk.h"

namespace plugins {
namespace {

template <typename Kind, typename Pointed>
Kind& part_of(Pointed* handle) noexcept {
  return static_cast<Kind&>(*reinterpret_cast<Handle*>(handle)->part);
}

template <typename Kind, typename Pointed>
void add_packet(Pointed* handle, const engine_packet* packet) noexcept {
  part_of<Kind>(handle).add(*packet);
}
template <typename Kind, typename Pointed>
void add_text(Pointed* handle, const char* text, std::uint32_t length, double n) noexcept {
  part_of<Kind>(handle).add_value(ValueKey(std::string_view(text, length)), static_cast<std::uint64_t>(n));
}
template <typename Kind, typename Pointed>
void add_bytes(Pointed* handle, const std::uint8_t* bytes, std::uint32_t length, double n) noexcept {
  add_text<Kind>(handle, reinterpret_cast<const char*>(bytes), length, n);
}
template <typename Kind, typename Pointed>
void add_number(Pointed* handle, double key, double n) noexcept {
  part_of<Kind>(handle).add_value(ValueKey(key), static_cast<std::uint64_t>(n));
}
template <typename Kind, typename Pointed>
void add_addr(Pointed* handle, const engine_addr* address, double n) noexcept {
  part_of<Kind>(handle).add_value(ValueKey(*address), static_cast<std::uint64_t>(n));
}

std::int64_t find(const std::uint8_t* bytes, std::uint32_t length, const char* wanted,
                  std::uint32_t wanted_length) noexcept {
  const void* at = memmem(bytes, length, wanted, wanted_length);
  return at == nullptr ? -1 : static_cast<const std::uint8_t*>(at) - bytes;
}

bool equal(const std::uint8_t* bytes, const char* text, std::uint32_t length) noexcept {
  return std::memcmp(bytes, text, length) == 0;
}

constexpr std::uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};  // RFC 4291, 2.5.5.2

bool parse_ip(const char* text, engine_addr* address) noexcept {
  std::uint8_t bytes[16];
  if (inet_pton(AF_INET, text, bytes + 12) == 1) {
    std::memcpy(bytes, kMappedPrefix, sizeof kMappedPrefix);
  } else if (inet_pton(AF_INET6, text, bytes) != 1) {
    return false;
  }
  std::memcpy(static_cast<void*>(address), bytes, sizeof bytes);
  return true;
}

std::int32_t parse_net(const char* text, engine_addr* first) noexcept {
  const char* slash = std::strchr(text, '/');
  const std::size_t length = slash != nullptr ? static_cast<std::size_t>(slash - text) : std::strlen(text);
  char address[64];
  if (length >= sizeof address) return -1;
  std::memcpy(address, text, length);
  address[length] = '\0';
  if (!parse_ip(address, first)) return -1;
  const bool v4 = std::strchr(address, ':') == nullptr;
  const int widest = v4 ? 32 : 128;
  int bits = widest;
  if (slash != nullptr) {
    const char* end = slash + 1 + std::strlen(slash + 1);
    const auto [stop, error] = std::from_chars(slash + 1, end, bits);
    if (error != std::errc() || stop != end || bits < 0 || bits > widest) return -1;
  }
  return v4 ? bits + 96 : bits;
}

std::uint32_t format_ip(const engine_addr* address, char* text) noexcept {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(address);
  const bool v4 = std::memcmp(bytes, kMappedPrefix, sizeof kMappedPrefix) == 0;
  inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? bytes + 12 : bytes, text, INET6_ADDRSTRLEN);
  return static_cast<std::uint32_t>(std::strlen(text));
}

std::uint32_t format_time(std::uint64_t at_ns, char* text) noexcept {
  const auto seconds = static_cast<std::time_t>(at_ns / 1'000'000'000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  const int length = std::snprintf(text, 40, "%s.%09uZ", date, static_cast<unsigned>(at_ns % 1'000'000'000));
  return static_cast<std::uint32_t>(length);
}

// The lowest address of the calling thread's stack, asked for once per thread: the first state of a thread asks before
// its first packet.
std::uintptr_t lowest_stack_address() noexcept {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
  void* lowest = nullptr;
  std::size_t size_bytes = 0;
  pthread_attr_getstack(&attributes, &lowest, &size_bytes);
  pthread_attr_destroy(&attributes);
  return reinterpret_cast<std::uintptr_t>(lowest);
}

double stack_left() noexcept {
  static thread_local const std::uintptr_t lowest = lowest_stack_address();
  return static_cast<double>(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) - lowest);
}

}  // namespace

const engine_natives& natives() noexcept {
  static constexpr engine_natives table = {
      add_packet<Counter, engine_counter>,
      add_text<Counter, engine_value_counter>,
      add_bytes<Counter, engine_value_counter>,
      add_number<Counter, engine_value_counter>,
      add_addr<Counter, engine_value_counter>,
      add_packet<TopK, engine_topk>,
      add_text<TopK, engine_value_topk>,
      add_bytes<TopK, engine_value_topk>,
      add_number<TopK, engine_value_topk>,
      add_addr<TopK, engine_value_topk>,
      find,
      equal,
      parse_ip,
      parse_net,
      format_ip,
      format_time,
      stack_left,
  };
  return table;
}

}  // namespace plugins
