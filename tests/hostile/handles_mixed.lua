-- Every method of every structure with every other structure's handle, and with what is none.
-- ends: running
local probe = require "probe"
local made = {
  engine.counter { name = "a", key = "proto" }, engine.counter { name = "b" }, engine.topk { name = "c", key = "src" },
  engine.topk { name = "d" }, engine.distinct { name = "e", key = "src" }, engine.distinct { name = "f" },
  engine.histogram { name = "g" }, engine.map { key = "src", fields = { { "n", "u32" } } },
  engine.map { fields = { { "n", "u32" } } }, engine.map { fields = { { "n", "u32" }, { "m", "u32" } } },
  engine.set { key = "src" }, engine.set { key = "ip" }, engine.nets { items = { "10.0.0.0/8" } },
  engine.nets { items = { ["10.0.0.0/8"] = "lan" } }, engine.rate { name = "h", key = "src", above = 1 },
  engine.rate { name = "i", above = 1 } }
local names = { "add", "get", "put", "delete", "count", "has", "match", "rate" }
function on_packet(p)
  if p._place % 50 ~= 1 then return end
  for i = 1, #made do
    for _, name in ipairs(names) do
      local known, method = pcall(function() return made[i][name] end)
      if known then
        for j = 1, #made do
          if i ~= j and not (name == "count" and i + j == 27) then probe.fails(i .. " " .. name .. " " .. j, method, made[j], p) end
        end
        for _, other in ipairs { p, p.src, p:payload(), {}, "x", 1, 1ULL, 1i, print, engine, setmetatable({}, { __index = made[i] }) } do
          probe.fails(i .. " " .. name .. " other", method, other, p)
        end
        probe.fails(i .. " " .. name .. " nil", method, nil, p)
        probe.fails(i .. " " .. name .. " none", method)
      end
    end
  end
end
on_tick = probe.report
