// DNS messages (RFC 1035) in one UDP datagram or TCP segment. Pure functions, on the worker's thread; noexcept, no
// allocation, no byte outside the message is read, every loop ends within the message's length.
#pragma once

#include "plugins/protocol_native.h"

namespace plugins::protocols {

bool parse_dns(engine_dns* dns, const engine_cell* cell, const engine_packet* packet, bool any_port) noexcept;

// Text as in a zone file (RFC 1035, 5.1): a dot or backslash within a label and every byte that is no visible ASCII
// character are escaped. Without the last dot; the root alone is ".". RFC 4343: names compare without case, `lower`
// makes that so for texts.
std::uint32_t dns_name(const std::uint8_t* message, std::uint32_t length, std::uint32_t at, bool lower,
                       char* text) noexcept;

bool dns_answer(engine_dns* dns, const engine_cell* cell, double i, engine_dns_answer* answer) noexcept;

}  // namespace plugins::protocols
