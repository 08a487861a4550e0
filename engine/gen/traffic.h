// The sequence of packets that a specification and a seed stand for. Every way of sending takes its packets from
// here, so the same seed gives the same packets in the same order, on a wire or in a file.
//
// The mix is dealt from a shuffled deck: over each pass through it the shares of kinds and sizes are exact. A flow
// belongs to a kind: N flows are N of each kind. DNS comes as query and response in turn, of the same flow.
//
// One thread owns a Traffic. next() and write() neither allocate nor throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/gen/flows.h"
#include "engine/gen/frame.h"
#include "engine/gen/spec.h"

namespace engine::gen {

// A packet that is still to be written: its frame, and what varies but for the time.
struct Packet {
  const FrameTemplate* frame = nullptr;
  Variation variation;

  std::size_t size_bytes() const noexcept { return frame->bytes.size(); }
  Kind kind() const noexcept { return frame->kind; }
  // Copies the frame to `out`, which has room for size_bytes().
  void write(std::uint64_t stamp_ns, std::byte* out) noexcept;
};

class Traffic {
 public:
  // Throws SetupError where the specification cannot be dealt.
  explicit Traffic(const TrafficSpec& spec);

  Packet next() noexcept;

  const FlowPicker& flows() const noexcept { return picker_; }
  const std::vector<FrameTemplate>& frames() const noexcept { return frames_; }
  std::size_t longest_bytes() const noexcept { return longest_bytes_; }
  // What is not as the specification's words suggest: frames longer than asked for, kinds without room for a stamp.
  const std::vector<std::string>& notes() const noexcept { return notes_; }

 private:
  // One line of the mix at one size: its frame, or the first of a kind's DNS frames.
  void add_entry(const TrafficSpec& spec, const MixEntry& entry);
  void add_cards(std::size_t first_frame, std::uint64_t count);
  void take_notes(const TrafficSpec& spec);
  void shuffle() noexcept;

  FlowPicker picker_;
  std::uint64_t seed_;
  std::vector<FrameTemplate> frames_;
  std::vector<std::uint16_t> deck_;  // indices into frames_
  std::size_t next_card_ = 0;
  std::vector<std::uint16_t> entry_of_;  // by frame: its line of the mix
  std::vector<std::uint64_t> made_;      // by line of the mix
  std::uint64_t stamped_ = 0;
  std::size_t longest_bytes_ = 0;
  std::vector<std::string> notes_;
};

// Frames back to back in plain memory, for those who want packets without sending any.
struct FrameSet {
  std::vector<std::byte> memory;
  std::vector<std::uint32_t> offsets;  // each a multiple of 64
  std::vector<std::uint32_t> lengths;
};

// `count` packets of a realistic mix: all kinds, IMIX sizes, 1,000 flows by Zipf's law; every eighth one is a sample
// (engine/gen/samples.h). Always the same ones.
FrameSet builtin_frames(std::size_t count);

}  // namespace engine::gen
