-- Who sends the most? The k busiest sources of each second, all queues together.
--
--   {"ts":"2026-01-01T12:00:01.000000000Z","type":"top_talkers","plugin":"top_talkers",
--    "from":"2026-01-01T12:00:00.000000000Z","to":"2026-01-01T12:00:01.000000000Z","entries":[{"src":"10.0.0.0",
--    "packets":34,"bytes":3655,"error":0},{"src":"10.0.0.1","packets":31,"bytes":4345,"error":0},…]}  (one line)
--
-- Arguments: k (default 20); key: src (default), dst, or any other packet field that can be a key.
--
-- "error" is by how much "packets" may be too high: 0 as long as there are fewer than 4,096 different keys.

local talkers = engine.topk { name = "top_talkers", key = args.key or "src", k = args.k or 20 }

function on_packet(p)
  if p.ip_version ~= 0 then talkers:add(p) end
end
