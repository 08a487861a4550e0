-- The loops over a batch: on_packet is inlined into them by the JIT compiler. Entered by C++ once per batch.
--
-- The loops exist once per state and take the hook as an argument: everything else in them is constant, and the hook is
-- known by its prototype, so that traces which the warm-up compiled hold for the real instance.

local core = ...
local cell, refs, binding, batch = core.cell, core.refs, core.binding, core.batch
local index = binding.index

-- `cell.next` tells C++ where an error happened, and the library which packet an output belongs to.
function core.run(on_packet, first, last)
  for i = first, last do
    cell.next = i
    on_packet(refs[i])
  end
end

function core.run_index(on_packet, first, last)
  for k = first, last do
    local i = index[k]
    cell.next = i
    on_packet(refs[i])
  end
end

function core.run_batch(on_batch) on_batch(batch) end
