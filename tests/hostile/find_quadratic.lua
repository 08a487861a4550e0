-- A plain search that would compare millions of bytes at millions of places, outside of what can be cut off.
-- ends: running
local probe = require "probe"
local piece = ("a"):rep(1000000)
local text, wanted = piece .. piece .. piece, piece .. piece .. "b"
function on_packet(p)
  probe.fails("find", string.find, text, wanted, 1, true)
  probe.fails("method", text.find, text, wanted)
  probe.fails("from a place", string.find, text, wanted, 5, true)
end
on_tick = probe.report
