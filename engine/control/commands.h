// What the control socket understands: one JSON object a line, {"command":…} and its members; the answer is one too,
// {"ok":true,…} or {"ok":false,"error":"what is wrong; what to do"}. engine/README.md has the list.
//
// Main thread. Pure translation: what is done is the target's affair.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "engine/enforce/enforcement.h"
#include "engine/results/json.h"

namespace engine::control {

// What a run offers. Each returns why it was not done; empty: it was.
struct Target {
  std::function<void(JsonWriter&)> status;  // members of the answer
  std::function<std::string(const std::string& text)> set_filter;
  std::function<std::string()> reload;
  std::function<void()> stop;
  Enforcement* lists = nullptr;  // null: there is no kernel that could be asked
  std::function<std::uint64_t()> now_ns;
};

// The answer to a line, without a newline. Whatever the line is.
std::string answer(std::string_view line, const Target& target);

}  // namespace engine::control
