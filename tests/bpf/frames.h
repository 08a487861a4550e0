// Frames for the tests: one of a kind, and random ones that reach every branch of filters and block list.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/bpf/support.h"

namespace bpf_test {

// A UDP frame of 64 bytes between two addresses (both IPv4 or both IPv6), behind these VLAN tags (outer first).
Frame udp_frame(const std::string& source, const std::string& target, std::uint16_t source_port,
                std::uint16_t target_port, const std::vector<std::uint16_t>& tags = {});

// Up to three VLAN tags, IPv4 with options and fragments, IPv6 with extension headers, TCP, UDP, ICMP, SCTP and unknown
// protocols, ARP, MPLS, PPPoE and noise; one in four is cut short. Addresses and ports come from small sets, so that
// filters and lists do match. At least 14 bytes.
Frame random_frame(std::mt19937_64& random);

}  // namespace bpf_test
