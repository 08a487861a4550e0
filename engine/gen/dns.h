// DNS messages (RFC 1035) about a short, fixed list of names: what a resolver's clients ask and what it answers.
#pragma once

#include <cstddef>
#include <vector>

namespace engine::gen {

inline constexpr std::size_t dns_name_count = 12;
inline constexpr std::size_t dns_serial_off = 0;  // the transaction identifier, from the message's start

// The message with transaction identifier 0. Names are from the domains of RFC 2606; every other name is asked for its
// IPv6 address (RFC 3596), and the last one does not exist.
std::vector<std::byte> build_dns_message(std::size_t name, bool response);

}  // namespace engine::gen
