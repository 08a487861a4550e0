#include "engine/bench/search.h"

#include <algorithm>
#include <limits>

namespace engine::bench {
namespace {

// A rate counts as what was sent: a sender that was late sent less than it was asked for.
double rate_of(const Trial& trial) {
  return trial.asked_pps > 0 ? std::min(trial.asked_pps, trial.sent_pps) : trial.sent_pps;
}

class Search {
 public:
  Search(const SearchSettings& settings, const std::function<Trial(double)>& run) : settings_(settings), run_(run) {}

  SearchResult run() {
    result_.end = find();
    if (result_.end == SearchEnd::found || result_.end == SearchEnd::sender_limited) result_.rate_pps = low_;
    return std::move(result_);
  }

 private:
  SearchEnd find() {
    bool at_limit = take(try_at(settings_.max_pps));
    for (;;) {
      if (!at_limit)
        if (const SearchEnd end = narrow(at_limit); end != SearchEnd::found) return end;
      if (confirmed()) return at_limit ? SearchEnd::sender_limited : SearchEnd::found;
      if (exhausted()) return SearchEnd::gave_up;
      at_limit = false;
    }
  }

  // Between a rate without loss (or none) and one with.
  SearchEnd narrow(bool& at_limit) {
    while (high_ - low_asked_ > settings_.resolution * high_) {
      if (exhausted()) return SearchEnd::gave_up;
      const double middle = std::max((low_asked_ + high_) / 2, settings_.min_pps);
      if (middle >= high_) return SearchEnd::always_lost;
      const Trial trial = try_at(middle);
      // What the sender does not reach bounds the search as loss does.
      at_limit = take(trial) && rate_of(trial) < middle * (1 - settings_.resolution);
      if (at_limit) break;
    }
    return low_ > 0 ? SearchEnd::found : SearchEnd::always_lost;
  }

  // Learns from a trial; true if it was without loss. What passed above a rate that lost does not count any more.
  bool take(const Trial& trial) {
    const double rate = rate_of(trial);
    if (trial.loss_free()) {
      if (rate >= high_) return true;
      low_asked_ = trial.asked_pps > 0 ? trial.asked_pps : rate;
      if (rate <= low_) return true;
      low_ = rate;
      confirm_at_ = trial.asked_pps;
      return true;
    }
    high_ = std::min(high_, rate);
    if (high_ <= low_) low_ = low_asked_ = 0;
    return false;
  }

  bool confirmed() {
    for (std::uint32_t i = 0; i < settings_.confirmations; ++i) {
      if (exhausted()) return false;
      const Trial trial = try_at(confirm_at_);
      const double rate = rate_of(trial);
      if (!trial.loss_free()) {  // it was luck: what lies below is searched anew
        high_ = std::min(low_, rate);
        low_ = low_asked_ = 0;
        return false;
      }
      low_ = std::min(low_, rate);  // what it did again
    }
    return true;
  }

  Trial try_at(double pps) {
    Trial trial = run_(pps);
    trial.asked_pps = pps;
    result_.trials.push_back(trial);
    return trial;
  }
  bool exhausted() const { return result_.trials.size() >= settings_.most_trials; }

  const SearchSettings& settings_;
  const std::function<Trial(double)>& run_;
  SearchResult result_;
  double low_ = 0;         // the highest rate without loss that no lower rate speaks against,
  double confirm_at_ = 0;  // what was asked for it,
  double low_asked_ = 0;   // and the highest that was asked for without loss
  double high_ = std::numeric_limits<double>::infinity();  // the lowest rate with loss
};

}  // namespace

SearchResult search(const SearchSettings& settings, const std::function<Trial(double)>& run) {
  return Search(settings, run).run();
}

}  // namespace engine::bench
