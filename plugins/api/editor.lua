-- A plugin for LuaLS, of the data of this folder: LuaLS does not know what the parameters of a global function are that
-- the engine calls, so each hook gets a line with their types before LuaLS reads the file. Its lines stay where they are.

local api = ...

local out = {}
for _, section in ipairs(api.sections) do
  for _, hook in ipairs(section.hooks or {}) do
    local types = {}
    for i, param in ipairs(hook.params) do types[i] = ("%q"):format(param.type) end
    if #types > 0 then out[#out + 1] = ("  %s = { %s },\n"):format(hook.name, table.concat(types, ", ")) end
  end
end

return [[
-- Types for the hooks' parameters, for LuaLS. Made by `engine check --editor`.
local types = {
]] .. table.concat(out) .. [[
}

function OnSetText(_, text)
  local diffs = {}
  for before, at, name, params in ("\n" .. text):gmatch("([^\n]*)\n()function%s+([%w_]+)%s*%(([^)\n]*)%)") do
    local lines = {}
    if types[name] and not before:find("^%-%-%-@param") then
      for param in params:gmatch("[%a_][%w_]*") do
        local type = types[name][#lines + 1]
        if not type then break end
        lines[#lines + 1] = "---@param " .. param .. " " .. type .. "\n"
      end
    end
    if #lines > 0 then diffs[#diffs + 1] = { start = at - 1, finish = at - 2, text = table.concat(lines) } end
  end
  return diffs
end
]]
