// What a check found, as text for people or as one JSON object.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/check/dry_run.h"
#include "engine/check/measure.h"
#include "plugins/author.h"

namespace engine::check {

struct Report {
  std::string plugin;   // the file
  std::string traffic;  // what it ran over
  std::vector<plugins::Finding> findings;
  std::optional<Measurement> measurement;  // none: it does not load
  DryRun run;
  std::size_t memory_limit_bytes = 0;
  std::uint64_t deadline_ns = 0;
  bool strict = false;
};

bool failed(const Report& report);
std::string text_of(const Report& report);
std::string json_of(const Report& report);

}  // namespace engine::check
