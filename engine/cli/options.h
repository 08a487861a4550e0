// One table of options drives parsing, --help, defaults, validation, the configuration's keys and --dump.
//
// A table is built once per command over a plain struct of settings and lives only in set-up, on the main thread. The
// struct's initial values are the defaults: nothing states them a second time. A bad value throws SetupError
// (bad_usage) as one line that names the option, the reason and what is allowed.
//
//   Settings s;
//   OptionTable table("engine gen", {{.name = "rate", .value_name = "PPS", .help = "packets per second",
//                                     .value = number(s.rate_pps, 1, 1'000'000'000)}});
//   table.parse(args);
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace engine::cli {

// Why a value is refused; the caller knows what it belongs to (an option, a configuration key) and says so.
struct BadValue {
  std::string reason;
  std::string remedy;
};

enum class ValueKind { flag, text, number, real, size, choice, list, repeated, custom };

// How an option's text is checked, where it goes, and how it is written back.
struct Value {
  ValueKind kind = ValueKind::flag;
  std::string allowed;                            // "1..128 or all"; empty: any text
  std::function<void(std::string_view)> set;      // throws BadValue
  std::function<std::vector<std::string>()> get;  // what set() would take; empty: nothing is set
  std::function<void()> clear = {};               // lists: forget what a lower-ranking source said
};

struct Option {
  std::string_view name;             // without dashes; empty: a configuration key only
  char letter = 0;                   // short form
  std::string_view value_name = {};  // as --help shows it; empty for flags
  std::string_view help = {};
  Value value = {};
  std::string_view config_key = {};  // "block.key" in the configuration; empty: a flag only
  std::string_view section = {};     // heading in --help; empty: the one before
};

namespace detail {
std::uint64_t parse_number(std::string_view text, std::uint64_t min, std::uint64_t max, std::string_view zero_word);
std::string number_range(std::uint64_t min, std::uint64_t max, std::string_view zero_word);
[[noreturn]] void refuse_word(std::string_view given, const std::vector<std::string_view>& words);
std::string join_words(const std::vector<std::string_view>& words);
}  // namespace detail

Value flag(bool& target, bool when_given = true);
Value text(std::string& target);
Value real(double& target, double min, double max);
Value size_in_bytes(std::size_t& target, std::size_t min_bytes, std::size_t max_bytes);  // 65536, 64KiB, 1MB
Value list(std::vector<std::string>& target);                                            // a,b,c
Value repeated(std::vector<std::string>& target);                                        // given any number of times
Value custom(std::function<void(std::string_view)> set, std::string allowed = {});

// An unsigned number; `zero_word` is another way to write 0 ("all"), which then lies outside min..max.
template <class Unsigned>
Value number(Unsigned& target, std::uint64_t min, std::uint64_t max, std::string_view zero_word = {}) {
  return {ValueKind::number, detail::number_range(min, max, zero_word),
          [&target, min, max, zero_word](std::string_view text) {
            target = static_cast<Unsigned>(detail::parse_number(text, min, max, zero_word));
          },
          [&target, zero_word, min]() -> std::vector<std::string> {
            if (target == 0 && !zero_word.empty()) return {std::string(zero_word)};
            if (target < min) return {};
            return {std::to_string(target)};
          }};
}

// One of a few words, each standing for a value of `target`'s type.
template <class Enum>
Value choice(Enum& target, std::initializer_list<std::pair<std::string_view, Enum>> words) {
  std::vector<std::pair<std::string_view, Enum>> table(words);
  std::vector<std::string_view> names;
  for (const auto& [word, value] : table) names.push_back(word);
  return {ValueKind::choice, detail::join_words(names),
          [&target, table, names](std::string_view text) {
            for (const auto& [word, value] : table) {
              if (word == text) {
                target = value;
                return;
              }
            }
            detail::refuse_word(text, names);
          },
          [&target, table]() -> std::vector<std::string> {
            for (const auto& [word, value] : table) {
              if (value == target) return {std::string(word)};
            }
            return {};
          }};
}

class OptionTable {
 public:
  OptionTable(std::string command, std::vector<Option> options);

  // scan() finds the options and their values, apply() checks and stores them: a configuration file named among them
  // is read in between, so that flags win. parse() is both. `args` is without the program's and command's name.
  void scan(std::span<char* const> args);
  void apply();
  void parse(std::span<char* const> args);

  // From here on arguments that are no options go to `words`; without it they are refused. It must outlive the table.
  void take_words(std::vector<std::string>& words) noexcept { words_ = &words; }

  std::size_t count(std::string_view name) const;            // how often scan() saw it
  std::string_view last_value(std::string_view name) const;  // empty if it was not given

  const std::vector<Option>& options() const noexcept { return options_; }
  std::string help() const;  // the sections with one entry an option, defaults included

 private:
  struct Occurrence {
    std::size_t option;
    std::string value;
    std::string spelled;  // "--queues" or "-q", as the user wrote it
  };

  std::size_t find_long(std::string_view name) const;
  std::size_t find_letter(char letter) const;
  std::size_t index_of(std::string_view name) const;
  void scan_letters(std::span<char* const> args, std::size_t& i);
  std::string take_value(std::span<char* const> args, std::size_t& i, const std::string& spelled, const Option& option);

  std::string command_;
  std::vector<Option> options_;
  std::vector<std::string> defaults_;  // taken when the table is made, before anything is set
  std::vector<Occurrence> occurrences_;
  std::vector<std::string>* words_ = nullptr;
};

// The candidate that `word` is most likely a misspelling of; empty if none is near.
std::string_view closest(std::string_view word, std::span<const std::string_view> candidates);

// "did you mean --queues?" or empty.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates,
                         std::string_view prefix = {});

}  // namespace engine::cli
