// The head of an HTTP/1 message (RFC 9112) that begins in this TCP segment. Rules as in dns.h.
#pragma once

#include "plugins/protocol_native.h"

namespace plugins::protocols {

// Strict, so that other protocols' bytes are none: a first line with "HTTP/1." in its place. Where the segment ends
// within a request line, a known method and a target that can be one do.
bool parse_http(engine_http* http, const engine_cell* cell, const engine_packet* packet) noexcept;

// Header fields, found anew at each call. A name compares without case; a value comes without the white space around
// it. Only whole lines count, folded ones (RFC 9112, 5.2) without their continuation.
bool http_field(const engine_http* http, const engine_cell* cell, const char* name, std::uint32_t name_len,
                engine_span* value) noexcept;

std::uint32_t http_head_len(const engine_http* http, const engine_cell* cell) noexcept;

// Digits alone, so many that each whole number is exact; -1 if it is none.
double decimal(const std::uint8_t* text, std::uint32_t length) noexcept;

}  // namespace plugins::protocols
