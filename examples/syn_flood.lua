-- Who floods with SYNs, and what? Sources and services above a rate of connection attempts, all queues together. A
-- source that reaches it gets a line, and is dropped in the kernel for a while.
--
--   {"ts":"2026-01-01T12:00:02.000000000Z","type":"syn_flood","plugin":"syn_flood",
--    "from":"2026-01-01T12:00:01.000000000Z","to":"2026-01-01T12:00:02.000000000Z",
--    "entries":[{"src":"203.0.113.99","rate":1499.4285714285713}]}  (one line)
--
-- Arguments: above (default 1000 SYN/s) of one source; target (default 10000 SYN/s) to one service: with forged
-- sources that is what shows; block (default 60 s, 0 for never): how long a source is dropped.
--
-- Who is blocked is decided by each worker for its queues: from its share of `above` on. A blocked source is not seen
-- any more: what it goes on sending is "blocked" in the summary.

uses = { "block" }

local above, seconds = args.above or 1000, args.block or 60
local sources = engine.rate { name = "syn_flood", key = "src", above = above }
local targets = engine.rate { name = "syn_flood_target", key = { "dst", "dst_port" }, above = args.target or 10000 }
local told = engine.set { key = "src", ttl = math.max(seconds, 1) } -- who has had a line, and is blocked
local found = engine.record { name = "syn_flood_source", { "src", "ip" }, { "rate", "f64" }, { "blocked", "bool" } }
local share = above

function on_start(info) share = above / info.workers end

function on_packet(p)
  if bit.band(p.tcp_flags, 0x12) ~= 0x02 then return end -- SYN without ACK
  sources:add(p)
  targets:add(p)
  local rate = sources:rate(p)
  if rate >= share and told:add(p) then
    found:emit(p.src, rate, seconds > 0 and engine.block(p.src, seconds))
  end
end
