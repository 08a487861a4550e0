-- Errors that pretend to be the driver's, from a plugin that has no hook for packets: its place would be asked for.
-- ends: running
local probe = require "probe"
interval = 0.001
function on_tick()
  probe.holds("once more", true)
  probe.report()
  error("engine/driver:1: of no packet", 0)
end
function on_stop() error("engine/driver:1: of no packet", 0) end
