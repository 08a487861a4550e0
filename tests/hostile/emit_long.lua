-- Long texts that become JSON: quoting is native code, and its result is no memory of the plugin's.
-- ends: running
local probe = require "probe"
local piece = ("\1"):rep(1000000)
local text = piece .. piece
function on_packet(p)
  probe.fails("value", engine.emit, "x", { a = text })
  probe.fails("key", engine.emit, "x", { [text] = 1 })
  probe.fails("inside", engine.emit, "x", { { { text } } })
end
on_tick = probe.report
