#include "tests/bpf/filter_texts.h"

#include <initializer_list>

namespace bpf_test {
namespace {

std::uint64_t below(const Dice& dice, std::uint64_t limit) { return dice() % limit; }

const char* one_of(const Dice& dice, std::initializer_list<const char*> words) {
  return words.begin()[below(dice, words.size())];
}

std::string number(const Dice& dice, std::uint64_t limit) { return std::to_string(below(dice, limit)); }

const char* direction(const Dice& dice) {
  return one_of(dice, {"", "", "src ", "dst ", "src or dst ", "src and dst "});
}

std::string port(const Dice& dice) {
  return below(dice, 3) == 0 ? number(dice, 65536) : one_of(dice, {"22", "53", "80", "443", "8080"});
}

std::string address(const Dice& dice) {
  if (below(dice, 4) == 0)
    return number(dice, 256) + "." + number(dice, 256) + "." + number(dice, 256) + "." + number(dice, 256);
  return one_of(dice, {"10.0.0.1", "10.1.2.3", "192.168.1.1", "192.0.2.9", "2001:db8::1", "2001:db8:1::5", "fe80::1"});
}

// A part of the packet as a number: `ip[6:2]`, by constant or by a number of the packet's own.
std::string bytes_of(const Dice& dice) {
  const char* const base = one_of(dice, {"ether", "ip", "ip6", "tcp", "udp", "icmp", "arp"});
  const std::string size = one_of(dice, {"", ":1", ":2", ":4"});
  switch (below(dice, 6)) {
    case 0:
      return std::string(base) + "[" + number(dice, 9000) + size + "]";
    case 1:
      return std::string(base) + "[ip[" + number(dice, 20) + "] & " + number(dice, 64) + size + "]";
    case 2:
      return std::string(base) + "[len - " + number(dice, 40) + size + "]";
    case 3:
      return std::string(base) + "[len & " + number(dice, 64) + size + "]";
    default:
      return std::string(base) + "[" + number(dice, 40) + size + "]";
  }
}

std::string arithmetic(const Dice& dice) {
  const std::string left = bytes_of(dice);
  switch (below(dice, 5)) {
    case 0:
      return left + " & " + number(dice, 65536);
    case 1:
      return left + one_of(dice, {" + ", " - ", " * ", " / ", " % ", " | ", " ^ ", " << ", " >> "}) +
             std::to_string(1 + below(dice, 31));
    case 2:
      return left + one_of(dice, {" + ", " - ", " * ", " / ", " % ", " | ", " ^ ", " << ", " >> "}) + bytes_of(dice);
    default:
      return left;
  }
}

std::string random_term(const Dice& dice) {
  switch (below(dice, 12)) {
    case 0:
      return direction(dice) + std::string("host ") + address(dice);
    case 1:
      return direction(dice) + std::string("net ") + number(dice, 256) + "." + number(dice, 256) + ".0.0/" +
             std::to_string(1 + below(dice, 16));
    case 2:
      return one_of(dice, {"", "tcp ", "udp ", "sctp "}) + std::string(direction(dice)) + "port " + port(dice);
    case 3: {
      const std::uint64_t first = below(dice, 60000);
      return direction(dice) + std::string("portrange ") + std::to_string(first) + "-" +
             std::to_string(first + below(dice, 5000));
    }
    case 4:
      return one_of(dice, {"ip proto ", "ip6 proto "}) + number(dice, 256);
    case 5:
      return below(dice, 2) == 0 ? "vlan" : "vlan " + std::string(one_of(dice, {"5", "42"}));
    case 6:
      return one_of(dice, {"greater ", "less "}) + number(dice, below(dice, 2) == 0 ? 128 : 9100);
    case 7:
    case 8:
      return arithmetic(dice) + one_of(dice, {" = ", " != ", " > ", " < ", " >= ", " <= "}) +
             (below(dice, 4) == 0 ? bytes_of(dice) : number(dice, below(dice, 2) == 0 ? 256 : 65536));
    default:
      return filter_texts()[1 + below(dice, filter_texts().size() - 1)];
  }
}

}  // namespace

const std::vector<const char*>& filter_texts() {
  static const std::vector<const char*> texts = {
      "",
      "ip",
      "ip6",
      "arp",
      "rarp",
      "tcp",
      "udp",
      "icmp",
      "icmp6",
      "sctp",
      "igmp",
      "ether proto 0x88a8",
      "port 53",
      "udp port 53",
      "tcp port 80 or tcp port 443",
      "src port 22",
      "dst port 443",
      "tcp dst port 8080",
      "portrange 20-100",
      "tcp portrange 400-9000",
      "host 10.0.0.1",
      "src host 192.168.1.1",
      "dst host 192.0.2.9",
      "host 2001:db8::1",
      "src host fe80::1",
      "net 10.0.0.0/8",
      "net 192.168.1",
      "src net 192.168.0.0/16 and dst net 10.0.0.0/8",
      "net 2001:db8::/32",
      "ip6 net 2001:db8:1::/48",
      "not port 22",
      "not (tcp or udp)",
      "tcp and not port 80",
      "host 10.0.0.1 and (port 80 or port 53)",
      "(host 10.0.0.1 or host 192.168.1.77) and not icmp",
      "arp host 10.0.0.1",
      "ether host 02:00:00:00:00:01",
      "ether src 02:00:00:00:00:01",
      "broadcast",
      "multicast",
      "ip multicast",
      "ip6 multicast",
      "vlan",
      "vlan 5",
      "vlan 42 and ip",
      "vlan and udp port 53",
      "vlan and vlan",
      "vlan 5 and vlan 42 and host 10.0.0.1",
      "tcp or (vlan and tcp)",
      "mpls",
      "mpls and host 10.0.0.1",
      "pppoes",
      "pppoes 7 and host 192.168.1.1",
      "less 64",
      "greater 100",
      "len > 60 and udp",
      "ip[0] & 0xf != 5",
      "ip[6:2] & 0x1fff != 0",
      "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
      "tcp[13] == 18",
      "udp[4:2] > 100",
      "ip[8] < 64",
      "ip6[6] == 0",
      "ip proto 50",
      "ip6 proto 17",
      "ip[2:2] - ((ip[0] & 0xf) << 2) > 500",
      "ether[0] & 1 = 1",
      "ether[12:4] = 0x08004500",
      "(ip[2:2] / 7) % 3 == 1",
      "ip[4:2] / (ip[1] & 3) > 1000",
      "ip[4:2] % (ip[1] & 3) = 1",
      "(ip[4:4] >> (ip[1] & 63)) & 1 = 1",
      "(ip[8] << (ip[1] & 63)) > 1000",
      "-ip[8] & 0xff = 192",
      "ip[ip[8]:4] > 0x80000000",
      "ether[len - 1] > 128",
      "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420",
      "icmp[icmptype] = icmp-echo",
      "icmp6[0] = 128",
      "ip host 10.0.0.1 or arp host 10.0.0.1 or ip6 host 2001:db8::1",
      "host 10.0.0.1 or host 10.1.2.3 or host 192.168.1.1 or host 192.0.2.9 or net 224.0.0.0/4 or port 22 or port 53",
  };
  return texts;
}

std::string random_text(const Dice& dice, int depth) {
  if (depth == 0) return "(" + random_term(dice) + ")";
  const std::string left = random_text(dice, depth - 1), right = random_text(dice, depth - 1);
  switch (below(dice, 3)) {
    case 0:
      return "(" + left + " and " + right + ")";
    case 1:
      return "(" + left + " or " + right + ")";
    default:
      return "(not " + left + " and " + right + ")";
  }
}

}  // namespace bpf_test
