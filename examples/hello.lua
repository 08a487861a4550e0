-- How many packets of each IP protocol does this worker see? The smallest analyzer: plain Lua, no native structure.
--
--   {"ts":"2026-01-01T12:00:01.000000000Z","type":"hello","plugin":"hello",
--    "packets":{"0":15,"1":30,"17":90,"6":165}}  (one line)
--
-- It counts per worker; protocols.lua has the same for all queues together.

local packets = {}
for proto = 0, 255 do packets[proto] = 0 end

function on_packet(p)
  local proto = p.proto
  packets[proto] = packets[proto] + 1
end

function on_tick(now)
  local seen = {}
  for proto = 0, 255 do
    if packets[proto] > 0 then seen[tostring(proto)] = packets[proto] end
  end
  if next(seen) then engine.emit("hello", { packets = seen }) end
end
