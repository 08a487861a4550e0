-- The batch: indexes outside of it, with odd numbers, after it; a batch is all there is of the packets' memory.
-- ends: running
local probe = require "probe"
local old
function on_batch(batch)
  probe.holds("the same", old == nil or old == batch)
  old = batch
  for _, place in ipairs { 0, -1, #batch + 1, 257, 1e6, 2 ^ 31, 2 ^ 32 + 1, 2 ^ 53, 0.5, 1.5, 0 / 0, 1 / 0, -1 / 0 } do
    probe.gives_nothing("batch[" .. place .. "]", function() return batch[place] end)
  end
  for i, place in ipairs { 1ULL, 1LL, 1i, "1", "x", {}, true, batch } do
    probe.fails("index " .. i, function() return batch[place] end)
  end
  probe.fails("nil", function() return batch[nil] end)
  probe.fails("write", function() batch[1] = batch[2] end)
  probe.fails("write field", function() batch._unused = 1 end)
  probe.fails("call", function() return batch() end)
  probe.fails("sum", function() return batch + 1 end)
  local first, last = batch[1], batch[#batch]
  local view = last:payload()
  local other = batch[1]
  probe.fails("view of the last", view.u8, view, 0)
end
function on_tick()
  probe.holds("empty now", #old == 0 and old[1] == nil)
  probe.report()
end
