-- The definitions for LuaLS (lua-language-server), so that editors complete and check plugins, of the data of this folder.

local api = ...

local out = {}
local function put(text, ...) out[#out + 1] = select("#", ...) > 0 and text:format(...) or text end

local function comment(text)
  for line in ((text or "") .. "\n"):gmatch("(.-)\n") do put("---%s\n", line) end
end

local function signature(entry, self)
  local params = {}
  if self then params[1] = "self: " .. self end
  for _, param in ipairs(entry.params) do
    params[#params + 1] = param.name .. (param.optional and "?" or "") .. ": " .. param.type
  end
  return ("fun(%s)%s"):format(table.concat(params, ", "), entry.returns and ": " .. entry.returns or "")
end

-- Functions of one name in a row: the first is the definition, the others overloads.
local function functions(entries, owner, separator, self)
  local at = 1
  while entries and at <= #entries do
    local entry = entries[at]
    comment(entry.text)
    for _, param in ipairs(entry.params) do
      put("---@param %s%s %s\n", param.name, param.optional and "?" or "", param.type)
    end
    if entry.returns then put("---@return %s\n", entry.returns) end
    at = at + 1
    while entries[at] and entries[at].name == entry.name do
      put("---@overload %s\n", signature(entries[at], self))
      at = at + 1
    end
    local names = {}
    for i, param in ipairs(entry.params) do names[i] = param.name end
    put("function %s%s%s(%s) end\n\n", owner, separator, entry.name, table.concat(names, ", "))
  end
end

local function fields(entries)
  for _, entry in ipairs(entries or {}) do
    put("---@field %s%s %s %s\n", entry.name, entry.optional and "?" or "", entry.type, entry.text:gsub("\n", " "))
  end
end

-- Lua's own libraries are LuaLS's to know; what a plugin sets or finds as a global is declared.
local function globals(section)
  for _, entry in ipairs(section.settings or {}) do
    comment(entry.text)
    put("---@type %s%s\n%s = nil\n\n", entry.type, entry.optional and "?" or "", entry.name)
  end
  for _, entry in ipairs(section.hooks or {}) do
    comment(entry.text)
    put("---@type %s\n%s = nil\n\n", signature(entry), entry.name)
  end
  for _, entry in ipairs(section.globals or {}) do
    if entry.call and api.libraries[entry.name] then
      -- Comes with the library, as what calling it does.
    elseif entry.call then
      functions({ entry }, "", "")
    else
      comment(entry.text)
      put("---@type %s\n%s = nil\n\n", entry.type, entry.name)
    end
  end
end

local function class(section)
  local name = section.class
  local variable = name:gsub("%.", "_")
  comment(section.text)
  put("---@class %s\n", name)
  fields(section.fields)
  for _, operator in ipairs(section.operators or {}) do put("---@operator %s\n", operator) end
  if section.index then put("---@field [integer] %s?\n", section.index) end
  put("local %s = {}\n\n", variable)
  functions(section.methods, variable, ":", name)
  if not section.options then return end
  put("---@class %s_options\n", name)
  fields(section.options)
  put("\n")
end

put("---@meta\n-- The engine's Lua interface, for LuaLS. Made by `engine check --definitions`.\n\n")
for _, alias in ipairs(api.aliases) do put("---%s\n---@alias %s %s\n\n", alias.text, alias.name, alias.type) end
for _, section in ipairs(api.sections) do
  globals(section)
  if section.class then class(section) end
  functions(section.additions, "", "")
  if section.library then
    comment(section.text)
    put("---@class %s_library\n", section.library)
    local call = api.globals[section.library]
    if call then put("---@overload %s\n", signature(call)) end
    fields(section.values)
    put("%s = {}\n\n", section.library)
    functions(section.functions, section.library, ".")
  end
end
return table.concat(out)
