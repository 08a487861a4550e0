// Owns a value of libjansson's.
#pragma once

#include <jansson.h>

#include <memory>

namespace engine {

struct JanssonRelease {
  void operator()(json_t* value) const noexcept { json_decref(value); }
};
using Jansson = std::unique_ptr<json_t, JanssonRelease>;

}  // namespace engine
