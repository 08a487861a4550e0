// A plugin state over packets, frames and an outbox of the test's own: what a worker gives it, without a worker.
#pragma once

#include <unistd.h>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/error.h"
#include "plugins/runtime.h"

namespace lab {

inline constexpr std::uint32_t kCapacity = 256;
inline constexpr std::uint32_t kFrame_bytes = 64;
inline constexpr std::uint64_t kEpoch_ns = 1'700'000'000'123'456'789;

template <typename T>
void set(engine_packet& packet, std::size_t offset, T value) {
  std::memcpy(reinterpret_cast<std::byte*>(&packet) + offset, &value, sizeof value);
}
#define LAB_SET(packet, field, value)              \
  lab::set(packet, offsetof(engine_packet, field), \
           static_cast<std::remove_const_t<decltype(engine_packet::field)>>(value))

inline engine_addr v4(unsigned a, unsigned b, unsigned c, unsigned d) {
  const std::uint8_t bytes[16] = {0,
                                  0,
                                  0,
                                  0,
                                  0,
                                  0,
                                  0,
                                  0,
                                  0,
                                  0,
                                  0xff,
                                  0xff,
                                  static_cast<std::uint8_t>(a),
                                  static_cast<std::uint8_t>(b),
                                  static_cast<std::uint8_t>(c),
                                  static_cast<std::uint8_t>(d)};
  engine_addr address;
  std::memcpy(static_cast<void*>(&address), bytes, sizeof bytes);
  return address;
}

struct Message {
  engine_message head;
  std::string body;
  // Text messages are padded with zeros.
  std::string text() const { return body.substr(0, body.find_last_not_of('\0') + 1); }
};

class Lab {
 public:
  Lab() : packets(kCapacity + 1), frames(kCapacity * kFrame_bytes), memory(1u << 20) {
    spec.deadline_ns = 5'000'000'000;  // for any machine; who is about the cut-off sets another
    outbox = engine_outbox{memory.data(), 0, static_cast<std::uint32_t>(memory.size()), 0, 0};
    for (std::size_t i = 0; i < frames.size(); ++i) frames[i] = static_cast<std::uint8_t>(i % kFrame_bytes);
    fill(0);
  }

  // UDP packets that differ in source, ports and time; byte n of each frame is n.
  void fill(std::uint32_t seed) { fill(packets, seed); }
  void fill(std::vector<engine_packet>& packets, std::uint32_t seed) const {
    for (std::size_t i = 0; i < packets.size() && !given.empty(); ++i) {
      std::memcpy(static_cast<void*>(&packets[i]), &given[(i + seed * 977) % given.size()], sizeof packets[i]);
    }
    if (!given.empty()) return;
    for (std::uint32_t i = 0; i < packets.size(); ++i) {
      engine_packet& p = packets[i];
      std::memset(static_cast<void*>(&p), 0, sizeof p);
      const std::uint32_t r = (i + seed * 977) * 2654435761u >> 12;
      LAB_SET(p, time, 1000.0 * i);
      LAB_SET(p, _place, i + 1);
      set(p, offsetof(engine_packet, src), v4(10, 0, r >> 8 & 3, r & 255));
      set(p, offsetof(engine_packet, dst), v4(192, 168, 0, 1));
      LAB_SET(p, src4, 0x0a000000u + (r & 1023));
      LAB_SET(p, dst4, 0xc0a80001u);
      LAB_SET(p, _off, i % kCapacity * kFrame_bytes);
      LAB_SET(p, len, 100 + r % 1000);
      LAB_SET(p, caplen, 60);
      LAB_SET(p, eth_type, 0x0800);
      LAB_SET(p, ip_version, 4);
      LAB_SET(p, proto, r % 3 == 0 ? 6 : 17);
      LAB_SET(p, src_port, 1024 + r % 1000);
      LAB_SET(p, dst_port, r % 7 == 0 ? 53 : 443);
      LAB_SET(p, payload_off, 42);
      LAB_SET(p, payload_len, 18);
    }
  }

  plugins::Binding binding() {
    plugins::Binding b;
    b.packets = packets.data();
    b.capacity = kCapacity;
    b.frames = frames.data();
    b.outbox = &outbox;
    b.epoch_ns = kEpoch_ns;
    b.worker = 3;
    b.plugin_index = 5;
    b.info = {"eth7", {2, 6}, 1, 0};
    b.observer = observer;
    b.requests = requests;
    if (warm) {
      traffic.resize(300);
      fill(traffic, 12345);
      b.traffic = {traffic, frames.data()};
    }
    return b;
  }

  void load(std::string_view code) {
    spec.name = "test";
    if (spec.path.empty()) spec.code = code;
    state = std::make_unique<plugins::State>(spec, binding());
    fill(0);
  }
  // Empty, or what the load failed with.
  std::string load_error(std::string_view code) {
    try {
      load(code);
    } catch (const engine::SetupError& error) {
      EXPECT_EQ(error.code(), engine::ExitCode::bad_usage);
      return error.what();
    }
    return {};
  }

  void run(std::uint32_t count = kCapacity) { state->run(count); }

  // Runs `body` for enough packets that it is compiled; every one must raise. Gives the first one's error.
  std::string error_of(std::string_view body, std::string_view prelude = {}) {
    load(std::string(prelude) + "\nfunction on_packet(p) " + std::string(body) + "\nend");
    const std::uint32_t packets_run = run_until_compiled();
    EXPECT_EQ(state->statistics().errors, packets_run) << body;
    const auto all = messages();
    return all.empty() ? std::string() : all[0].text();
  }
  // Runs `body`, which must return true for every packet, interpreted and compiled. Gives the first error.
  std::string failure_of(std::string_view body, std::string_view prelude = {}) {
    load(std::string(prelude) + "\nlocal function body(p) " + std::string(body) +
         "\nend function on_packet(p) if body(p) ~= true then error('not true') end end");
    run_until_compiled();
    const auto all = messages();
    return state->statistics().errors == 0 ? std::string() : all[0].text();
  }

  std::vector<Message> messages() {
    std::vector<Message> all;
    for (std::uint32_t at = 0; at < outbox.used;) {
      Message message{};
      std::memcpy(&message.head, memory.data() + at, sizeof message.head);
      message.body.assign(reinterpret_cast<const char*>(memory.data()) + at + sizeof message.head,
                          message.head.length - sizeof message.head);
      at += message.head.length;
      all.push_back(std::move(message));
    }
    outbox.used = 0;
    return all;
  }

  std::vector<engine_packet> packets;
  std::vector<engine_packet> traffic;
  std::vector<engine_packet> given;  // of frames: taken in turn instead of those that fill() makes up
  std::vector<std::uint8_t> frames;
  std::vector<std::uint8_t> memory;
  engine_outbox outbox{};
  plugins::PluginSpec spec;
  plugins::Observer* observer = nullptr;
  plugins::Requests* requests = nullptr;
  bool warm = false;
  std::unique_ptr<plugins::State> state;

 private:
  std::uint32_t run_until_compiled() {
    constexpr std::uint32_t batches = 8;  // 512 packets; a loop is compiled after 56
    for (std::uint32_t i = 0; i < batches; ++i) run(64);
    return batches * 64;
  }
};

// A folder of its own for plugin files, gone with the test.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "plugins_test_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string write(const std::string& name, std::string_view text) const {
    const std::string path = (path_ / name).string();
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace lab
