// What parsing costs: the standard library's C++ alone, and as a plugin calls it. The frames lie in the cache.
//
// run: protocol_bench [--benchmark_filter=...], or bench/micro --filter lua_protocol for the ratios. "garbage" is bytes
// that Lua allocated per packet.
// Each message comes in 256 variants whose names differ: one repeated would show the branch predictor's best.
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

#include "bench/plugin_rig.h"
#include "engine/decode/decode.h"
#include "plugins/protocols/natives.h"
#include "tests/plugins/messages.h"

namespace {

using test::Bytes;
using test::operator+;

constexpr std::uint32_t kCapacity = bench::kRigCapacity;
constexpr std::uint32_t kBatch = 64;

std::string name_of(std::uint32_t i) {
  return "host" + std::to_string(i * i) + ".example" + std::to_string(i % 7) + ".org";
}

Bytes dns_response(std::uint32_t i) {
  using namespace test;
  return udp4(53, 4000,
              dns_header(0x8180, 1, 2) + dns_labels(name_of(i)) + be16(1) + be16(1) +
                  dns_record(kToQuestion, 5, 60, dns_labels("cdn.example.net")) +
                  dns_record(kToQuestion, 1, 60, be32(0xc0000200 + i)));
}
Bytes http_request(std::uint32_t i) {
  return test::tcp4(
      4000, 80,
      test::bytes("GET /path/" + std::to_string(i) + " HTTP/1.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
                  "Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nHost: " + name_of(i) +
                  "\r\nConnection: keep-alive\r\n\r\n"));
}
Bytes tls_hello(std::uint32_t i) {
  using namespace test;
  return tcp4(4000, 443,
              tls_record(tls_hello_body(
                  tls_extension(0x2a2a, {}) + tls_extension(23, {}) + tls_extension(51, filled(38)) +
                  tls_extension(10, filled(10)) + tls_extension(13, filled(20)) +
                  tls_extension(16, be16(3) + Bytes{2, 'h', '2'}) +
                  tls_extension(43, Bytes{6} + be16(0xfafa) + be16(0x0304) + be16(0x0303)) + tls_sni(name_of(i)))));
}
Bytes tcp_syn(std::uint32_t i) {
  using namespace test;
  return ethernet(0x0800) +
         ipv4({.proto = 6, .src = 0x0a000000 + i},
              tcp(4000, 443, 2, {}, Bytes{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7}));
}
Bytes no_message(std::uint32_t i) { return test::udp4(4000 + i, 4001, test::filled(64)); }

// Decoded frames in memory of their own, all with the same maker.
struct Packets {
  explicit Packets(Bytes (*make)(std::uint32_t)) : decoded(kCapacity + 1) {
    std::vector<engine::FrameSpan> spans;
    for (std::uint32_t i = 0; i <= kCapacity; ++i) {
      const Bytes frame = make(i);
      spans.push_back({memory.size(), static_cast<std::uint32_t>(frame.size())});
      memory = memory + frame;
      memory.resize((memory.size() + 63) & ~std::size_t{63});
    }
    engine::decode_batch(
        kCapacity + 1, memory.data(), [&](std::uint32_t i) { return spans[i]; }, decoded.data());
  }
  Bytes memory;
  std::vector<engine_packet> decoded;
};

void count(benchmark::State& state, std::uint64_t packets) {
  state.SetItemsProcessed(static_cast<std::int64_t>(packets));
}

template <typename Object, typename Parse>
void native(benchmark::State& state, Bytes (*make)(std::uint32_t), const Parse& parse) {
  const Packets packets(make);
  const engine_cell cell{packets.memory.data(), 0, kCapacity, 1};
  Object object;
  std::uint64_t done = 0;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < kBatch; ++i)
      benchmark::DoNotOptimize(parse(object, cell, packets.decoded[(done + i) % kCapacity]));
    done += kBatch;
  }
  count(state, done);
}

void dns(benchmark::State& state) {
  native<engine_dns>(state, dns_response, [](engine_dns& object, const engine_cell& cell, const engine_packet& p) {
    return plugins::protocol_natives().dns(&object, &cell, &p, false);
  });
}
void dns_with_name(benchmark::State& state) {
  native<engine_dns>(state, dns_response, [](engine_dns& object, const engine_cell& cell, const engine_packet& p) {
    static char text[ENGINE_DNS_NAME_BYTES];
    plugins::protocol_natives().dns(&object, &cell, &p, false);
    return plugins::protocol_natives().dns_name(cell.frames + object._off, object._len, object._qname, true, text);
  });
}
void http(benchmark::State& state) {
  native<engine_http>(state, http_request, [](engine_http& object, const engine_cell& cell, const engine_packet& p) {
    return plugins::protocol_natives().http(&object, &cell, &p);
  });
}
void http_with_host(benchmark::State& state) {
  native<engine_http>(state, http_request, [](engine_http& object, const engine_cell& cell, const engine_packet& p) {
    engine_span host{};
    plugins::protocol_natives().http(&object, &cell, &p);
    return plugins::protocol_natives().http_field(&object, &cell, "host", 4, &host);
  });
}
void tls(benchmark::State& state) {
  native<engine_tls>(state, tls_hello, [](engine_tls& object, const engine_cell& cell, const engine_packet& p) {
    return plugins::protocol_natives().tls(&object, &cell, &p);
  });
}
void tcp(benchmark::State& state) {
  native<engine_tcp>(state, tcp_syn, [](engine_tcp& object, const engine_cell& cell, const engine_packet& p) {
    return plugins::protocol_natives().tcp(&object, &cell, &p);
  });
}
BENCHMARK(dns)->Name("lua_protocol/dns/cpp");
BENCHMARK(dns_with_name)->Name("lua_protocol/dns_qname/cpp");
BENCHMARK(http)->Name("lua_protocol/http/cpp");
BENCHMARK(http_with_host)->Name("lua_protocol/http_host/cpp");
BENCHMARK(tls)->Name("lua_protocol/tls_sni/cpp");
BENCHMARK(tcp)->Name("lua_protocol/tcp_mss/cpp");

void plugin(benchmark::State& state, Bytes (*make)(std::uint32_t), const char* code) {
  const Packets seen(make);
  bench::PluginRig rig(code, seen.decoded, seen.memory.data());
  rig.give(seen.decoded);
  for (std::uint32_t i = 0; i < 4 * kCapacity / kBatch; ++i) rig.run(kBatch);
  const std::size_t before_bytes = rig.state().statistics().memory_bytes;
  for (std::uint32_t i = 0; i < 1'000'000 / kBatch; ++i) rig.run(kBatch);
  const auto grown_bytes =
      static_cast<double>(rig.state().statistics().memory_bytes) - static_cast<double>(before_bytes);
  std::uint64_t done = 0;
  for (auto _ : state) {
    rig.run(kBatch);
    rig.state().collect_garbage_step();
    done += kBatch;
  }
  count(state, done);
  state.counters["garbage"] = grown_bytes / 1e6;
  if (rig.state().statistics().errors != 0) state.SkipWithError("the plugin failed");
}

BENCHMARK_CAPTURE(plugin, empty, no_message, "function on_packet(p) end")->Name("lua_protocol/empty/engine");
BENCHMARK_CAPTURE(plugin, dns_none, no_message,
                  "local n = 0 function on_packet(p) if dns.parse(p) then n = n + 1 end end")
    ->Name("lua_protocol/dns_none/engine");
BENCHMARK_CAPTURE(
    plugin, dns_rcode, dns_response,
    "local n = 0 function on_packet(p) local q = dns.parse(p) if q and q.rcode == 0 then n = n + 1 end end")
    ->Name("lua_protocol/dns/engine");
BENCHMARK_CAPTURE(
    plugin, dns_qname, dns_response,
    "local n = 0 function on_packet(p) local q = dns.parse(p) if q and q.qname == 'a' then n = n + 1 end end")
    ->Name("lua_protocol/dns_qname/engine");
BENCHMARK_CAPTURE(plugin, dns_topk, dns_response,
                  "local t = engine.topk { name = 't', k = 20 } function on_packet(p) local q = dns.parse(p) if q then "
                  "t:add(q.qname) end end")
    ->Name("lua_protocol/dns_topk/engine");
BENCHMARK_CAPTURE(
    plugin, dns_address, dns_response,
    "local n, a1 = 0, ip'10.0.0.1' function on_packet(p) local q = dns.parse(p) if q then local a = q:answer(2) "
    "if a.address == a1 then n = n + 1 end end end")
    ->Name("lua_protocol/dns_address/engine");
BENCHMARK_CAPTURE(
    plugin, http_status, http_request,
    "local n = 0 function on_packet(p) local h = http.parse(p) if h and h.is_request then n = n + 1 end end")
    ->Name("lua_protocol/http/engine");
BENCHMARK_CAPTURE(
    plugin, http_host, http_request,
    "local n = 0 function on_packet(p) local h = http.parse(p) if h and h.host == 'a' then n = n + 1 end end")
    ->Name("lua_protocol/http_host/engine");
BENCHMARK_CAPTURE(
    plugin, tls_sni, tls_hello,
    "local n = 0 function on_packet(p) local t = tls.parse(p) if t and t.sni == 'a' then n = n + 1 end end")
    ->Name("lua_protocol/tls_sni/engine");
BENCHMARK_CAPTURE(
    plugin, tcp_mss, tcp_syn,
    "local n = 0 function on_packet(p) local t = tcp.parse(p) if t and t.mss == 1460 then n = n + 1 end end")
    ->Name("lua_protocol/tcp_mss/engine");
BENCHMARK_CAPTURE(plugin, ip_literal, tcp_syn,
                  "local n = 0 function on_packet(p) if p.src == ip'10.0.0.1' then n = n + 1 end end")
    ->Name("lua_protocol/ip_literal/engine");
BENCHMARK_CAPTURE(plugin, ip_constant, tcp_syn,
                  "local n, a = 0, ip'10.0.0.1' function on_packet(p) if p.src == a then n = n + 1 end end")
    ->Name("lua_protocol/ip_constant/engine");

}  // namespace

BENCHMARK_MAIN();
