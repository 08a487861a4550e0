-- Which hosts are here that were not before? Addresses that nobody has seen since the start, all queues together:
-- exact, each of them once.
--
--   {"ts":"2026-01-01T12:00:01.000000000Z","type":"new_hosts","plugin":"new_hosts",
--    "from":"2026-01-01T12:00:00.000000000Z","to":"2026-01-01T12:00:01.000000000Z","members":28,"new":28,
--    "entries":[{"src":"10.0.0.0"},{"src":"10.0.0.1"},…]}  (one line)
--
-- Arguments: net: only hosts of this network, as net=10.0.0.0/8; known: a file with addresses that are not news, one
-- a line; max (default 1000000): how many it remembers; what comes then is counted as "refused".

local lan = args.net and net(args.net)
local hosts = engine.set { name = "new_hosts", key = "src", list = true, max = args.max or 1000000, file = args.known }
local nobody4, nobody6 = ip"0.0.0.0", ip"::" -- of who has no address yet

function on_packet(p)
  if p.ip_version == 0 or lan and not p.src:in_net(lan) then return end
  if p.src ~= nobody4 and p.src ~= nobody6 then hosts:add(p) end
end
