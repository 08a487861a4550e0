// The kinds of values an option can have: how text becomes a value, and why it is refused.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "engine/cli/options.h"

namespace engine::cli {
namespace {

std::string number_text(double value) {
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  return error == std::errc() ? std::string(buffer, end) : std::string();
}

// The bytes a suffix stands for: KiB and K are 1024, kB is 1000, as in the SI and IEC 80000-13 (K and M alone follow
// the habit of ip and ethtool: powers of two).
std::uint64_t suffix_bytes(std::string_view suffix) {
  constexpr std::pair<std::string_view, std::uint64_t> suffixes[] = {
      {"", 1},         {"B", 1},          {"K", 1u << 10}, {"KiB", 1u << 10}, {"M", 1u << 20},   {"MiB", 1u << 20},
      {"G", 1u << 30}, {"GiB", 1u << 30}, {"kB", 1000},    {"KB", 1000},      {"MB", 1'000'000}, {"GB", 1'000'000'000}};
  for (const auto& [name, bytes] : suffixes) {
    if (name == suffix) return bytes;
  }
  return 0;
}

std::string size_text(std::size_t bytes) {
  if (bytes != 0 && bytes % (1u << 30) == 0) return std::to_string(bytes >> 30) + "GiB";
  if (bytes != 0 && bytes % (1u << 20) == 0) return std::to_string(bytes >> 20) + "MiB";
  if (bytes != 0 && bytes % (1u << 10) == 0) return std::to_string(bytes >> 10) + "KiB";
  return std::to_string(bytes);
}

// Optimal string alignment distance (Levenshtein with swaps of neighbours), the usual measure for typing errors.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + cost});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before = std::exchange(last, now);
  }
  return last[b.size()];
}

}  // namespace

namespace detail {

std::string number_range(std::uint64_t min, std::uint64_t max, std::string_view zero_word) {
  std::string range = max == std::numeric_limits<std::uint64_t>::max()
                          ? "a whole number from " + std::to_string(min)
                          : std::to_string(min) + ".." + std::to_string(max);
  if (!zero_word.empty()) range.append(" or ").append(zero_word);
  return range;
}

std::uint64_t parse_number(std::string_view text, std::uint64_t min, std::uint64_t max, std::string_view zero_word) {
  if (!zero_word.empty() && text == zero_word) return 0;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || value < min || value > max) throw BadValue{"must be " + number_range(min, max, zero_word), {}};
  return value;
}

std::string join_words(const std::vector<std::string_view>& words) {
  std::string joined;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i != 0) joined.append(i + 1 == words.size() ? " or " : ", ");
    joined.append(words[i]);
  }
  return joined;
}

void refuse_word(std::string_view given, const std::vector<std::string_view>& words) {
  throw BadValue{"must be " + join_words(words), did_you_mean(given, words)};
}

}  // namespace detail

Value flag(bool& target, bool when_given) {
  return {ValueKind::flag,
          {},
          [&target, when_given](std::string_view text) { target = (text == "true") == when_given; },
          [&target, when_given]() -> std::vector<std::string> { return {target == when_given ? "true" : "false"}; }};
}

Value text(std::string& target) {
  return {ValueKind::text,
          {},
          [&target](std::string_view text) {
            if (text.empty()) throw BadValue{"must not be empty", {}};
            // A path or name with a NUL would be cut there by the kernel, silently.
            if (text.find('\0') != text.npos) throw BadValue{"must not hold a NUL byte", {}};
            target = text;
          },
          [&target]() -> std::vector<std::string> {
            if (target.empty()) return {};
            return {target};
          }};
}

Value real(double& target, double min, double max) {
  const std::string range = number_text(min) + ".." + number_text(max);
  return {ValueKind::real, range,
          [&target, min, max, range](std::string_view text) {
            double value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            // Written so that NaN, for which every comparison is false, is refused.
            const bool inside = value >= min && value <= max;
            if (error != std::errc() || end != text.data() + text.size() || !inside) {
              throw BadValue{"must be a number in " + range, {}};
            }
            target = value;
          },
          [&target, min]() -> std::vector<std::string> {
            if (target < min) return {};
            return {number_text(target)};
          }};
}

Value size_in_bytes(std::size_t& target, std::size_t min_bytes, std::size_t max_bytes) {
  const std::string range = size_text(min_bytes) + ".." + size_text(max_bytes);
  return {ValueKind::size, range,
          [&target, min_bytes, max_bytes, range](std::string_view text) {
            std::uint64_t value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
            const std::uint64_t unit = error == std::errc() ? suffix_bytes(suffix) : 0;
            if (unit == 0 || value > max_bytes / unit || value * unit < min_bytes) {
              throw BadValue{"must be a size in " + range, "for example 64MiB"};
            }
            target = value * unit;
          },
          [&target, min_bytes]() -> std::vector<std::string> {
            if (target < min_bytes) return {};
            return {size_text(target)};
          }};
}

Value list(std::vector<std::string>& target) {
  return {ValueKind::list,
          {},
          [&target](std::string_view text) {
            while (true) {
              const std::size_t comma = text.find(',');
              if (text.empty() || comma == 0) throw BadValue{"has an empty entry", "separate entries by single commas"};
              target.emplace_back(text.substr(0, comma));
              if (comma == text.npos) return;
              text.remove_prefix(comma + 1);
            }
          },
          [&target] { return target; },
          [&target] { target.clear(); }};
}

Value repeated(std::vector<std::string>& target) {
  return {ValueKind::repeated,
          {},
          [&target](std::string_view text) { target.emplace_back(text); },
          [&target] { return target; },
          [&target] { target.clear(); }};
}

Value custom(std::function<void(std::string_view)> set, std::string allowed) {
  return {ValueKind::custom, std::move(allowed), std::move(set), {}};
}

std::string_view closest(std::string_view word, std::span<const std::string_view> candidates) {
  // A third of the letters may be wrong; further off, a suggestion would mislead.
  std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::string_view found;
  for (const std::string_view candidate : candidates) {
    const std::size_t d = distance(word, candidate);
    if (d < best) {
      best = d;
      found = candidate;
    }
  }
  return found;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates, std::string_view prefix) {
  const std::string_view found = closest(word, candidates);
  if (found.empty()) return {};
  return "did you mean " + std::string(prefix) + std::string(found) + "?";
}

}  // namespace engine::cli
