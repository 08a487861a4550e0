-- Which hosts are still asked for in clear text, and how do they answer? The k most wanted hosts and the status codes
-- of each second, all queues together, on any port; one line for each answer from `errors` on.
--
--   {"ts":"2026-01-01T12:00:01.000000000Z","type":"http_hosts","plugin":"http_hosts",
--    "from":"2026-01-01T12:00:00.000000000Z","to":"2026-01-01T12:00:01.000000000Z","entries":[{"key":"example.org",
--    "count":20,"error":0},{"key":"(none)","count":10,"error":0},…]}  (one line)
--
-- Arguments: k (default 20), errors: status from which an answer has a line of its own (default 500).

filter = "tcp"

local hosts = engine.topk { name = "http_hosts", k = args.k or 20 }
local statuses = engine.counter { name = "http_status" }
local failed = engine.record {
  name = "http_failed", { "client", "ip" }, { "server", "ip" }, { "port", "u16" }, { "status", "u16" },
}
local errors = args.errors or 500

function on_packet(p)
  local head = http.parse(p)
  if not head then return end
  if head.is_request then
    hosts:add(head.host or "(none)")
  else
    local status = head.status
    statuses:add(status)
    if status >= errors then failed:emit(p.dst, p.src, p.src_port, status) end
  end
end
