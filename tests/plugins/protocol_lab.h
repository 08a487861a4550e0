// A frame as the parsers get it: decoded by the engine, its last captured byte the last one that can be read.
#pragma once

#include <arpa/inet.h>

#include <string>

#include "plugins/protocols/natives.h"
#include "tests/decode/guarded_frame.h"
#include "tests/plugins/messages.h"

namespace test {

// What the natives are given for one frame. One at a time: all lie at the same guard.
struct GuardedFrame {
  explicit GuardedFrame(const Bytes& frame, engine::LinkType link = engine::LinkType::ethernet) {
    static thread_local GuardedPages pages(1 << 17);
    cell.frames = pages.place(frame);
    cell.next = 3;
    cell.generation = 77;
    engine::decode_link(link, cell.frames, static_cast<std::uint32_t>(frame.size()), packet);
    packet.caplen = packet.len = static_cast<std::uint32_t>(frame.size());
  }
  std::string text(std::uint32_t off, std::uint32_t len) const {
    return {reinterpret_cast<const char*>(cell.frames) + off, len};
  }

  engine_cell cell{};
  engine_packet packet{};
};

inline std::string text_of(const engine_addr& address) {
  std::uint8_t raw[16];
  std::memcpy(raw, &address, sizeof raw);
  char text[INET6_ADDRSTRLEN];
  const bool mapped = address._hi == 0 && raw[8] == 0 && raw[9] == 0 && raw[10] == 0xff && raw[11] == 0xff;
  return ::inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? raw + 12 : raw, text, sizeof text);
}

}  // namespace test
