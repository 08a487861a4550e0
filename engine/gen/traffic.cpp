// Dealing the mix, and filling in what varies.
#include "engine/gen/traffic.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/base/error.h"
#include "engine/gen/dns.h"
#include "engine/gen/samples.h"

namespace engine::gen {
namespace {

constexpr std::size_t max_deck = std::size_t{1} << 18;
constexpr std::size_t sample_every = 8;
constexpr std::uint64_t builtin_time_ns = 1'700'000'000'000'000'000;

std::uint64_t total_weight(const auto& entries) {
  std::uint64_t sum = 0;
  for (const auto& entry : entries) sum += entry.weight;
  return sum;
}

}  // namespace

void Packet::write(std::uint64_t stamp_ns, std::byte* out) noexcept {
  variation.stamp_ns = stamp_ns;
  std::memcpy(out, frame->bytes.data(), frame->bytes.size());
  patch(frame->layout, variation, out);
}

Traffic::Traffic(const TrafficSpec& spec) : picker_(spec.flows, spec.zipf, spec.seed), seed_(mix64(~spec.seed)) {
  if (total_weight(spec.mix) * total_weight(spec.sizes) > max_deck || spec.mix.empty() || spec.sizes.empty())
    throw SetupError(ExitCode::bad_usage, "deal the mix of packets",
                     "the weights of kinds times those of sizes exceed 262144, or there are none",
                     "divide the weights by a common factor");
  for (const MixEntry& entry : spec.mix) add_entry(spec, entry);
  made_.assign(spec.mix.size(), 0);
  take_notes(spec);
  shuffle();
}

void Traffic::add_entry(const TrafficSpec& spec, const MixEntry& entry) {
  const VlanTags vlans = entry.vlans[0] != 0 ? entry.vlans : spec.vlans;
  const std::size_t first = frames_.size();
  if (is_dns(entry.kind)) {
    for (std::size_t i = 0; i < 2 * dns_name_count; ++i)
      frames_.push_back(build_dns_frame(spec, entry.kind, vlans, i / 2, i % 2 == 1));
    add_cards(first, entry.weight * total_weight(spec.sizes));
  } else {
    for (const SizeEntry& size : spec.sizes) {
      frames_.push_back(build_frame(spec, entry.kind, vlans, size.frame_bytes));
      add_cards(frames_.size() - 1, std::uint64_t{entry.weight} * size.weight);
    }
  }
  entry_of_.resize(frames_.size(), first == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(entry_of_.back() + 1));
  for (std::size_t i = first; i < frames_.size(); ++i)
    longest_bytes_ = std::max(longest_bytes_, frames_[i].bytes.size());
}

void Traffic::add_cards(std::size_t first_frame, std::uint64_t count) {
  deck_.insert(deck_.end(), count, static_cast<std::uint16_t>(first_frame));
}

void Traffic::take_notes(const TrafficSpec& spec) {
  std::string grown, bare;
  const auto add = [](std::string& list, const FrameTemplate& frame) {
    const std::string item = std::string(name_of(frame.kind)) + " " + std::to_string(frame.bytes.size());
    if ((list + ",").find(" " + item + ",") == std::string::npos) list += (list.empty() ? " " : ", ") + item;
  };
  std::size_t at = 0;
  for (const MixEntry& entry : spec.mix) {
    if (is_dns(entry.kind)) {
      at += 2 * dns_name_count;
      continue;
    }
    for (const SizeEntry& size : spec.sizes) {
      const FrameTemplate& frame = frames_[at++];
      if (frame.bytes.size() > size.frame_bytes) add(grown, frame);
      if (!frame.stamped()) add(bare, frame);
    }
  }
  if (!grown.empty()) notes_.push_back("longer than asked for, as their headers are (bytes):" + grown);
  if (!bare.empty())
    notes_.push_back("no sequence number and time stamp, 16 bytes of payload do not fit (bytes):" + bare);
}

void Traffic::shuffle() noexcept {  // Fisher-Yates
  for (std::size_t i = deck_.size(); i > 1; --i) std::swap(deck_[i - 1], deck_[mix64(seed_ + i) % i]);
}

Packet Traffic::next() noexcept {
  const std::uint16_t card = deck_[next_card_];
  if (++next_card_ == deck_.size()) next_card_ = 0;
  Packet packet{&frames_[card], {}};
  std::uint64_t number = made_[entry_of_[card]]++;
  if (is_dns(packet.kind())) {
    const bool response = number % 2 == 1;
    number /= 2;
    packet.frame += 2 * (mix64(seed_ ^ number) % dns_name_count) + (response ? 1 : 0);
  }
  packet.variation.flow = picker_.pick(number);
  packet.variation.serial = static_cast<std::uint16_t>(number);
  if (packet.frame->stamped()) packet.variation.sequence = stamped_++;
  return packet;
}

FrameSet builtin_frames(std::size_t count) {
  TrafficSpec spec;
  spec.mix = realistic_mix();
  spec.sizes = parse_sizes("imix");
  spec.flows = 1000;
  spec.zipf = 1;
  Traffic traffic(spec);
  std::vector<std::vector<std::byte>> samples;
  std::size_t next_sample = 0;
  unsigned round = 0;
  FrameSet set;
  const auto room = [&](std::size_t size_bytes) {
    const std::size_t offset = (set.memory.size() + 63) & ~std::size_t{63};
    set.memory.resize(offset + size_bytes);
    set.offsets.push_back(static_cast<std::uint32_t>(offset));
    set.lengths.push_back(static_cast<std::uint32_t>(size_bytes));
    return set.memory.data() + offset;
  };
  for (std::size_t i = 0; i < count; ++i) {
    if (i % sample_every == sample_every - 1) {
      if (next_sample == samples.size()) {
        samples = sample_frames(round++);
        next_sample = 0;
      }
      const auto& sample = samples[next_sample++];
      std::memcpy(room(sample.size()), sample.data(), sample.size());
      continue;
    }
    Packet packet = traffic.next();
    packet.write(builtin_time_ns + i * 1000, room(packet.size_bytes()));
  }
  return set;
}

}  // namespace engine::gen
