// Reads a FileSource with as many threads as it has workers, and keeps what each of them was given.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "engine/file/file_source.h"
#include "tests/decode/frames.h"

namespace test {

struct Item {
  bool is_packet;
  engine::FileMarker marker{};
  double time = 0, place = 0;
  std::uint32_t len = 0;
  Bytes frame{};
};

inline std::vector<Item> read_queue(engine::FileQueue& queue) {
  std::vector<Item> items;
  for (;;) {
    if (const engine::FileBatch batch = queue.receive(64); !batch.empty()) {
      for (std::uint32_t i = 0; i < batch.size(); ++i) {
        const engine::FileFrame frame = batch[i];
        const std::uint8_t* bytes = queue.frames() + frame.offset;
        items.push_back({true, {}, frame.time, frame.place, frame.len, Bytes(bytes, bytes + frame.caplen)});
      }
    } else if (const auto marker = queue.next_marker()) {
      items.push_back({false, *marker, marker->time, marker->place, 0, {}});
      if (marker->kind == engine::FileRecordKind::end) return items;
    } else {
      queue.wait();
    }
  }
}

inline std::vector<std::vector<Item>> read_all(engine::FileSource& source) {
  std::vector<std::vector<Item>> items(source.workers());
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < source.workers(); ++i)
    threads.emplace_back([&, i] { items[i] = read_queue(source.queue(i)); });
  source.run();
  for (std::thread& thread : threads) thread.join();
  return items;
}

inline std::vector<Item> packets_of(const std::vector<Item>& items) {
  std::vector<Item> packets;
  for (const Item& item : items)
    if (item.is_packet) packets.push_back(item);
  return packets;
}

inline std::vector<Item> markers_of(const std::vector<Item>& items, engine::FileRecordKind kind) {
  std::vector<Item> markers;
  for (const Item& item : items)
    if (!item.is_packet && item.marker.kind == kind) markers.push_back(item);
  return markers;
}

}  // namespace test
