#include "engine/write/packet_order.h"

#include <algorithm>
#include <limits>

namespace engine {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

}  // namespace

void PacketOrder::look() noexcept {
  current_ = nullptr;
  for (Source& source : sources_) source.ended = source.lane->ended();
}

// Its next packet; the marks before it are taken in.
const PacketRecord* PacketOrder::head(Source& source) noexcept {
  for (;;) {
    const std::byte* at = nullptr;
    if (source.held_done < source.held.size()) {
      at = source.held.data() + source.held_done;
    } else {
      if (source.seen.empty()) source.seen = source.lane->ring().readable();
      if (source.seen.empty()) return nullptr;
      at = source.seen.data();
    }
    const auto* record = reinterpret_cast<const PacketRecord*>(at);  // records are aligned as the ring is
    if (record->kind == PacketRecordKind::packet) return record;
    source.mark = static_cast<std::uint64_t>(record->place);
    pop(source, record->length);
  }
}

void PacketOrder::pop(Source& source, std::size_t bytes) noexcept {
  if (source.held_done < source.held.size()) {
    source.held_done += bytes;
    if (source.held_done < source.held.size()) return;
    source.held.clear();
    source.held_done = 0;
    return;
  }
  source.seen = source.seen.subspan(bytes);
  source.lane->ring().consume(bytes);
}

const PacketRecord* PacketOrder::next() noexcept {
  if (current_ != nullptr) {
    const PacketRecord* record = head(*current_);
    if (record != nullptr && key(*record) <= run_until_) return record;
    current_ = nullptr;
  }
  const PacketRecord* first = nullptr;
  std::uint64_t limit = kNoLimit;
  for (Source& source : sources_) {
    const PacketRecord* record = head(source);
    if (record == nullptr) {
      if (by_place_ && !source.ended) limit = std::min(limit, source.mark);
    } else if (first == nullptr || key(*record) < key(*first)) {
      if (first != nullptr) limit = std::min(limit, key(*first));
      first = record;
      current_ = &source;
    } else {
      limit = std::min(limit, key(*record));
    }
  }
  if (first != nullptr && key(*first) <= limit) {
    run_until_ = limit;
    return first;
  }
  current_ = nullptr;
  return nullptr;
}

void PacketOrder::done() noexcept { pop(*current_, head(*current_)->length); }

void PacketOrder::hold() {
  for (Source& source : sources_) {
    while (!source.seen.empty() || !(source.seen = source.lane->ring().readable()).empty()) {
      source.held.insert(source.held.end(), source.seen.begin(), source.seen.end());
      source.lane->ring().consume(source.seen.size());
      source.seen = {};
    }
  }
}

bool PacketOrder::is_waiting() noexcept {
  return std::any_of(sources_.begin(), sources_.end(), [this](Source& source) { return head(source) != nullptr; });
}

bool PacketOrder::drained() noexcept {
  return std::all_of(sources_.begin(), sources_.end(),
                     [this](Source& source) { return source.ended && head(source) == nullptr; });
}

}  // namespace engine
