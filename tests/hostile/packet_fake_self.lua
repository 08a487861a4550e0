-- Accessors with something else as self: tables that look like packets, views, addresses, handles, literals.
-- ends: running
local probe = require "probe"
local counter = engine.counter { name = "c", key = "proto" }
local map = engine.map { key = "src", fields = { { "n", "u32" } } }
local names = { "u8", "u16", "u32", "find", "string", "view", "payload", "ts_ns", "capture" }
local fake = { caplen = 1e9, _off = 0, payload_off = 0, payload_len = 1e9, time = 0, _len = 1e9, _generation = 0 }
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  local view = p:payload()
  for i = 1, #names do
    for j, self in ipairs { fake, setmetatable({}, { __index = fake }), p.src, counter, map, map:put(p), 1ULL, 1LL, 1i,
      "x", print, net"0.0.0.0/0", engine, 0, -1, true } do
      probe.fails(names[i] .. " " .. j, p[names[i]], self, 0, 4)
      if names[i] ~= "capture" and names[i] ~= "payload" and names[i] ~= "ts_ns" then
        probe.fails("view " .. names[i] .. " " .. j, view[names[i]], self, 0, 4)
      end
    end
    probe.fails(names[i] .. " nil", p[names[i]], nil, 0, 4)
    probe.fails(names[i] .. " of a view", p[names[i]], view, 0, 4)
  end
  for _, name in ipairs { "u8", "u16", "u32", "find", "string", "view" } do probe.fails("packet as view", view[name], p, 0, 1) end
  for _, name in ipairs { "in_net", "prefix", "key", "copy", "tostring" } do
    for j, self in ipairs { fake, p, view, counter, 1ULL, 1i, "10.0.0.1", net"10.0.0.0/8" } do
      probe.fails("address " .. name .. j, p.src[name], self, 8)
    end
  end
end
on_tick = probe.report
