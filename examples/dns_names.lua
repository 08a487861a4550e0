-- Who asks for what in the DNS, and what fails? The k most wanted names of each second, all queues together, and one
-- line for each answer with an error.
--
--   {"ts":"2026-01-01T12:00:01.000000000Z","type":"dns_names","plugin":"dns_names",
--    "from":"2026-01-01T12:00:00.000000000Z","to":"2026-01-01T12:00:01.000000000Z",
--    "entries":[{"key":"nosuch.example.org","count":31,"error":0},{"key":"api.example.net","count":15,"error":0},…]}
--   (one line)
--
-- Arguments: k (default 20).
--
-- XDP sees what is received: on a resolver those are the questions of its clients and the answers of other servers.

filter = "udp port 53 or tcp port 53"

local names = engine.topk { name = "dns_names", k = args.k or 20 }
local types = engine.counter { name = "dns_types" }
local failed = engine.record {
  name = "dns_failed", { "client", "ip" }, { "server", "ip" }, { "qname", "string", optional = true },
  { "rcode", "string" },
}

function on_packet(p)
  local q = dns.parse(p)
  if not q then return end
  if q.is_response then
    if q.rcode ~= 0 then failed:emit(p.dst, p.src, q.qname, q.rcode_name or "RCODE" .. q.rcode) end
  elseif q.qname then
    names:add(q.qname)
    types:add(q.type_name)
  end
end
