// The headers that decode has found: Ethernet, ARP, IP, TCP, ICMP, in full. Rules as in dns.h.
#pragma once

#include "plugins/protocol_native.h"

namespace plugins::protocols {

bool parse_eth(engine_eth* eth, const engine_cell* cell, const engine_packet* packet) noexcept;
bool parse_arp(engine_arp* arp, const engine_cell* cell, const engine_packet* packet) noexcept;
bool parse_ip(engine_ip* ip, const engine_cell* cell, const engine_packet* packet) noexcept;
bool parse_tcp(engine_tcp* tcp, const engine_cell* cell, const engine_packet* packet) noexcept;
bool parse_icmp(engine_icmp* icmp, const engine_cell* cell, const engine_packet* packet) noexcept;

void mac_text(const std::uint8_t* mac, char* text) noexcept;  // 17 characters: 02:00:00:00:00:01

}  // namespace plugins::protocols
