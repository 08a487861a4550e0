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

local function make(what, size_option, default, limit)
  local known = { "name", "key", size_option }
  return function(options)
    if type(options) ~= "table" then error(what .. ": a table of options expected", 2) end
    for key in pairs(options) do
      if key ~= "name" and key ~= "key" and key ~= size_option then
        error(what .. ": unknown option " .. show(key) .. core.suggest(key, known), 2)
      end
    end
    -- Read once and raw: a metatable could give another value each time.
    local name, size, fields = rawget(options, "name"), rawget(options, size_option), rawget(options, "key")
    core.check_name(what, name, 3)
    if size == nil then size = default end
    if type(size) ~= "number" or not (size >= 1 and size <= limit) or floor(size) ~= size then
      error(what .. ": " .. size_option .. " is a whole number from 1 to " .. limit .. ", got " .. show(size), 2)
    end
    if type(fields) == "string" then fields = { fields } end
    if fields ~= nil and type(fields) ~= "table" then
      error(what .. ": key is a packet field or a list of them, got " .. show(fields), 2)
    end
    for i, field in ipairs(fields or {}) do
      if not core.key_fields[field] then
        error(what .. ": no packet field " .. show(field) .. " that can be a key"
                .. core.suggest(field, core.key_field_names), 2)
      end
    end
    if fields and #fields == 0 then error(what .. ": key names no field", 2) end
    local address, problem = host.declare_structure(what, name, size, fields)
    if not address then error(what .. ": " .. problem, 2) end
    return ffi.cast(handles[what][fields ~= nil], address)
  end
end

core.key_fields = {}
for _, name in ipairs(core.key_field_names) do core.key_fields[name] = true end

core.counter = make("counter", "max", 65536, 16777216)
core.topk = make("topk", "k", 20, 10000)
