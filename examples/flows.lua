-- Who talked to whom, for how long, how much, and how did it end? One line for each flow that has ended, with both
-- directions, all queues together; one more line each second counts the flows.
--
--   {"ts":"2026-01-01T12:00:03.000000000Z","type":"flows","plugin":"flows","from":"2026-01-01T12:00:02.000000000Z",
--    "to":"2026-01-01T12:00:03.000000000Z",
--    "flow_id":"a8be070efce2c469","community_id":"1:7NgHbhnTsVIF8cPOXG4VH7IDzFU=","src":"10.0.0.2",
--    "dst":"198.51.100.2","src_port":11001,"dst_port":443,"proto":6,
--    "first":"2026-01-01T12:00:00.070000000Z","last":"2026-01-01T12:00:00.528000000Z","duration_s":0.458,
--    "state":"closed","reason":"fin",
--    "forward":{"packets":8,"bytes":510,"payload_bytes":78,"flags":"FSPA","retransmissions":0},
--    "reverse":{"packets":5,"bytes":1770,"payload_bytes":1500,"flags":"FSPA","retransmissions":0},
--    "rtt_ms":20.5,"rtt_responder_ms":16,"rtt_initiator_ms":4.5,"user":{"name":"www.example.org"}}  (one line)
--
-- Arguments: idle (default 60 s without a packet end a flow), active (default 300 s, then a record is cut and the
-- flow goes on in another one), max (default 1000000 flows per worker).
--
-- "user":{"name"} is the server as the client calls it, if that was in clear: from a TLS hello or an HTTP request.

local flows = engine.flows {
  name = "flows", idle = args.idle or 60, active = args.active or 300, max = args.max or 1000000,
  user = { { "name", "string", 64 } },
}

function on_packet(p)
  local f = flows:add(p)
  -- What names the server is among the first segments that its client sends.
  if not f or p.proto ~= 6 or p.payload_len == 0 or f.forward_packets > 8 or f.user.name then return end
  local hello = tls.parse(p)
  local head = not hello and http.parse(p)
  local name = hello and hello.sni or head and head.host
  if name then f.user.name = name end
end
