// The highest rate at which nothing is lost, by binary search (RFC 2544 section 26.1, RFC 1242 section 3.17). A pure
// function of what its trials say.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace engine::bench {

// One run at a rate. RFC 2544 wants the count of received frames to equal that of the sent ones: nothing less.
struct Trial {
  double asked_pps = 0;  // 0: as fast as the sender can
  double sent_pps = 0;   // what came of it
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t refused = 0;  // of those lost, by the sending device's own count

  bool loss_free() const noexcept { return sent > 0 && received == sent; }
};

struct SearchSettings {
  double max_pps = 0;               // where it begins; 0: as fast as the sender can
  double min_pps = 1000;            // below that it gives up
  double resolution = 0.01;         // how near, as a share of the rate, a rate with loss must lie above the result
  std::uint32_t confirmations = 1;  // further trials of what was found, all without loss
  std::uint32_t most_trials = 60;
};

enum class SearchEnd {
  found,           // a rate a little higher lost packets
  sender_limited,  // no loss at the most that the sender could do, or was allowed to
  always_lost,     // also at the lowest rate
  gave_up          // the trials did not agree in `most_trials`
};

// Whatever the trials say, no trial at the result's rate or below it lost a packet.
struct SearchResult {
  double rate_pps = 0;  // 0 unless found or sender_limited
  SearchEnd end = SearchEnd::gave_up;
  std::vector<Trial> trials;
};

SearchResult search(const SearchSettings& settings, const std::function<Trial(double asked_pps)>& run);

}  // namespace engine::bench
