-- Native structures as a plugin sees them: a handle each, whose methods check what they are given. nil would become a
-- null pointer in C++, and FFI converts silently.

local core = ...
local ffi, natives, host, show = core.ffi, core.natives, core.host, core.show
local istype = ffi.istype
local type, error, floor, find, rawget = type, error, math.floor, string.find, rawget
local addr_t, view_t, packet_t, check_view, cell = core.addr_t, core.view_t, core.packet_t, core.check_view, core.cell

function core.check_name(what, name, level)
  if type(name) ~= "string" or name == "" or #name > 64 or not find(name, "^[%w_.%-]+$") then
    error(what .. ": a name of letters, digits, '_', '-' and '.' expected, got " .. show(name), level)
  end
end

-- Called as c.add(...) or with what is no packet: say which, at the plugin's line.
local function bad_add(handle_is_right, what, value)
  if not handle_is_right then error("call it as " .. what .. ":add(...)", 3) end
  error(what .. ":add takes a packet (its keys are packet fields), got " .. show(value), 3)
end

local function by_field(ctype, what, add)
  local handle_t = ffi.typeof(ctype .. " *")
  local methods = {
    add = function(handle, p)
      if not istype(handle_t, handle) or not istype(packet_t, p) then bad_add(istype(handle_t, handle), what, p) end
      add(handle, p)
    end,
  }
  ffi.metatype(ctype, {
    __index = core.closed(methods, "a " .. what),
    __newindex = function() error("a " .. what .. " is read-only", 2) end,
    __tostring = function() return what end,
  })
  return handle_t
end

local function by_value(ctype, what, text, bytes, number, addr)
  local handle_t = ffi.typeof(ctype .. " *")
  local methods = {
    add = function(handle, key, n)
      if not istype(handle_t, handle) then error("call it as " .. what .. ":add(key, n)", 2) end
      if n == nil then n = 1 end
      if type(n) ~= "number" or not (n >= 0 and n <= 9007199254740992) or floor(n) ~= n then
        error(what .. ":add: a whole number that is not negative expected, got " .. show(n), 2)
      end
      local kind = type(key)
      if kind == "string" then
        text(handle, key, #key, n)
      elseif kind == "number" and key - key == 0 then -- NaN and infinities are no keys
        number(handle, key, n)
      elseif istype(view_t, key) then
        check_view(key, "add")
        bytes(handle, cell.frames + key._off, key._len, n)
      elseif istype(addr_t, key) then
        addr(handle, key, n)
      else
        error(what .. ":add: a key is a string, a number, an address or a view, got " .. show(key)
                .. '; to count packets by field, give key = "field"', 2)
      end
    end,
  }
  ffi.metatype(ctype, {
    __index = core.closed(methods, "a " .. what),
    __newindex = function() error("a " .. what .. " is read-only", 2) end,
    __tostring = function() return what end,
  })
  return handle_t
end

local n = natives
local handles = {
  counter = {
    [true] = by_field("struct engine_counter", "counter", n.counter_add),
    [false] = by_value("struct engine_value_counter", "counter", n.counter_text, n.counter_bytes, n.counter_number,
      n.counter_addr),
  },
  topk = {
    [true] = by_field("struct engine_topk", "topk", n.topk_add),
    [false] = by_value("struct engine_value_topk", "topk", n.topk_text, n.topk_bytes, n.topk_number, n.topk_addr),
  },
}

-- Options of a declaration: a table in which every key is known. What it holds is read once and raw: a metatable could
-- give another value each time. The names are kept: the reference is compared with them.
core.option_names = {}
function core.check_options(what, options, known, level)
  core.option_names[what] = known
  if type(options) ~= "table" then error(what .. ": a table of options expected", level + 1) end
  for key in pairs(options) do
    local found = false
    for i = 1, #known do found = found or key == known[i] end
    if not found then error(what .. ": unknown option " .. show(key) .. core.suggest(key, known), level + 1) end
  end
end

-- A whole number between the limits, or the default.
function core.check_number(what, option, value, default, low, high, level)
  if value == nil then value = default end
  if type(value) ~= "number" or not (value >= low and value <= high) or floor(value) ~= value then
    error(what .. ": " .. option .. " is a whole number from " .. low .. " to " .. high .. ", got " .. show(value), level + 1)
  end
  return value
end

core.key_fields = {}
for _, name in ipairs(core.key_field_names) do core.key_fields[name] = true end

-- A key given as one packet field or a list of them; nil: keys are values.
function core.check_key(what, fields, level)
  if fields == nil then return nil end
  if type(fields) == "string" then fields = { fields } end
  if type(fields) ~= "table" then
    error(what .. ": key is a packet field or a list of them, got " .. show(fields), level + 1)
  end
  local checked = {}
  for i = 1, #fields do
    local field = rawget(fields, i)
    if not core.key_fields[field] then
      local shown = type(field) == "string" and "'" .. field .. "'" or show(field)
      error(what .. ": key " .. shown .. " is unknown" .. core.suggest(field, core.key_field_names), level + 1)
    end
    checked[i] = field
  end
  if #checked == 0 then error(what .. ": key names no field", level + 1) end
  return checked
end

-- The address of a new structure's handle. `options` have been checked: name, key (list of fields), fields (typed, as
-- {name=, type=, max_bytes=}), items ({text=, value=}), and what else the kind takes: numbers, texts, booleans.
function core.declare(kind, options, level)
  local address, problem = host.declare_structure(kind, options)
  if not address then error(kind .. ": " .. problem, level + 1) end
  return address
end

-- `drain()` is called between batches while the binding's `pending` is not 0; it calls the plugin for all that waits.
function core.on_pending(drain)
  local drains = core.current.drains
  drains[#drains + 1] = drain
end

local function make(what, size_option, default, limit)
  local known = { "name", "key", size_option }
  return function(options)
    core.check_options(what, options, known, 2)
    local name = rawget(options, "name")
    core.check_name(what, name, 3)
    local key = core.check_key(what, rawget(options, "key"), 2)
    local size = core.check_number(what, size_option, rawget(options, size_option), default, 1, limit, 2)
    return ffi.cast(handles[what][key ~= nil], core.declare(what, { name = name, key = key, [size_option] = size }, 2))
  end
end

core.counter = make("counter", "max", 65536, 16777216)
core.topk = make("topk", "k", 20, 10000)
