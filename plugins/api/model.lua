-- Reads the data of this folder: signatures become tables, names can be looked up. Loaded first, with the table that the
-- data files fill; `api.finish()` comes last.

local api = ...
api.sections, api.aliases = {}, {}

function api.section(section) api.sections[#api.sections + 1] = section end
function api.alias(name, type, text) api.aliases[#api.aliases + 1] = { name = name, type = type, text = text } end

-- At commas that lie in no brackets.
local function split(text)
  local parts, depth, from = {}, 0, 1
  for i = 1, #text do
    local c = text:sub(i, i)
    if c:find("[%(<{%[]") then depth = depth + 1 elseif c:find("[%)>}%]]") then depth = depth - 1 end
    if c == "," and depth == 0 then
      parts[#parts + 1], from = text:sub(from, i - 1), i + 1
    end
  end
  if text:find("%S") then parts[#parts + 1] = text:sub(from) end
  return parts
end

local function value_of(text)
  local name, optional, type = text:match("^%s*([%w_%.%[%]]+)(%??):%s*(.-)%s*$")
  assert(name, "no 'name: type': " .. text)
  return { name = name, optional = optional == "?", type = type }
end

-- "u8(off: integer): integer?" with what is said of it.
local function entry_of(given)
  local signature, text = given[1], given[2]
  local name, rest = signature:match("^([%a_][%w_.]*)(%b().*)$")
  if not name then
    local value = value_of(signature)
    value.signature, value.text = signature, text
    return value
  end
  local inside, returns = rest:match("^(%b())%s*:?%s*(.*)$")
  local entry = { name = name, call = true, params = {}, least = 0, most = 0, returns = returns ~= "" and returns or nil,
    signature = signature, text = text }
  for i, part in ipairs(split(inside:sub(2, -2))) do
    local param = value_of(part)
    entry.params[i] = param
    if param.name == "..." then
      entry.most = math.huge
    else
      entry.most = entry.most + 1
      if not param.optional then entry.least = entry.most end
    end
  end
  return entry
end

local lists = { "settings", "hooks", "globals", "functions", "values", "fields", "methods", "options", "additions" }

-- By name; of a function that is described several times, the widest of its arities, and whether one of its forms takes
-- a packet and another a key.
local function index(into, entries)
  for _, entry in ipairs(entries or {}) do
    local known = into[entry.name] or setmetatable({ least = entry.least, most = entry.most }, { __index = entry })
    into[entry.name] = known
    if entry.call then
      known.least, known.most = math.min(known.least, entry.least), math.max(known.most, entry.most)
      local first = entry.params[1] and entry.params[1].type
      known.packet_form = known.packet_form or first == "engine.packet"
      known.key_form = known.key_form or first == "engine.key"
    end
  end
end

-- After the data: api.globals, settings, hooks, libraries[name] and classes[name], each by name.
function api.finish()
  api.globals, api.settings, api.hooks, api.libraries, api.classes, api.base = {}, {}, {}, {}, {}, {}
  for _, section in ipairs(api.sections) do
    for _, list in ipairs(lists) do
      for i, given in ipairs(section[list] or {}) do section[list][i] = entry_of(given) end
    end
    index(api.globals, section.globals)
    index(api.settings, section.settings)
    index(api.hooks, section.hooks)
    if section.library then
      local members = {}
      index(members, section.functions)
      index(members, section.values)
      api.libraries[section.library] = members
    end
    if section.class then
      local class = { name = section.class, what = section.what, index = section.index, members = {}, options = {} }
      index(class.members, section.fields)
      index(class.members, section.methods)
      index(class.options, section.options)
      class.takes_options = section.options ~= nil
      api.classes[section.class] = class
    end
    for library, names in pairs(section.base or {}) do
      api.base[library] = {}
      for name in names:gmatch("%S+") do api.base[library][name] = true end
    end
  end
end
