-- Messages to the collector: records, emit, log. Written straight into the worker's queue, whole or not at all.

local core = ...
local ffi, cell, refs, outbox, binding, host, show = core.ffi, core.cell, core.refs, core.outbox, core.binding, core.host,
  core.show
local istype, cast = ffi.istype, ffi.cast
local type, error, floor, tostring_raw, rawget = type, error, math.floor, tostring, rawget
local concat, sort, format, find = table.concat, table.sort, string.format, string.find

local head_bytes = ffi.sizeof("struct engine_message")
local u64_p = ffi.typeof("uint64_t *")
local message_t = ffi.typeof("struct engine_message *")

-- Room for a message of so many bytes, head filled; nil, counted, if there is none.
local function reserve(kind, schema, size_bytes)
  local length = size_bytes + 7
  length = length - length % 8
  local used = outbox.used
  if used + length > outbox.limit then
    outbox.dropped = outbox.dropped + 1
    return nil
  end
  local data = outbox.data + used
  cast(u64_p, data + length - 8)[0] = 0 -- texts are padded with zeros; what is shorter overwrites it
  local message = cast(message_t, data)
  local p = refs[cell.next]
  message.length, message.kind, message.plugin, message.schema = length, kind, binding.plugin, schema
  message.time, message.place = p.time, p._place
  outbox.used = used + length
  outbox.emitted = outbox.emitted + 1
  return data + head_bytes
end

-- Records -----------------------------------------------------------------------------------------------------------

-- How each type is checked, how long it is, and how it is written at `to + o`; V is the value. A store through FFI would
-- wrap silently, so the range is checked first.
local function whole(low, high, ctype, size_bytes)
  return {
    check = ("type(V) == 'number' and V >= %s and V <= %s and floor(V) == V"):format(low, high),
    size = tostring_raw(size_bytes),
    write = ("cast(%s_p, to + o)[0] = V; o = o + %d"):format(ctype, size_bytes),
  }
end
local function wide(low, ctype)
  return {
    check = ("(type(V) == 'number' and V >= %s and V <= 9007199254740992 and floor(V) == V) or is_%s(V)"):format(low, ctype),
    size = "8",
    write = ("cast(%s_p, to + o)[0] = V; o = o + 8"):format(ctype),
  }
end
-- Strings and views: N is the length, O a view's place among the frames (nil for a string). They are read before anything
-- is stored: behind a store the compiler would have to keep the view in memory, which is 40 bytes of garbage.
local bytes_write = "if O == nil then copy(to + o, V, N) else copy(to + o, cell.frames + O, N) end; o = o + N"
local types = {
  u8 = whole("0", "255", "u8", 1),
  u16 = whole("0", "65535", "u16", 2),
  u32 = whole("0", "4294967295", "u32", 4),
  u64 = wide("0", "u64"),
  i64 = wide("-9007199254740992", "i64"),
  f64 = { check = "type(V) == 'number'", size = "8", write = "cast(f64_p, to + o)[0] = V; o = o + 8" },
  -- What fits into 64 bits of ns; NaN does not.
  time = { check = "type(V) == 'number' and V >= -9.2e18 and V <= 9.2e18", size = "8", write = "cast(f64_p, to + o)[0] = V; o = o + 8" },
  bool = { check = "type(V) == 'boolean'", size = "1", write = "to[o] = V and 1 or 0; o = o + 1" },
  ip = {
    check = "istype(addr_t, V)",
    size = "16",
    write = "do local a = cast(u64_p, to + o); a[0] = V._hi; a[1] = V._lo end; o = o + 16",
  },
  mac = { bytes = true, check = "N == 6", size = "6", write = bytes_write },
  string = {
    bytes = true,
    check = "N ~= nil and N <= 65535",
    size = "2 + N",
    write = "cast(u16_p, to + o)[0] = N; o = o + 2; " .. bytes_write,
  },
}

local type_names = {}
for name in pairs(types) do type_names[#type_names + 1] = name end
sort(type_names)

local tools = {
  istype = istype, cast = cast, copy = ffi.copy, floor = floor, type = type, error = error, cell = cell,
  reserve = reserve, addr_t = core.addr_t,
  u8_p = ffi.typeof("uint8_t *"), u16_p = ffi.typeof("uint16_t *"), u32_p = ffi.typeof("uint32_t *"),
  u64_p = u64_p, i64_p = ffi.typeof("int64_t *"), f64_p = ffi.typeof("double *"),
}

local uint64_t, int64_t, view_t, check_view = ffi.typeof("uint64_t"), ffi.typeof("int64_t"), core.view_t, core.check_view
function tools.is_u64(v) return istype(uint64_t, v) or (istype(int64_t, v) and v >= 0) end
function tools.is_i64(v) return istype(int64_t, v) or (istype(uint64_t, v) and v <= 0x7fffffffffffffffULL) end
function tools.measure(v)
  if type(v) == "string" then return #v end
  if not istype(view_t, v) then return nil end
  check_view(v, "emit")
  return v._len, v._off
end
function tools.bad(record, field, kind, value)
  if type(value) == "nil" then error(record .. ": field '" .. field .. "' is nil and not optional", 3) end
  local shown = istype(core.addr_t, value) and core.address_text(value) or show(value)
  error(record .. ": field '" .. field .. "' takes " .. kind .. ", got " .. shown, 3)
end

core.types, core.type_names, core.type_tools = types, type_names, tools

-- The source of the function that writes one kind of record. Made once per shape and state, so that the traces that the
-- warm-up leaves hold for the real instance too: they are specialised to the function's prototype.
local function writer_source(fields)
  local out = { "local tools = ...\n" }
  local function put(...) out[#out + 1] = format(...) end
  for name in pairs(tools) do put("local %s = tools.%s\n", name, name) end
  put("return function(handle, record, schema, names)\n return function(self")
  for i = 1, #fields do put(", v%d", i) end
  put(", extra)\n  if self ~= handle then error('call it as record:emit(...)', 2) end\n")
  put("  if type(extra) ~= 'nil' then error(record .. ': more values than its %d fields', 2) end\n  local size = %d\n", #fields, head_bytes)
  local function expand(text, i) return (text:gsub("%f[%u][VNO]%f[%U]", { V = "v" .. i, N = "n" .. i, O = "o" .. i })) end
  for i, field in ipairs(fields) do
    local kind = types[field.type]
    if kind.bytes then put("  local n%d, o%d\n", i, i) end
    put("  %s\n", field.optional and expand("size = size + 1 if type(V) ~= 'nil' then", i) or "do")
    if kind.bytes then put("  %s\n", expand("N, O = measure(V)", i)) end
    put("  if not (%s) then bad(record, names[%d], '%s', v%d) end\n", expand(kind.check, i), i, field.type, i)
    put("  size = size + %s\n  end\n", expand(kind.size, i))
  end
  put("  local to = reserve(1, schema, size)\n  if to == nil then return false end\n  local o = 0\n")
  for i, field in ipairs(fields) do
    local write = expand(types[field.type].write, i)
    if field.optional then
      put("  if type(v%d) == 'nil' then to[o] = 0; o = o + 1 else to[o] = 1; o = o + 1; %s end\n", i, write)
    else
      put("  %s\n", write)
    end
  end
  put("  return true\n end\nend\n")
  return concat(out)
end

local reserved = { ts = true, type = true, plugin = true }
local function check_member(what, name)
  if reserved[name] then error(what .. ": '" .. name .. "' is in every result already; use another name", 3) end
end

local writers = {}
local function writer_of(fields)
  local shape = {}
  for i, field in ipairs(fields) do shape[i] = field.type .. (field.optional and "?" or "") end
  shape = concat(shape, " ")
  if not writers[shape] then writers[shape] = assert(loadstring(writer_source(fields), "=engine.record"))(tools) end
  return writers[shape]
end

function core.record(options)
  if type(options) ~= "table" then error("record: a table expected", 2) end
  local name = rawget(options, "name")
  core.check_name("record", name, 3)
  local fields, names, seen = {}, {}, {}
  for key in pairs(options) do
    if key ~= "name" and not (type(key) == "number" and options[key] ~= nil and key >= 1 and key <= #options) then
      error("record: unknown option " .. show(key) .. core.suggest(key, { "name" }), 2)
    end
  end
  for i, field in ipairs(options) do
    if type(field) ~= "table" then error("record: field " .. i .. ' is not of the form { "name", "type" }', 2) end
    local field_name, kind = rawget(field, 1), rawget(field, 2)
    if type(field_name) ~= "string" or not find(field_name, "^[%a_][%w_]*$") or #field_name > 64 then
      error("record: field " .. i .. " has a bad name: " .. show(field_name), 2)
    end
    check_member("record", field_name)
    if seen[field_name] then error("record: field '" .. field_name .. "' is given twice", 2) end
    if type(kind) ~= "string" or not types[kind] then
      error("record: field '" .. field_name .. "' has no type " .. show(kind) .. core.suggest(kind, type_names)
              .. " (there are " .. concat(type_names, ", ") .. ")", 2)
    end
    for key in pairs(field) do
      if key ~= 1 and key ~= 2 and key ~= "optional" then error("record: unknown option " .. show(key), 2) end
    end
    seen[field_name], names[i] = true, field_name
    fields[i] = { name = field_name, type = kind, optional = rawget(field, "optional") and true or false }
  end
  if #fields == 0 then error("record: no fields", 2) end
  if #fields > 60 then error("record: at most 60 fields", 2) end
  local schema, problem = host.declare_record(name, fields)
  if not schema then error("record " .. name .. ": " .. problem, 2) end
  local handle = {}
  handle.emit = writer_of(fields)(handle, name, schema, names)
  return core.closed(handle, "a record")
end

-- emit: the easy, slower way ------------------------------------------------------------------------------------------

local quote = host.quote
local max_text_bytes = 1048576 -- quoting can't be cut off, and its result is not of the plugin's memory

local json
local function json_value(value, depth)
  local kind = type(value)
  if kind == "string" then
    if #value > max_text_bytes then error("emit: a text is longer than " .. max_text_bytes .. " bytes", 0) end
    return quote(value)
  end
  if kind == "boolean" then return value and "true" or "false" end
  if kind == "number" then
    if value ~= value or value == math.huge or value == -math.huge then return "null" end
    if floor(value) == value and value > -1e15 and value < 1e15 then return format("%d", value) end
    for digits = 15, 16 do
      local short = format("%." .. digits .. "g", value)
      if tonumber(short) == value then return short end
    end
    return format("%.17g", value)
  end
  if kind == "cdata" then
    if istype(uint64_t, value) or istype(int64_t, value) then return (tostring_raw(value):gsub("U?LL$", "")) end
    return quote(core.tostring(value))
  end
  if kind == "table" then return json(value, depth) end
  error("emit: a " .. kind .. " is no value", 0)
end

local function members(value, depth)
  local keys = {}
  for key in next, value do
    if type(key) ~= "string" then error("emit: a table's keys are either names or 1, 2, 3, ...", 0) end
    keys[#keys + 1] = key
  end
  sort(keys)
  for i, key in ipairs(keys) do keys[i] = json_value(key) .. ":" .. json_value(rawget(value, key), depth) end
  return concat(keys, ",")
end

function json(value, depth)
  if depth > 16 then error("emit: tables nested more than 16 deep", 0) end
  local count = 0
  for _ in next, value do count = count + 1 end
  if count > 0 and rawget(value, 1) ~= nil then
    local items = {}
    for i = 1, count do
      local item = rawget(value, i)
      if item == nil then error("emit: a table's keys are either names or 1, 2, 3, ...", 0) end
      items[i] = json_value(item, depth + 1)
    end
    return "[" .. concat(items, ",") .. "]"
  end
  return "{" .. members(value, depth + 1) .. "}"
end

function core.emit(name, value)
  core.check_name("emit", name, 3)
  if type(value) ~= "table" then error("emit: a table expected, got " .. show(value), 2) end
  for name in next, value do check_member("emit", name) end
  local done, text = pcall(members, value, 1)
  if not done then error(text, 2) end
  local to = reserve(2, 0, head_bytes + 2 + #name + #text)
  if to == nil then return false end
  cast(tools.u16_p, to)[0] = #name
  ffi.copy(to + 2, name, #name)
  ffi.copy(to + 2 + #name, text, #text)
  return true
end

-- Rare results would be compiled in the middle of a run, and some of this cannot be.
for _, rare in ipairs{ json_value, members, json, core.emit } do jit.off(rare) end

-- log -----------------------------------------------------------------------------------------------------------------

local levels = { error = 0, warn = 1, info = 2, debug = 3 }

function core.log(level, text, ...)
  local number = type(level) == "string" and levels[level]
  if not number then error("log: the level is error, warn, info or debug, got " .. show(level), 2) end
  if select("#", ...) > 0 then text = core.format(text, ...) end
  host.log(number, core.tostring(text))
end
