#include "engine/cli/options.h"

#include <algorithm>

#include "engine/base/error.h"

namespace engine::cli {

OptionTable::OptionTable(std::string command, std::vector<Option> options)
    : command_(std::move(command)), options_(std::move(options)) {
  for (const Option& option : options_) {
    const bool shown = option.value.kind != ValueKind::flag && option.value.get;
    const std::vector<std::string> values = shown ? option.value.get() : std::vector<std::string>{};
    defaults_.push_back(values.size() == 1 ? values.front() : std::string());
  }
}

std::size_t OptionTable::index_of(std::string_view name) const {
  const auto it = std::find_if(options_.begin(), options_.end(), [&](const Option& o) { return o.name == name; });
  return static_cast<std::size_t>(it - options_.begin());
}

std::size_t OptionTable::find_long(std::string_view name) const {
  const std::size_t index = index_of(name);
  if (!name.empty() && index < options_.size()) return index;
  std::vector<std::string_view> names;
  for (const Option& option : options_) {
    if (!option.name.empty()) names.push_back(option.name);
  }
  std::string remedy = did_you_mean(name, names, "--");
  if (remedy.empty()) remedy = "'" + command_ + " --help' lists them";
  throw SetupError(ExitCode::bad_usage, "--" + std::string(name), "unknown option", remedy);
}

std::size_t OptionTable::find_letter(char letter) const {
  for (std::size_t i = 0; i < options_.size(); ++i) {
    if (options_[i].letter == letter && letter != 0) return i;
  }
  throw SetupError(ExitCode::bad_usage, std::string("-") + letter, "unknown option",
                   "'" + command_ + " --help' lists them");
}

// A following word that begins with two dashes is taken for the next option, not for the value: a forgotten value would
// else swallow an option without a word.
std::string OptionTable::take_value(std::span<char* const> args, std::size_t& i, const std::string& spelled,
                                    const Option& option) {
  if (i + 1 < args.size() && !std::string_view(args[i + 1]).starts_with("--")) return args[++i];
  throw SetupError(ExitCode::bad_usage, spelled, "needs a value",
                   "give " + spelled + " " + std::string(option.value_name));
}

void OptionTable::scan_letters(std::span<char* const> args, std::size_t& i) {
  const std::string_view word = args[i];
  for (std::size_t k = 1; k < word.size(); ++k) {
    const std::size_t index = find_letter(word[k]);
    const std::string spelled = std::string("-") + word[k];
    if (options_[index].value.kind == ValueKind::flag) {
      occurrences_.push_back({index, "true", spelled});
      continue;
    }
    std::string value =
        k + 1 < word.size() ? std::string(word.substr(k + 1)) : take_value(args, i, spelled, options_[index]);
    occurrences_.push_back({index, std::move(value), spelled});
    return;
  }
}

void OptionTable::scan(std::span<char* const> args) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string_view word = args[i];
    const bool is_option = word.size() >= 2 && word[0] == '-' && word != "--";
    if (!is_option && words_ != nullptr) {
      words_->emplace_back(word);
      continue;
    }
    if (!is_option) {
      throw SetupError(ExitCode::bad_usage, "'" + std::string(word) + "'",
                       "is not an option, and " + command_ + " takes no other arguments",
                       "'" + command_ + " --help' lists the options");
    }
    if (word[1] != '-') {
      scan_letters(args, i);
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(2, equals == word.npos ? word.npos : equals - 2);
    const std::size_t index = find_long(name);
    const Option& option = options_[index];
    const std::string spelled = "--" + std::string(name);
    const bool has_value = equals != word.npos;
    if (option.value.kind == ValueKind::flag) {
      if (has_value) throw SetupError(ExitCode::bad_usage, word, "takes no value", "write " + spelled);
      occurrences_.push_back({index, "true", spelled});
    } else {
      occurrences_.push_back(
          {index, has_value ? std::string(word.substr(equals + 1)) : take_value(args, i, spelled, option), spelled});
    }
  }
}

void OptionTable::apply() {
  std::vector<bool> seen(options_.size());
  for (const Occurrence& it : occurrences_) {
    const Option& option = options_[it.option];
    // What flags say replaces what the configuration said, also for lists.
    if (!seen[it.option] && option.value.clear) option.value.clear();
    seen[it.option] = true;
    try {
      option.value.set(it.value);
    } catch (const BadValue& bad) {
      const std::string object = option.value.kind == ValueKind::flag ? it.spelled : it.spelled + " " + it.value;
      throw SetupError(ExitCode::bad_usage, object, bad.reason, bad.remedy);
    }
  }
}

void OptionTable::parse(std::span<char* const> args) {
  scan(args);
  apply();
}

std::size_t OptionTable::count(std::string_view name) const {
  const std::size_t index = index_of(name);
  return static_cast<std::size_t>(
      std::count_if(occurrences_.begin(), occurrences_.end(), [&](const auto& it) { return it.option == index; }));
}

std::string_view OptionTable::last_value(std::string_view name) const {
  const std::size_t index = index_of(name);
  for (auto it = occurrences_.rbegin(); it != occurrences_.rend(); ++it) {
    if (it->option == index) return it->value;
  }
  return {};
}

std::string OptionTable::help() const {
  std::string out;
  constexpr std::size_t column = 28;
  for (std::size_t i = 0; i < options_.size(); ++i) {
    const Option& option = options_[i];
    if (option.name.empty()) continue;
    if (!option.section.empty()) out.append(out.empty() ? "" : "\n").append(option.section).append(":\n");
    std::string left = option.letter ? std::string("  -") + option.letter + ", --" : std::string("      --");
    left.append(option.name);
    if (!option.value_name.empty()) left.append(" ").append(option.value_name);
    out.append(left);
    out.append(left.size() + 2 <= column ? std::string(column - left.size(), ' ') : "\n" + std::string(column, ' '));
    out.append(option.help);
    const std::string& allowed = option.value.allowed;
    if (!allowed.empty() && option.value.kind != ValueKind::choice) out.append(" (").append(allowed).append(")");
    if (!defaults_[i].empty()) out.append(" [").append(defaults_[i]).append("]");
    out.append("\n");
  }
  return out;
}

}  // namespace engine::cli
