// The standard library as plugins see it: fields, what is refused, and what the JIT compiler makes of it.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>

#include "engine/gen/traffic.h"
#include "tests/plugins/lab.h"
#include "tests/plugins/protocol_lab.h"
#include "tests/plugins/traces.h"

namespace test {
namespace {

using lab::Lab;

// A lab whose packets are these frames, decoded, in turn.
struct FrameLab : Lab {
  explicit FrameLab(const std::vector<Bytes>& list) {
    std::vector<std::uint32_t> offsets;
    frames.clear();
    for (const Bytes& frame : list) {
      offsets.push_back(static_cast<std::uint32_t>(frames.size()));
      frames = frames + frame;
    }
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto size = static_cast<std::uint32_t>(list[i].size());
      engine::decode_frame(frames.data() + offsets[i], size, given.emplace_back());
      LAB_SET(given[i], _off, offsets[i]);
      LAB_SET(given[i], caplen, size);
      LAB_SET(given[i], len, size);
      LAB_SET(given[i], time, 1000.0 * static_cast<double>(i));
    }
    fill(0);
  }
};

Bytes response(std::string_view name, unsigned rcode) {
  return dns_header(0x8180 | rcode, 1, 2) + dns_labels(name) + be16(1) + be16(1) +
         dns_record(kToQuestion, 5, 60, dns_labels("cdn.test")) + dns_record(kToQuestion, 1, 7, Bytes{192, 0, 2, 7});
}
Bytes hello(std::string_view name) {
  return tls_record(tls_hello_body(tls_sni(name) +
                                   tls_extension(16, be16(12) + Bytes{2, 'h', '2', 8} + bytes("http/1.1")) +
                                   tls_extension(43, Bytes{6} + be16(0x0a0a) + be16(0x0304) + be16(0x0303))));
}
Bytes syn() {
  return ethernet(0x0800) + ipv4({.proto = 6}, tcp(4000, 443, 2, {}, Bytes{2, 4, 5, 180, 4, 2, 8, 10, 0, 0,
                                                                           0, 9, 0, 0,   0, 0, 1, 3,  3, 7}));
}
Bytes unreachable() {
  return ethernet(0x0800) + ipv4({.proto = 1}, icmp(3, 3, ipv4({.src = 0x0a000009}, udp(1111, 53, filled(4)))));
}
Bytes arp_request() {
  return ethernet(0x0806) + be16(1) + be16(0x0800) + Bytes{6, 4} + be16(1) + Bytes{2, 0, 0, 0, 0, 1} +
         be32(0x0a000001) + filled(6, 0) + be32(0x0a000002);
}
Bytes request() {
  return tcp4(4000, 80, bytes("GET /a HTTP/1.1\r\nHost: example.org\r\nContent-Length: 12\r\nX-Y: z\r\n\r\n"));
}

struct Expectation {
  Bytes frame;
  std::vector<const char*> holds;
};

TEST(Library, ReadsEachFieldAlsoWhenCompiled) {
  const Expectation all[] = {
      {udp4(53, 4000, response("WWW.Example.org", 3)),
       {"dns.parse(p).qname == 'www.example.org'",
        "dns.parse(p).qname_as_sent == 'WWW.Example.org'",
        "dns.parse(p).rcode == 3 and dns.parse(p).rcode_name == 'NXDOMAIN'",
        "dns.parse(p).id == 0x1234",
        "dns.parse(p).is_response",
        "dns.parse(p).rd and dns.parse(p).ra",
        "not dns.parse(p).aa and not dns.parse(p).tc",
        "not dns.parse(p).ad and not dns.parse(p).cd and not dns.parse(p).truncated",
        "dns.parse(p).opcode == 0 and dns.parse(p).opcode_name == 'QUERY'",
        "dns.parse(p).qtype == 1 and dns.parse(p).qclass == 1 and dns.parse(p).type_name == 'A'",
        "dns.parse(p).question_count == 1 and dns.parse(p).answer_count == 2",
        "dns.parse(p).authority_count == 0 and dns.parse(p).additional_count == 0",
        "dns.parse(p):answer(1).target == 'cdn.test' and dns.parse(p):answer(1).address == nil",
        "dns.parse(p):answer(2).address == ip'192.0.2.7' and dns.parse(p):answer(2).ttl == 7",
        "dns.parse(p):answer(2).target == nil and dns.parse(p):answer(2).priority == nil",
        "dns.parse(p):answer(1).type == 5 and dns.parse(p):answer(1).type_name == 'CNAME'",
        "dns.parse(p):answer(1).name == 'www.example.org' and dns.parse(p):answer(1).class == 1",
        "dns.parse(p):answer(2).data == '\\192\\0\\2\\7'",
        "dns.parse(p):answer(3) == nil",
        "dns.parse(p):answer(0/0) == nil",
        "tostring(dns.parse(p)) == 'a DNS message'",
        "http.parse(p) == nil",
        "tls.parse(p) == nil and tcp.parse(p) == nil and icmp.parse(p) == nil and arp.parse(p) == nil"}},
      {udp4(4000, 54, dns_query("a.test", 65280)),
       {"dns.parse(p) == nil and dns.parse(p, false) == nil", "dns.parse(p, true).qname == 'a.test'",
        "dns.parse(p, true).type_name == 'TYPE65280'"}},
      {request(),
       {"http.parse(p).is_request", "http.parse(p).method == 'GET'", "http.parse(p).target == '/a'",
        "http.parse(p).version == '1.1'", "http.parse(p).host == 'example.org'", "http.parse(p).content_length == 12",
        "http.parse(p).user_agent == nil and http.parse(p).content_type == nil", "http.parse(p):header('x-y') == 'z'",
        "http.parse(p):header('none') == nil", "http.parse(p).status == nil and http.parse(p).reason == nil",
        "http.parse(p).head_complete", "http.parse(p).head_len == p.payload_len", "dns.parse(p, true) == nil"}},
      {tcp4(80, 4000, bytes("HTTP/1.0 301 Moved\r\nContent-Length: 1x\r\nContent-Type: text/html\r\n")),
       {"not http.parse(p).is_request", "http.parse(p).status == 301", "http.parse(p).reason == 'Moved'",
        "http.parse(p).method == nil and http.parse(p).target == nil", "http.parse(p).version == '1.0'",
        "http.parse(p).content_length == nil", "http.parse(p).content_type == 'text/html'",
        "not http.parse(p).head_complete and http.parse(p).head_len == nil"}},
      {tcp4(4000, 443, hello("example.org")),
       {"tls.parse(p).sni == 'example.org'", "tls.parse(p).version == 'TLS 1.3'",
        "tls.parse(p).legacy_version == 'TLS 1.2'", "tls.parse(p).alpn == 'h2'",
        "table.concat(tls.parse(p).alpns, ',') == 'h2,http/1.1'",
        "table.concat(tls.parse(p).versions, ',') == 'TLS 1.3,TLS 1.2'", "tls.parse(p).cipher_count == 3",
        "tls.parse(p).session_id_len == 32", "not tls.parse(p).has_ech and not tls.parse(p).truncated"}},
      {tcp4(4000, 443, tls_record(tls_hello_body({}, 0x0301, 0))),
       {"tls.parse(p).sni == nil and tls.parse(p).alpn == nil and #tls.parse(p).alpns == 0",
        "#tls.parse(p).versions == 0 and tls.parse(p).version == 'TLS 1.0'"}},
      {syn(),
       {"tcp.parse(p).is_syn and not tcp.parse(p).is_ack and not tcp.parse(p).is_fin and not tcp.parse(p).is_rst",
        "not (tcp.parse(p).is_psh or tcp.parse(p).is_urg or tcp.parse(p).is_ece or tcp.parse(p).is_cwr)",
        "tcp.parse(p).mss == 1460 and tcp.parse(p).window_scale == 7 and tcp.parse(p).sack_permitted",
        "tcp.parse(p).ts_val == 9 and tcp.parse(p).ts_ecr == 0 and tcp.parse(p).sack_blocks == 0",
        "tcp.parse(p).src_port == 4000 and tcp.parse(p).dst_port == 443 and tcp.parse(p).flags == p.tcp_flags",
        "tcp.parse(p).seq == p.tcp_seq and tcp.parse(p).ack == p.tcp_ack and tcp.parse(p).window == p.tcp_window",
        "tcp.parse(p).header_len == 40 and tcp.parse(p).payload_len == 0 and tcp.parse(p).urgent == 0",
        "tcp.parse(p).checksum == p:u16(p.l4_off + 16)", "ip.parse(p).version == 4 and ip.parse(p).src == p.src",
        "ip.parse(p).dst == p.dst and ip.parse(p).header_len == 20 and ip.parse(p).total_len == 60",
        "ip.parse(p).id == 1 and not ip.parse(p).df and not ip.parse(p).mf and ip.parse(p).fragment_off == 0",
        "ip.parse(p).ttl == p.ttl and ip.parse(p).proto == 6 and ip.parse(p).next_header == 6",
        "ip.parse(p).tos == 0 and ip.parse(p).dscp == 0 and ip.parse(p).ecn == 0 and ip.parse(p).flow_label == 0",
        "not ip.parse(p).has_hop_by_hop", "eth.parse(p).src == '02:00:00:00:00:01'",
        "eth.parse(p).dst == '02:00:00:00:00:02' and eth.parse(p).type == 0x0800",
        "eth.parse(p).src_mac == '\\2\\0\\0\\0\\0\\1' and eth.parse(p).dst_mac == '\\2\\0\\0\\0\\0\\2'",
        "eth.parse(p).vlan_tags == 0 and eth.parse(p).vlan == 0 and eth.parse(p).inner_vlan == 0",
        "eth.parse(p).priority == 0 and not eth.parse(p).is_multicast and not eth.parse(p).is_broadcast"}},
      {tcp4(1, 2, {}),
       {"tcp.parse(p).mss == nil and tcp.parse(p).window_scale == nil and tcp.parse(p).ts_val == nil",
        "tcp.parse(p).ts_ecr == nil and not tcp.parse(p).sack_permitted"}},
      {ethernet(0x86dd) + ipv6({.next = 58, .traffic_class = 0xbb}, icmp(128, 0, filled(4))),
       {"icmp.parse(p).type_name == 'echo request' and icmp.parse(p).version == 6 and icmp.parse(p).is_echo_request",
        "icmp.parse(p).id == 1 and icmp.parse(p).sequence == 2 and not icmp.parse(p).is_error",
        "icmp.parse(p).mtu == nil and icmp.parse(p).target == nil and icmp.parse(p).inner_src == nil",
        "icmp.parse(p).inner_proto == nil and icmp.parse(p).inner_src_port == nil",
        "ip.parse(p).id == nil and ip.parse(p).dscp == 46 and ip.parse(p).ecn == 3"}},
      {unreachable(),
       {"icmp.parse(p).is_error and icmp.parse(p).type == 3 and icmp.parse(p).code == 3",
        "icmp.parse(p).type_name == 'destination unreachable'", "icmp.parse(p).inner_src == ip'10.0.0.9'",
        "icmp.parse(p).inner_dst == ip'10.0.0.2' and icmp.parse(p).inner_proto == 17",
        "icmp.parse(p).inner_src_port == 1111 and icmp.parse(p).inner_dst_port == 53",
        "icmp.parse(p).id == nil and icmp.parse(p).sequence == nil and not icmp.parse(p).is_echo_reply"}},
      {arp_request(),
       {"arp.parse(p).op == 1 and arp.parse(p).is_request and not arp.parse(p).is_reply",
        "arp.parse(p).sender == ip'10.0.0.1' and arp.parse(p).target == ip'10.0.0.2'",
        "arp.parse(p).sender_mac == '\\2\\0\\0\\0\\0\\1' and arp.parse(p).sender_mac_text == '02:00:00:00:00:01'",
        "arp.parse(p).target_mac == '\\0\\0\\0\\0\\0\\0' and arp.parse(p).target_mac_text == '00:00:00:00:00:00'",
        "ip.parse(p) == nil and eth.parse(p).type == 0x0806"}},
  };
  for (const Expectation& one : all) {
    for (const char* holds : one.holds) {
      FrameLab lab({one.frame});
      EXPECT_EQ(lab.failure_of(std::string("return ") + holds), "") << holds;
    }
  }
}

TEST(Library, RefusesWrongUseAtThePluginsLine) {
  struct {
    const char* body;
    const char* error;
  } const cases[] = {
      {"dns.parse(nil)", "eval:2: dns.parse: a packet expected, got nil"},
      {"dns.parse()", "eval:2: dns.parse: a packet expected, got nil"},
      {"tls.parse({})", "eval:2: tls.parse: a packet expected, got a table"},
      {"ip.parse('10.0.0.1')", "eval:2: ip.parse: a packet expected, got \"10.0.0.1\""},
      {"eth.parse(dns.parse(p))", "eval:2: eth.parse: a packet expected, got a native object"},
      {"dns.parse(p, 1)", "eval:2: dns.parse: any_port is true or false, got 1"},
      {"return dns.parse(p).qnme", "eval:2: a DNS message has no 'qnme'; did you mean 'qname'?"},
      {"return dns.parse(p)[1]", "eval:2: a DNS message has no 'number'"},
      {"dns.parse(p).rcode = 0", "eval:2: a DNS message is read-only"},
      {"dns.parse(p)._generation = 5", "eval:2: attempt to write to constant location"},
      {"dns.pares(p)", "eval:2: dns has no 'pares'; did you mean 'parse'? (there are parse)"},
      {"dns.prase = 5", "eval:2: dns is read-only"},
      {"dns.parse(p).answer(1)", "eval:2: call it as q:answer(i)"},
      {"dns.parse(p):answer('1')", "eval:2: answer: a number from 1 to q.answer_count expected, got \"1\""},
      {"dns.parse(p):answer(1ULL)", "eval:2: answer: a number from 1 to q.answer_count expected, got 1ULL"},
      {"return dns.parse(p):answer(1).adress", "eval:2: a DNS answer has no 'adress'; did you mean 'address'?"},
      {"ip(5)", "eval:2: ip: a text expected, as in ip\"10.0.0.1\", got 5"},
      {"ip'10.0.0'", "eval:2: ip: \"10.0.0\" is no address"},
  };
  for (const auto& [body, error] : cases) {
    FrameLab lab({udp4(53, 4000, response("a.test", 0))});
    EXPECT_EQ(lab.error_of(body), error) << body;
  }
  for (const auto& [body, error] :
       {std::pair{"http.parse(p).header('a')", "eval:2: call it as h:header(\"name\")"},
        {"http.parse(p):header(5)", "eval:2: header: a field's name expected, got 5"},
        {"http.parse(p):header('a:')", "eval:2: header: a field's name without ':' expected, got \"a:\""}}) {
    FrameLab lab({request()});
    EXPECT_EQ(lab.error_of(body), error) << body;
  }
}

// Kept from one packet to the next, and from one batch to the next.
TEST(Library, RefusesWhatIsUsedAfterItsPacket) {
  const Bytes frame = udp4(53, 4000, response("a.test", 0));
  for (const char* use : {"return kept.qname", "return kept.rcode", "kept:answer(1)", "return kept2.ttl",
                          "return kept2.name", "return answer(kept, 1)"}) {
    FrameLab lab({frame});
    lab.load(std::string("local kept, kept2, answer\nfunction on_packet(p) if kept then ") + use +
             " end kept = kept or dns.parse(p) kept2 = kept2 or kept:answer(1) answer = answer or kept.answer end");
    for (int i = 0; i < 8; ++i) lab.run(64);
    EXPECT_EQ(lab.state->statistics().errors, 511u) << use;
    EXPECT_NE(lab.messages()[0].text().find(" is used after its packet; keep what you need of it"), std::string::npos);
  }
  FrameLab lab({frame});
  lab.load(
      "local kept function on_packet(p) if not kept then kept = dns.parse(p) end end\n"
      "function on_tick() print(pcall(function() return kept.qname end)) end");
  lab.run(1);
  lab.state->tick(0);
  EXPECT_NE(lab.messages()[0].text().find("is used after its packet"), std::string::npos);
}

TEST(Library, IsEachInstancesOwn) {
  FrameLab lab({udp4(53, 4000, response("a.test", 0))});
  lab.warm = true;
  lab.load(
      "local parse = dns.parse\nassert(rawequal(rawget(dns, 'mine'), nil))\nrawset(dns, 'mine', true)\n"
      "function on_packet(p) assert(dns.mine and dns.parse == parse) end");
  lab.run(64);
  EXPECT_EQ(lab.state->statistics().errors, 0u);
}

// What new states are warmed up with has something for each parser.
TEST(Library, FindsEachProtocolInTheBuiltInTraffic) {
  const engine::gen::FrameSet set = engine::gen::builtin_frames(4096);
  const auto& natives = plugins::protocol_natives();
  engine_cell cell{reinterpret_cast<const std::uint8_t*>(set.memory.data()), 0, 0, 0};
  std::map<std::string, int> counts;
  for (std::size_t i = 0; i < set.offsets.size(); ++i) {
    engine_packet p;
    engine::decode_batch(
        1, cell.frames,
        [&](std::uint32_t) {
          return engine::FrameSpan{set.offsets[i], set.lengths[i]};
        },
        &p);
    engine_dns dns;
    engine_http head;
    engine_tls tls;
    engine_tcp tcp;
    engine_icmp icmp;
    engine_arp arp;
    counts["dns"] += natives.dns(&dns, &cell, &p, false);
    if (natives.http(&head, &cell, &p)) ++counts[head._is_request ? "request" : "response"];
    counts["tls"] += natives.tls(&tls, &cell, &p) && tls._sni_len != 0 && tls._alpn_len != 0 && tls._version == 0x0304;
    counts["syn"] += natives.tcp(&tcp, &cell, &p) && tcp._has_mss && tcp._has_ts && tcp._has_window_scale;
    counts["error"] += natives.icmp(&icmp, &cell, &p) && icmp._has_inner_ports;
    counts["arp"] += natives.arp(&arp, &cell, &p);
  }
  for (const char* name : {"dns", "request", "response", "tls", "syn", "error", "arp"})
    EXPECT_GT(counts[name], 40) << name;
}

struct Sample {
  const char* name;
  const char* code;
};

class CompiledLibrary : public testing::TestWithParam<Sample> {};

TEST_P(CompiledLibrary, StartsAbortsAndFlushesNoTraceInAMillionPackets) {
  const engine::gen::FrameSet set = engine::gen::builtin_frames(4096);
  std::vector<Bytes> frames;
  for (std::size_t i = 0; i < set.offsets.size(); ++i) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(set.memory.data()) + set.offsets[i];
    frames.emplace_back(from, from + set.lengths[i]);
  }
  FrameLab lab(frames);
  lab.spec.name = lab.spec.code = GetParam().code;
  plugins::Binding binding = lab.binding();
  binding.traffic = {lab.given, lab.frames.data()};  // as the engine does
  plugins::State::Impl impl(lab.spec, binding);
  lab::Traces traces(impl);
  const std::size_t before_bytes = impl.arena.used_bytes();
  lab::run_a_million(impl, lab);
  EXPECT_EQ(impl.stats.errors, 0u);
  EXPECT_EQ(traces.count("start"), 0) << traces.text();
  EXPECT_EQ(traces.count("abort"), 0);
  EXPECT_EQ(traces.count("flush"), 0);
  EXPECT_LE(impl.arena.used_bytes() - before_bytes, 64u << 10);
}

INSTANTIATE_TEST_SUITE_P(
    Plugins, CompiledLibrary,
    testing::Values(
        Sample{"Dns",
               "local names = engine.topk { name = 'n', k = 20 }\n"
               "local failed = engine.record { name = 'f', { 'client', 'ip' }, { 'qname', 'string' }, { 'rcode', 'u8' "
               "} }\n"
               "function on_packet(p) local q = dns.parse(p) if not q then return end names:add(q.qname)\n"
               "if q.rcode ~= 0 and q.is_response then failed:emit(p.dst, q.qname, q.rcode) end end"},
        Sample{"DnsAnswers",
               "local r = engine.record { name = 'r', { 'qname', 'string' }, { 'address', 'ip' }, { 'ttl', 'u32' } }\n"
               "function on_packet(p) local q = dns.parse(p) if not q then return end\n"
               "local a = q:answer(2) if a and a.address then r:emit(q.qname, a.address, a.ttl) end end"},
        Sample{"Tls",
               "local c = engine.counter { name = 'c' } local v = {}\n"
               "function on_packet(p) local t = tls.parse(p) if t and t.sni then c:add(t.sni) "
               "v[t.version] = (v[t.version] or 0) + 1 if t.alpn == 'h2' then v.h2 = (v.h2 or 0) + 1 end end end"},
        Sample{"Http",
               "local c = engine.counter { name = 'c' }\n"
               "function on_packet(p) local h = http.parse(p) if not h then return end\n"
               "if h.is_request then c:add(h.host or '(none)') c:add(h.method) elseif h.status == 200 then "
               "c:add(h.content_type) end end"},
        Sample{"Headers",
               "local c, mss = engine.counter { name = 'c' }, 0\n"
               "function on_packet(p) local t = tcp.parse(p) if t and t.is_syn then mss = mss + (t.mss or 536) end\n"
               "local m = icmp.parse(p) if m and m.is_error then c:add(m.inner_dst) c:add(m.type_name) end\n"
               "local a = arp.parse(p) if a and a.is_request then c:add(a.target) c:add(a.sender_mac) end\n"
               "local i = ip.parse(p) if i and i.ecn == 3 and i.src == ip'10.0.0.1' then c:add(i.src) end\n"
               "local e = eth.parse(p) if e and e.is_broadcast then c:add(e.src) end end"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace test
