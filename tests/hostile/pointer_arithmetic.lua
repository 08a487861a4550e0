-- C data as pointers: adding, indexing, calling, comparing, turning into numbers and texts that show an address.
-- ends: running
local probe = require "probe"
local counter = engine.counter { name = "c", key = "proto" }
local values = engine.set { key = "ip" }
local map = engine.map { key = "src", fields = { { "n", "u32" } } }
local function shows_address(text) return text:find("0x", 1, true) or text:find("%x%x%x%x%x%x%x%x") end
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  local things = { p, p.src, p:payload(), counter, values, map, map:put(p), net"10.0.0.0/8", eth.parse(p), tcp.parse(p) or p }
  for i, x in ipairs(things) do
    probe.fails("x + 1 " .. i, function() return x + 1 end)
    probe.fails("1 + x " .. i, function() return 1 + x end)
    probe.fails("x - x " .. i, function() return x - x end)
    probe.fails("x - 1ULL " .. i, function() return x - 1ULL end)
    probe.fails("x * 2 " .. i, function() return x * 2 end)
    probe.fails("-x " .. i, function() return -x end)
    probe.fails("x ^ 1 " .. i, function() return x ^ 1 end)
    probe.fails("x .. 1 " .. i, function() return x .. 1 end)
    probe.fails("x[0] " .. i, function() return x[0] end)
    probe.fails("x[1] " .. i, function() return x[1] end)
    probe.fails("x[-1] " .. i, function() return x[-1] end)
    probe.fails("x[1ULL] " .. i, function() return x[1ULL] end)
    probe.fails("x[x] " .. i, function() return x[x] end)
    probe.fails("x() " .. i, function() return x() end)
    probe.fails("tobit " .. i, bit.tobit, x)
    probe.fails("tohex " .. i, bit.tohex, x)
    probe.fails("bor " .. i, bit.bor, x, 0ULL)
    probe.fails("floor " .. i, math.floor, x)
    probe.gives_nothing("tonumber " .. i, tonumber, x)
    probe.fails("%d " .. i, string.format, "%d", x)
    probe.fails("%x " .. i, string.format, "%x", x)
    probe.fails("%p " .. i, string.format, "%p", x)
    probe.fails("%5.3p " .. i, string.format, "%5.3p", x)
    probe.fails("%%%p " .. i, string.format, "%%%p", x)
    probe.holds("tostring " .. i, not shows_address(tostring(x)) or i == 3)
    probe.holds("%s " .. i, not shows_address(("%s"):format(x)) or i == 3)
    probe.fails("concat " .. i, table.concat, { x })
    probe.fails("rep " .. i, string.rep, x, 2)
    probe.fails("char " .. i, string.char, x)
    probe.fails("for " .. i, function() for n = x, x do return n end end)
  end
  for i, x in ipairs { {}, print, coroutine.create(print), setmetatable({}, {}), engine, error, p.u8, string } do
    probe.holds("tostring of other " .. i, not shows_address(tostring(x)) and not shows_address(("%s"):format(x)))
    probe.fails("%p other " .. i, string.format, "%p", x)
  end
end
on_tick = probe.report
