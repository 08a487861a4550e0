#include "plugins/protocols/natives.h"

#include "plugins/protocols/dns.h"
#include "plugins/protocols/headers.h"
#include "plugins/protocols/http.h"
#include "plugins/protocols/tls.h"

namespace plugins {

const engine_protocol_natives& protocol_natives() noexcept {
  using namespace protocols;
  static constexpr engine_protocol_natives table = {parse_eth,  parse_arp,  parse_ip,      parse_tcp, parse_icmp,
                                                    parse_dns,  parse_http, parse_tls,     mac_text,  dns_name,
                                                    dns_answer, http_field, http_head_len, decimal};
  return table;
}

}  // namespace plugins
