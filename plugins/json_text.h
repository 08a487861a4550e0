// A string as JSON text (RFC 8259, section 7), for engine.emit.
#pragma once

#include <string>
#include <string_view>

namespace plugins {

// Quoted and escaped. What is no UTF-8 becomes U+FFFD, so that the line stays valid whatever a packet contained.
std::string json_quoted(std::string_view text);

}  // namespace plugins
