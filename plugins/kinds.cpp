#include "plugins/kinds.h"

#include <cstdint>
#include <variant>

#include "engine/base/error.h"
#include "plugins/counter.h"
#include "plugins/flows/flow_natives.h"
#include "plugins/table_kinds.h"
#include "plugins/topk.h"

namespace plugins {
namespace {

// A structure that is nothing but its interval's part.
template <typename Kind>
Made make_pair(const Declaration& d, std::string_view size_option) {
  const auto size = static_cast<std::uint32_t>(d.number(size_option));
  return {std::make_unique<Kind>(d.key, size), std::make_unique<Kind>(d.key, size), nullptr};
}

Made make_counter(const Declaration& d) { return make_pair<Counter>(d, "max"); }
Made make_topk(const Declaration& d) { return make_pair<TopK>(d, "k"); }

constexpr struct {
  std::string_view name;
  Made (*make)(const Declaration&);
} kKinds[] = {
    {"counter", make_counter},     {"topk", make_topk}, {"distinct", make_distinct},
    {"histogram", make_histogram}, {"map", make_map},   {"set", make_set},
    {"nets", make_nets},           {"rate", make_rate}, {"flows", make_flows},
};

template <typename Value>
Value option(const Arguments& options, std::string_view name) {
  for (const auto& [known, value] : options)
    if (known == name)
      if (const Value* found = std::get_if<Value>(&value)) return *found;
  return Value{};
}

}  // namespace

double Declaration::number(std::string_view name_of) const { return option<double>(options, name_of); }
bool Declaration::truth(std::string_view name_of) const { return option<bool>(options, name_of); }
std::string Declaration::text(std::string_view name_of) const { return option<std::string>(options, name_of); }

Made make_structure(std::string_view kind, const Declaration& declaration) {
  for (const auto& known : kKinds)
    if (known.name == kind) return known.make(declaration);
  throw engine::SetupError(engine::ExitCode::bad_usage, std::string(kind), "no such structure");
}

}  // namespace plugins
