-- How long are TCP's round trips, on the servers' side and on the clients', and what gets lost? Percentiles in ms of
-- the handshakes of each second, all queues together; servers by the segments that were sent again; one line for each
-- connection from `slow` ms on.
--
--   {"ts":"2026-01-01T12:00:01.000000000Z","type":"tcp_rtt_server_ms","plugin":"tcp_rtt",
--    "from":"2026-01-01T12:00:00.000000000Z","to":"2026-01-01T12:00:01.000000000Z","count":14,
--    "min":5,"p50":24.0625,"p90":46.125,"p99":49,"p999":49,"max":49,"mean":26.142857142857142}  (one line)
--
-- Arguments: slow (default 500 ms), k (default 20).
--
-- It needs both directions: on a mirror port, and in the same queue (a symmetric hash, or one queue).

filter = "tcp"

local servers = engine.histogram { name = "tcp_rtt_server_ms" } -- from SYN to SYN/ACK
local clients = engine.histogram { name = "tcp_rtt_client_ms" } -- from there to the ACK
local again = engine.topk { name = "tcp_retransmissions", k = args.k or 20 }
local slow_ms = args.slow or 500
local slow = engine.record {
  name = "tcp_slow", { "client", "ip" }, { "server", "ip" }, { "port", "u16" }, { "rtt_ms", "f64" },
}

local flows = engine.flows {
  user = { { "measured", "bool" } },
  on_end = function(f)
    if f.retransmissions > 0 then again:add(f.dst, f.retransmissions) end
  end,
}

function on_packet(p)
  local f = flows:add(p)
  if not f or f.user.measured then return end
  local ms = f.rtt_ms
  if not ms then return end
  f.user.measured = true
  servers:add(f.rtt_responder_ms)
  clients:add(f.rtt_initiator_ms)
  if ms >= slow_ms then slow:emit(f.src, f.dst, f.dst_port, ms) end
end
