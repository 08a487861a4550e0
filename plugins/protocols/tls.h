// A TLS ClientHello (RFC 8446, 4.1.2; RFC 5246, 7.4.1.2) that begins in this TCP segment. Rules as in dns.h.
#pragma once

#include "plugins/protocol_native.h"

namespace plugins::protocols {

// Part of a hello is one too, from its first 44 bytes on (to behind the random); `_truncated` says so, and what lies
// behind the segment's end is not there.
bool parse_tls(engine_tls* tls, const engine_cell* cell, const engine_packet* packet) noexcept;

}  // namespace plugins::protocols
