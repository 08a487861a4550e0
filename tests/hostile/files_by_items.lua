-- Files through the lists of set and nets: other folders, devices, zeros in the name, what is no list.
-- ends: running
local probe = require "probe"
for _, kind in ipairs { "set", "nets" } do
  for i, file in ipairs { "/etc/passwd", "../meson.build", "./probe.lua", "probe.lua\0.txt", "..", ".", "", "/dev/zero", {}, 1,
    "/proc/self/mem", "x/../probe.lua", "no such file" } do
    probe.fails(kind .. " " .. i, engine[kind], { key = kind == "set" and "ip" or nil, file = file })
  end
end
for i, name in ipairs { "/etc/passwd", "../hostile/probe", "probe.lua", "./probe", "", "ffi", "jit", "debug", "io", "os",
  "package", "table.new", "string.buffer", "probe\0x", "a/b", "..", {}, 1 } do
  probe.fails("require " .. i, require, name)
end
function on_packet(p) probe.fails("late", require, "no_such_module") end
on_tick = probe.report
