-- The standard libraries at their ends: counts, places, widths and sizes that overflow.
-- ends: running
local probe = require "probe"
local big = { 2 ^ 31 - 1, 2 ^ 31, -2 ^ 31, 2 ^ 32, 2 ^ 53, -2 ^ 53, 1e308, -1e308, 0 / 0, 1 / 0, -1 / 0 }
function on_packet(p)
  if p._place % 256 ~= 1 then return end
  for i = 1, #big do
    local n = big[i]
    probe.gives_nothing("unpack " .. i, function() return #{ unpack({}, 1, n) } > 1e6 end)
    probe.gives_nothing("unpack from " .. i, function() return select("#", unpack({}, n, n + 1)) > 10 end)
    pcall(select, n, 1, 2)
    pcall(string.sub, "abc", n, n)
    pcall(string.byte, "abc", n, n)
    pcall(string.char, n)
    pcall(string.format, "%c%d%x%5.1f%e%g%a%q", n, n, n, n, n, n, n, n)
    probe.gives_nothing("rep " .. i, function() return #("abc"):rep(n) > 1e6 end)
    pcall(table.concat, { "a" }, ",", n, n)
    pcall(table.remove, { 1, 2 }, n)
    pcall(math.random, n)
    pcall(math.random, 1, n)
    pcall(math.randomseed, n)
    pcall(math.ldexp, 1.5, n)
    pcall(bit.tohex, 255, n)
    pcall(bit.lshift, 1, n)
    pcall(bit.rol, n, n)
    pcall(tonumber, "zz", n)
    pcall(rawset, {}, n, 1)
    pcall(engine.date, n)
    pcall(p.src.prefix, p.src, n)
    pcall(error, "x", n)
    pcall(string.find, "abc", "b", n)
    pcall(string.gsub, "abc", "b", "c", n)
  end
  probe.fails("width", string.format, "%999d", 1)
  probe.fails("width", string.format, "%.999f", 1)
  probe.fails("too many", string.format, ("%s"):rep(10), 1)
  probe.fails("rep", string.rep, ("x"):rep(1000), 1049)
  probe.fails("rep of a separator", string.rep, "", 3, ("x"):rep(600000))
  probe.fails("rep of a number", string.rep, 123456789, 100000)
  probe.fails("rep of texts", string.rep, "x", "9e9")
  for i, bad in ipairs { 1ULL, {}, p, print, true } do
    probe.fails("rep " .. i, string.rep, "x", bad)
    probe.fails("date " .. i, engine.date, bad)
    probe.fails("ip " .. i, ip, bad)
    probe.fails("net " .. i, net, bad)
  end
  for i, text in ipairs { "", "x", "1.2.3", "1.2.3.4\0", "::1::", ("1"):rep(1000000), "1.2.3.4/8", "%s" } do
    probe.fails("ip text " .. i, ip, text)
    probe.fails("in_net text " .. i, p.src.in_net, p.src, text .. "/x")
  end
end
on_tick = probe.report
