-- What share of the traffic has each protocol? Packets and bytes per second, all queues together.
--
--   {"ts":"2026-01-01T12:00:01.000000000Z","type":"protocols","plugin":"protocols",
--    "from":"2026-01-01T12:00:00.000000000Z","to":"2026-01-01T12:00:01.000000000Z","entries":[{"proto":6,
--    "packets":165,"bytes":31260},{"proto":17,"packets":90,"bytes":6300},…]}  (one line)

local protocols = engine.counter { name = "protocols", key = "proto" }

function on_packet(p) protocols:add(p) end
