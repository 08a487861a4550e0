-- Which servers do TLS clients ask for, and who still offers nothing better than TLS 1.1? The k most wanted names and
-- the newest versions offered, each second, all queues together; one line for each hello that is too old.
--
--   {"ts":"2026-01-01T12:00:01.000000000Z","type":"tls_sni","plugin":"tls_sni",
--    "from":"2026-01-01T12:00:00.000000000Z","to":"2026-01-01T12:00:01.000000000Z",
--    "entries":[{"key":"www.example.org","count":8,"error":0},{"key":"(none)","count":4,"error":0},…]}  (one line)
--
-- Arguments: k (default 20).
--
-- "(none)" is a hello without a name; "(cut)" one whose name lies in its second segment, as hellos with post-quantum
-- keys have it now and then.

filter = "tcp"

local names = engine.topk { name = "tls_sni", k = args.k or 20 }
local versions = engine.counter { name = "tls_versions" }
local old = engine.record {
  name = "tls_old", { "client", "ip" }, { "server", "ip" }, { "port", "u16" }, { "sni", "string", optional = true },
  { "version", "string" },
}
local too_old = { ["SSL 3.0"] = true, ["TLS 1.0"] = true, ["TLS 1.1"] = true }

function on_packet(p)
  local hello = tls.parse(p)
  if not hello then return end
  local name, version = hello.sni_view, hello.version -- a view: no string is made to count it
  names:add(name or hello.truncated and "(cut)" or "(none)")
  if not version then return end
  versions:add(version)
  if too_old[version] and not hello.truncated then old:emit(p.src, p.dst, p.dst_port, name, version) end
end
