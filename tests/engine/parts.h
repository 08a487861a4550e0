// What the collector does with a worker's ring, reduced to what a test without one needs: parts go back to their owner.
#pragma once

#include <cstring>
#include <map>

#include "engine/analysis.h"

namespace engine::test {

// Takes every message out of the ring and gives parts back; how many there were of each kind.
inline std::map<int, int> take_messages(Analysis& analysis) {
  std::map<int, int> kinds;
  for (auto bytes = analysis.ring().readable(); !bytes.empty(); bytes = analysis.ring().readable()) {
    engine_message head;
    std::memcpy(&head, bytes.data(), sizeof head);
    ++kinds[head.kind];
    if (head.kind == ENGINE_MESSAGE_PART) {
      engine_part message;
      std::memcpy(&message, bytes.data() + sizeof head, sizeof message);
      reinterpret_cast<plugins::Structure*>(message.owner)->give_back(reinterpret_cast<plugins::Part*>(message.part));
    }
    analysis.ring().consume(head.length);
  }
  return kinds;
}

}  // namespace engine::test
