-- NaN, infinities, 64-bit literals, complex numbers, fractions and negative numbers for every argument of the structures.
-- ends: running
local probe = require "probe"
local by_value = { engine.counter { name = "a" }, engine.topk { name = "b" }, engine.rate { name = "c", above = 1 } }
local keyed = { engine.distinct { name = "d" }, engine.set {}, engine.map { fields = { { "n", "u32" } } } }
local histogram = engine.histogram { name = "h" }
local nets, tagged = engine.nets { items = { "10.0.0.0/8" } }, engine.nets { items = { ["10.0.0.0/8"] = "lan" } }
local odd = { 0 / 0, 1 / 0, -1 / 0, 1ULL, -1LL, 1i, {}, print, true, engine, coroutine.create(print) }
local numbers = { 0 / 0, 1 / 0, -1, 0.5, 2 ^ 54, 1e308, 1ULL, 1i, "1", {}, true }
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  local others = { p, p.src, p:payload(), histogram, nets }
  for i, s in ipairs(by_value) do
    for j = 1, #odd do probe.fails(i .. " key " .. j, s.add, s, odd[j]) end
    for j = 1, #numbers do probe.fails(i .. " n " .. j, s.add, s, "x", numbers[j]) end
    probe.fails(i .. " nil", s.add, s)
    probe.fails(i .. " packet", s.add, s, p)
  end
  for i, s in ipairs(keyed) do
    for j = 1, #odd do
      probe.fails(i .. " keyed " .. j, i == 3 and s.put or s.add, s, odd[j])
    end
  end
  for _, bad in ipairs { 0 / 0, -1, -1 / 0, "1", 1ULL, {}, p } do probe.fails("histogram", histogram.add, histogram, bad) end
  histogram:add(1 / 0)
  histogram:add(1e308)
  histogram:add(5e-324)
  for _, bad in ipairs { "", "10.0.0.0/33", "x", 1, {}, p, "10.0.0.0/8\0", 1ULL } do
    probe.fails("nets add", nets.add, nets, bad)
    probe.fails("nets match", nets.match, nets, bad)
    probe.fails("tag", tagged.add, tagged, net"10.1.0.0/16", bad)
  end
end
function on_tick(now) probe.report() end
