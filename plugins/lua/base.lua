-- What every part of the library uses: the shared memory, checks, and messages that help.
--
-- The files of this folder are loaded once per state, in the order that plugins/meson.build gives, each with the table
-- `core` as its argument. Nothing here is visible to a plugin: it gets closures and ctypes, never these tables.
-- All functions are held in locals and no method is called on a string, since a plugin could have changed neither
-- (its libraries are copies), but must not be relied on.

local core = ...
local ffi = core.ffi
local type, error, select = type, error, select
local sub, min = string.sub, math.min
local format, tostring_raw = string.format, tostring

local sizes = { engine_packet = 128, engine_addr = 16, engine_message = 24, engine_outbox = 32, engine_cell = 24 }
for name, size_bytes in pairs(sizes) do
  assert(ffi.sizeof("struct " .. name) == size_bytes, "the Lua library does not fit this engine: " .. name)
end

core.groups = {}
for name, group in pairs(core.native_groups) do core.groups[name] = ffi.cast("const " .. group.type .. " *", group.address) end
core.natives = core.groups.base
core.binding = ffi.cast("struct engine_binding *", core.binding_address)
core.outbox = ffi.cast("struct engine_outbox *", core.outbox_address)
core.cell = core.binding.cell

-- One reference per slot, made once: a reference that is made in the loop is garbage as soon as the plugin has a loop of
-- its own. They are const: a write through them is an error.
local packets = ffi.cast("const struct engine_packet *", core.binding.packets)
local refs = {}
for i = 0, core.binding.capacity do refs[i] = packets[i] end
core.refs = refs

local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = sub(a, i, i) == sub(b, j, j) and 0 or 1
      local best = min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

-- The one known name that begins like this one and has all its letters in order: 'sport' for 'src_port'.
local function shortened(name, known)
  local found
  for i = 1, #known do
    local candidate = known[i]
    local at = sub(candidate, 1, 1) == sub(name, 1, 1) and 2 or -1
    for j = 2, at == 2 and #candidate or 0 do
      if sub(candidate, j, j) == sub(name, at, at) then at = at + 1 end
    end
    if #name >= 3 and at > #name then
      if found then return nil end
      found = candidate
    end
  end
  return found
end

-- "; did you mean 'x'?" for the nearest of the known names, or an empty string.
function core.suggest(name, known)
  if type(name) ~= "string" or #name > 40 then return "" end
  local best, best_distance = nil, 3
  for i = 1, #known do
    local d = distance(name, known[i])
    if d < best_distance or (d == best_distance and best and known[i] < best) then best, best_distance = known[i], d end
  end
  if best and best_distance < #name then return "; did you mean '" .. best .. "'?" end
  local short = shortened(name, known)
  return short and "; did you mean '" .. short .. "'?" or ""
end

-- A value for an error message.
function core.show(value)
  local kind = type(value)
  if kind == "string" then return format("%q", sub(value, 1, 60)) end
  if kind == "number" or kind == "boolean" or kind == "nil" then return tostring_raw(value) end
  return "a " .. kind
end

-- An __index for a table of methods: what is not there is named, with what is near.
function core.closed(methods, what)
  local known = {}
  for name in pairs(methods) do known[#known + 1] = name end
  table.sort(known)
  return setmetatable(methods, {
    __index = function(_, key)
      local all = #known <= 12 and " (there are " .. table.concat(known, ", ") .. ")" or ""
      error(what .. " has no '" .. tostring_raw(type(key) == "string" and key or type(key)) .. "'"
              .. core.suggest(key, known) .. all, 2)
    end,
    __newindex = function() error(what .. " is read-only", 2) end,
    __metatable = false,
  })
end
