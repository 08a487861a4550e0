// The Community ID of a flow, version 1, seed 0 (github.com/corelight/community-id-spec): what Zeek, Suricata and
// Wireshark call the same flow. A SHA-1 each, so only made where a flow is published or a plugin asks for it.
#pragma once

#include <cstdint>
#include <string>

namespace plugins {

inline constexpr std::size_t kCommunityId_bytes = 30;  // "1:" and 20 bytes in base64

// Of a key as flows/flow_key.h makes it; nothing terminates the text.
void write_community_id(const std::uint64_t* key, char* text) noexcept;
std::string community_id(const std::uint64_t* key);

}  // namespace plugins
