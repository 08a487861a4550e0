-- Writing into packets, addresses, views and networks: all of them lie in memory that others read after this plugin.
-- ends: running
local probe = require "probe"
local fields = { "time", "len", "caplen", "src", "dst", "proto", "src_port", "payload_len", "payload_off", "_off", "_place",
  "_link", "queue", "other", 1, 0, -1 }
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  local view, network = p:payload(), net"10.0.0.0/8"
  for i = 1, #fields do
    probe.fails("packet " .. fields[i], function() p[fields[i]] = 1e9 end)
    probe.fails("view " .. fields[i], function() view[fields[i]] = 1e9 end)
    probe.fails("address " .. fields[i], function() p.src[fields[i]] = 1e9 end)
  end
  for _, name in ipairs { "_hi", "_lo" } do
    probe.fails(name, function() p.src[name] = 0ULL end)
    probe.fails(name, function() local a = p.dst a[name] = 0 end)
  end
  for _, name in ipairs { "_off", "_len", "_generation", "_packet" } do probe.fails(name, function() view[name] = 1e9 end) end
  for _, name in ipairs { "_first_hi", "_mask_hi", "_mask_lo", "_prefix" } do
    probe.fails(name, function() network[name] = 0 end)
  end
  probe.fails("whole", function() p.src = p.dst end)
  probe.fails("literal", function() ip"10.0.0.1"._lo = 0ULL end)
  probe.holds("it is as it was", ip"10.0.0.1" == ip"::ffff:10.0.0.1" and net"10.0.0.0/8":contains(ip"10.9.9.9"))
end
on_tick = probe.report
