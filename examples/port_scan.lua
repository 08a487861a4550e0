-- Who tries many ports or hosts? Sources that open connections to many different (host, port) pairs, all queues
-- together: with "rate", new pairs a second over the last `window`.
--
--   {"ts":"2026-01-01T12:00:10.000000000Z","type":"port_scan","plugin":"port_scan",
--    "from":"2026-01-01T12:00:00.000000000Z","to":"2026-01-01T12:00:10.000000000Z",
--    "entries":[{"src":"203.0.113.66","rate":2.727123975055906}]}  (one line)
--
-- Arguments: targets (default 100) within window (default 60 s): from where on a source is a scanner; pairs (default
-- 1000000): how many (source, host, port) a worker remembers. Those that find no room count at each SYN.
--
-- A pair counts once per window: exact as long as its SYNs come to one queue, as they do from one source port. A
-- scanner that changes its source port for a pair may count once per queue: the rate is then too high, never too low.

interval = 10

local window = args.window or 60
local limit = (args.targets or 100) / window -- per second
local seen = engine.set { key = { "src", "dst", "dst_port" }, ttl = window, max = args.pairs or 1000000 }
local scanners = engine.rate { name = "port_scan", key = "src", window = window, above = limit }

function on_packet(p)
  if bit.band(p.tcp_flags, 0x12) == 0x02 and seen:add(p) ~= false then scanners:add(p) end -- SYN without ACK
end
