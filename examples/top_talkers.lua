-- Who sends the most? The k busiest sources of each second, all queues together. Argument: k (default 10).
--
--   {"ts":"2026-01-01T12:00:01.000000000Z","type":"top_talkers","plugin":"top_talkers","from":"2026-01-01T12:00:00.000000000Z",
--    "to":"2026-01-01T12:00:01.000000000Z","entries":[{"src":"10.0.0.7","packets":812,"bytes":649600,"error":0},…]}  (one line)
--
-- "error" is by how much "packets" may be too high: 0 as long as there are fewer than 4,096 different sources.

local talkers = engine.topk { name = "top_talkers", key = "src", k = args.k or 10 }

function on_packet(p) talkers:add(p) end
