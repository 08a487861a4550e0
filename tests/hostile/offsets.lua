-- Reads outside of the captured bytes: every number that could pass a check or wrap.
-- ends: running
local probe = require "probe"
local odd = { -1, -0.5, -1e-300, 0 / 0, 1 / 0, -1 / 0, 2 ^ 31, 2 ^ 32, 2 ^ 32 - 1, 2 ^ 53, 2 ^ 63, 2 ^ 64, -2 ^ 31, -2 ^ 63,
  1e308, 65536, 1e5 }
local wide = { 0ULL, 0LL, 0xffffffffffffffffULL, -1LL, 0x7fffffffffffffffLL, 1i, "0", {}, true, print }
function on_packet(p)
  if p._place % 16 ~= 1 then return end
  local view = p:payload()
  for _, bytes in ipairs { p, view } do
    for _, name in ipairs { "u8", "u16", "u32", "string", "view" } do
      for i = 1, #odd do
        probe.gives_nothing(name .. odd[i], bytes[name], bytes, odd[i])
        probe.gives_nothing(name .. " 0 " .. odd[i], name == "string" and bytes.string or bytes.view, bytes, 0, odd[i])
        probe.gives_nothing(name .. " 1 " .. odd[i], name == "string" and bytes.string or bytes.view, bytes, odd[i], 1)
      end
      for i = 1, #wide do
        probe.fails(name .. " wide " .. i, bytes[name], bytes, wide[i])
        probe.fails("length " .. i, bytes.string, bytes, 0, wide[i])
      end
    end
    for i = 1, #odd do probe.gives_nothing("find" .. odd[i], bytes.find, bytes, "x", odd[i]) end
    for i = 1, #wide do probe.fails("find wide" .. i, bytes.find, bytes, "x", wide[i]) end
    for _, what in ipairs { "", {}, 1, 1ULL, print } do probe.fails("find what", bytes.find, bytes, what) end
    probe.gives_nothing("find nil", bytes.find, bytes)
    probe.gives_nothing("find long", bytes.find, bytes, ("x"):rep(1000000), 0)
  end
  local n = p.caplen
  probe.gives_nothing("u8 end", p.u8, p, n)
  probe.gives_nothing("u16 end", p.u16, p, n - 1)
  probe.gives_nothing("u32 end", p.u32, p, n - 3)
  probe.gives_nothing("u32 fraction", p.u32, p, n - 3.5)
  probe.gives_nothing("string", p.string, p, 1, n)
  probe.gives_nothing("view of view", view.view, view, 1, #view)
  probe.gives_nothing("view of view u8", function() return view:view(0, 0):u8(0) end)
end
on_tick = probe.report
