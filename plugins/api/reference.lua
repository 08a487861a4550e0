-- The reference, plugins/REFERENCE.md, of the data of this folder.

local api = ...

local out = {}
local function put(text, ...) out[#out + 1] = select("#", ...) > 0 and text:format(...) or text end

-- A table's cell: a bar would end it.
local function cell(text) return (text:gsub("|", "\\|")) end

local function code(text) return "`" .. text .. "`" end

local function shown(entry, prefix)
  if not entry.call then return entry.name .. (entry.optional and "?" or "") end
  local params = {}
  for i, param in ipairs(entry.params) do params[i] = param.name .. (param.optional and "?" or "") end
  return prefix .. entry.name .. "(" .. table.concat(params, ", ") .. ")"
end

local function rows(title, kind, entries, prefix)
  if not entries then return end
  put("| %s | %s | |\n|---|---|---|\n", title, kind)
  for _, entry in ipairs(entries) do
    put("| %s | %s | %s |\n", code(cell(shown(entry, prefix))), entry.call and (entry.returns and code(cell(entry.returns)) or "")
      or code(cell(entry.type)), cell(entry.text))
  end
  put("\n")
end

local function base(libraries)
  local names = {}
  for name in pairs(libraries) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    put("- %s%s\n", name ~= "" and code(name) .. ": " or "", libraries[name])
  end
  put("\n")
end

put("# Reference of the Lua interface\n\n")
put("Made of `plugins/api/` by `engine check --reference`; a test holds the two together. `?` marks what may be absent or nil.\n\n")
for _, section in ipairs(api.sections) do
  put("## %s\n\n", section.title)
  if section.text then put("%s\n\n", section.text) end
  if section.example then put("```lua\n%s\n```\n\n", section.example) end
  rows("Setting", "type", section.settings, "")
  rows("Hook", "", section.hooks, "")
  rows("Global", "gives", section.globals, "")
  rows("Function", "gives", section.functions, (section.library or "") .. ".")
  rows("Value", "type", section.values, "")
  rows("Field", "type", section.fields, "")
  rows("Method", "gives", section.methods, ":")
  rows("Option", "type", section.options, "")
  if section.base then base(section.base) end
  rows("Beyond Lua 5.1", "gives", section.additions, "")
end
put("## Types\n\n")
for _, alias in ipairs(api.aliases) do put("- %s: %s\n", code(alias.name), alias.text) end
return table.concat(out)
