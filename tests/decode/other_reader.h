// What tshark says about the packets of a capture file, as far as decode says the same.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace test {

inline bool has_tshark() { return std::system("tshark --version >/dev/null 2>&1") == 0; }

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::string part;
  std::istringstream stream(text);
  while (std::getline(stream, part, separator)) parts.push_back(part);
  return parts;
}

// One packet: the first value of each field asked for, "" where tshark has none.
using TsharkRow = std::map<std::string, std::string>;

inline std::vector<TsharkRow> tshark(const std::string& file, const std::vector<std::string>& fields) {
  // Each packet for itself: nothing is put together from several, and a wrong checksum changes nothing.
  std::string command = "tshark -n -r '" + file +
                        "' -o ip.defragment:FALSE -o ipv6.defragment:FALSE -o tcp.desegment_tcp_streams:FALSE"
                        " -T fields -E separator=/t -E occurrence=f";
  for (const std::string& field : fields) command += " -e " + field;
  std::vector<TsharkRow> rows;
  FILE* output = ::popen((command + " 2>/dev/null").c_str(), "r");
  if (output == nullptr) return rows;
  char* line = nullptr;
  std::size_t capacity = 0;
  for (ssize_t n; (n = ::getline(&line, &capacity, output)) > 0;) {
    const auto values = split(std::string(line, static_cast<std::size_t>(n - 1)), '\t');
    TsharkRow row;
    for (std::size_t i = 0; i < fields.size(); ++i) row[fields[i]] = i < values.size() ? values[i] : "";
    rows.push_back(row);
  }
  std::free(line);
  ::pclose(output);
  return rows;
}

// The transport that tshark found: "tcp", "udp", ..., "ip" if it found none, "" if no IP header follows Ethernet and
// VLAN tags directly (it goes on behind MPLS, MACsec and others; decode does not). Decode gives up behind 8 extension
// headers and takes AH for the transport over IPv4.
inline std::string tshark_transport(const std::string& frame_protocols) {
  std::string ip;
  int extensions = 0;
  for (const std::string& name : split(frame_protocols, ':')) {
    if (ip.empty()) {
      if (name == "ip" || name == "ipv6") {
        ip = name;
      } else if (name != "eth" && name != "ethertype" && name != "vlan" && name != "ieee8021ad") {
        return "";
      }
      continue;
    }
    const bool is_extension = ip == "ipv6" && (name.rfind("ipv6.", 0) == 0 || name == "ah" || name == "mipv6" ||
                                               name == "shim6" || name == "hip");
    if (is_extension && ++extensions <= 8) continue;
    const bool is_known =
        name == "tcp" || name == "udp" || name == "icmp" || name == "icmpv6" || name == "sctp" || name == "udplite";
    return is_known ? name : "ip";
  }
  return ip.empty() ? "" : "ip";
}

}  // namespace test
