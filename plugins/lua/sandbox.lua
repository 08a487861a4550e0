-- What a plugin sees: an environment of its own for each instance, made of an allow-list. Everything else is absent.

local core = ...
local ffi, host, show, suggest = core.ffi, core.host, core.show, core.suggest
local istype = ffi.istype
local type, error, select, pairs, rawget, rawset, setmetatable, getmetatable, setfenv =
  type, error, select, pairs, rawget, rawset, setmetatable, getmetatable, setfenv
local raw = { tostring = tostring, format = string.format, rep = string.rep, gsub = string.gsub, sort = table.sort,
  resume = coroutine.resume, wrap = coroutine.wrap, pcall = pcall, xpcall = xpcall }
local gsub, find, concat = string.gsub, string.find, table.concat
local max_repeat_bytes = 1048576

-- tostring of tables, functions and C data prints addresses, which would tell a plugin where code and data lie.
local uint64_t, int64_t = ffi.typeof("uint64_t"), ffi.typeof("int64_t")

local function cdata_text(value)
  if istype(uint64_t, value) or istype(int64_t, value) then return raw.tostring(value) end
  if istype(core.addr_t, value) then return core.address_text(value) end
  if istype(core.net_t, value) then return core.net_text(value) end
  if istype(core.packet_t, value) then return core.packet_text(value) end
  if istype(core.view_t, value) then return core.view_text(value) end
  if istype(core.batch_t, value) then return raw.tostring(value) end
  return core.protocol_text(value) or (core.trusted and raw.tostring(value) or "native object")
end

local function safe_tostring(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" or kind == "boolean" or kind == "nil" then return raw.tostring(value) end
  if kind == "cdata" then return cdata_text(value) end
  if kind == "table" then
    local meta = getmetatable(value)
    local convert = type(meta) == "table" and rawget(meta, "__tostring")
    if convert then
      local text = convert(value)
      if type(text) ~= "string" then error("'__tostring' must return a string", 2) end
      return text
    end
  end
  return kind
end
core.tostring = safe_tostring

local function safe_format(template, ...)
  if type(template) ~= "string" then error("format: a string expected, got " .. show(template), 2) end
  if find(gsub(template, "%%%%", ""), "%%[^%a%%]*p") then error("format: %p would show an address", 2) end
  local count, plain = select("#", ...), true
  for i = 1, count do
    local kind = type((select(i, ...)))
    if kind ~= "number" and kind ~= "string" then plain = false end
  end
  if plain then return raw.format(template, ...) end
  local values = { ... }
  for i = 1, count do
    local value = values[i]
    if not (istype(uint64_t, value) or istype(int64_t, value)) and type(value) ~= "number" then
      values[i] = safe_tostring(value)
    end
  end
  return raw.format(template, unpack(values, 1, count))
end
core.format = safe_format

-- Set once the deadline has passed, until Lua is left; it lies beside what plugins can reach. What spends its time outside
-- of LuaJIT's own code, where it can't be cut off, looks at it.
local binding = core.binding

local function safe_rep(text, times, separator)
  -- Lua takes numbers for strings and strings for numbers; 20: no number is longer as text.
  local length = (type(text) == "string" and #text or 20) + (type(separator) == "string" and #separator or 20)
  if type(times) == "string" then times = tonumber(times) end
  if type(times) ~= "number" then error("rep: a number expected", 2) end
  if separator == nil then length = length - 20 end
  if times * length > max_repeat_bytes then error("rep: longer than " .. max_repeat_bytes .. " bytes", 2) end
  if binding.expired ~= 0 then error("rep: the deadline has passed", 2) end
  return raw.rep(text, times, separator)
end

-- A search for a plain text compares the whole of it wherever its first byte is found, in the C library: with megabytes
-- on both sides that takes minutes, and nearly none of it where it could be cut off.
local raw_find, max_wanted_bytes = string.find, 4096

local function safe_find(text, wanted, ...)
  if type(wanted) == "string" and #wanted > max_wanted_bytes then
    error("find: what is looked for is longer than " .. max_wanted_bytes .. " bytes", 2)
  end
  if binding.expired ~= 0 then error("find: the deadline has passed", 2) end
  return raw_find(text, wanted, ...)
end

-- LuaJIT has no limit of its own on what recurses through these: each call takes a part of the thread's stack, and its
-- end is a crash. All others that call back are the interpreter's, which limits them.
local stack_left = core.natives.stack_left
local least_stack_bytes = 524288

local function check_stack()
  if stack_left() < least_stack_bytes then error("stack overflow", 3) end
end

local function safe_gsub(...)
  check_stack()
  return raw.gsub(...)
end

local function safe_sort(...)
  check_stack()
  return raw.sort(...)
end

-- After the deadline nothing is caught any more: a plugin that catches error after error is mostly in the unwinder.
local function passed_on(done, ...)
  if not done and binding.expired ~= 0 then error((...), 0) end
  return done, ...
end

local function safe_pcall(...) return passed_on(raw.pcall(...)) end
local function safe_xpcall(...) return passed_on(raw.xpcall(...)) end

local function safe_resume(...)
  check_stack()
  return passed_on(raw.resume(...))
end

local function safe_wrap(...)
  local run = raw.wrap(...)
  return function(...)
    check_stack()
    return run(...)
  end
end

local function safe_getmetatable(value)
  if type(value) ~= "table" then return nil end
  local meta = getmetatable(value)
  return type(meta) == "table" and meta or nil
end

local function pick(from, names)
  local copy = {}
  for name in names:gmatch("%S+") do copy[name] = from[name] end
  return copy
end

local string_names = "byte char gmatch len lower match reverse sub upper"
local function string_library()
  local copy = pick(string, string_names)
  copy.find, copy.format, copy.rep, copy.gsub = safe_find, safe_format, safe_rep, safe_gsub
  return copy
end

-- ("x"):rep(n) goes by the strings' metatable: it gets a copy that no plugin holds.
local shared = getmetatable("")
shared.__index = core.closed(string_library(), "a string")
shared.__metatable = false

local base_names = "assert error ipairs next pairs rawequal rawget rawset select setmetatable tonumber type "
  .. "unpack _VERSION"
local math_names = "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min modf pi "
  .. "pow rad random randomseed sin sinh sqrt tan tanh"
local table_names = "concat insert maxn move remove"
local bit_names = "tobit tohex bnot band bor bxor lshift rshift arshift rol ror bswap"
local coroutine_names = "create isyieldable running status yield"

local function copy_args(args)
  local copy = {}
  for key, value in pairs(args) do copy[key] = value end
  return copy
end

local function now() return core.refs[core.cell.next].time end

local date_buffer = ffi.new("char[64]")
local function date(at)
  if at == nil then at = now() end
  if type(at) ~= "number" or not (at >= -9.2e18 and at <= 9.2e18) then error("date: a time expected, got " .. show(at), 2) end
  return ffi.string(date_buffer, core.natives.format_time(core.binding.epoch_ns + ffi.cast("int64_t", at), date_buffer))
end

local function engine_library()
  local library = {
    counter = core.counter, topk = core.topk, record = core.record, emit = core.emit, log = core.log, now = now,
    date = date, epoch_ns = core.binding.epoch_ns, distinct = core.distinct, histogram = core.histogram, map = core.map,
    block = core.block, rate_limit = core.rate_limit, set = core.set, nets = core.nets, rate = core.rate, flows = core.flows,
  }
  local known = {}
  for name in pairs(library) do known[#known + 1] = name end
  table.sort(known)
  return setmetatable(library, {
    __index = function(_, key)
      error("engine has no '" .. safe_tostring(key) .. "'" .. suggest(key, known) .. " (there are "
              .. concat(known, ", ") .. ")", 2)
    end,
    __metatable = false,
  })
end

-- Settings and hooks: the only globals that a plugin may set.
local settings = { filter = "string", uses = "table", interval = "number", on_start = "function",
  on_packet = "function", on_batch = "function", on_tick = "function", on_stop = "function", on_save = "function" }
local setting_names = {}
for name in pairs(settings) do setting_names[#setting_names + 1] = name end
table.sort(setting_names)

local function builtins(instance)
  local env = pick(_G, base_names)
  env.tostring, env.getmetatable = safe_tostring, safe_getmetatable
  env.pcall, env.xpcall = safe_pcall, safe_xpcall
  env.print = function(...)
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = safe_tostring((select(i, ...))) end
    host.log(2, concat(parts, "\t"))
  end
  env.math, env.table, env.bit = pick(math, math_names), pick(table, table_names), pick(bit, bit_names)
  env.table.sort = safe_sort
  env.table.unpack, env.table.new, env.table.clear = unpack, core.table_new, core.table_clear
  env.string, env.coroutine = string_library(), pick(coroutine, coroutine_names)
  env.coroutine.resume, env.coroutine.wrap = safe_resume, safe_wrap
  env.net, env.engine, env.args = core.net, instance.engine, instance.args
  for name, library in pairs(core.protocol_libraries()) do env[name] = library end
  env.require = instance.require
  if core.trusted then env.ffi = ffi end
  return env
end

-- `set` receives what the plugin assigns to a global; for modules, which may set none, it raises.
local function environment(instance, set)
  local env = builtins(instance)
  env._G = env
  local known = {}
  for name in pairs(env) do known[#known + 1] = name end
  table.sort(known)
  return setmetatable(env, {
    __index = function(_, key)
      if settings[key] then return instance.settings[key] end
      error("unknown name '" .. safe_tostring(key) .. "'" .. suggest(key, known), 2)
    end,
    __newindex = set,
    __metatable = false,
  })
end

local function set_global(instance, key, value)
  local wanted = settings[key]
  if not wanted then
    local near = suggest(key, setting_names)
    error("unknown global '" .. safe_tostring(key) .. "'" .. (near ~= "" and near or "; make it local"), 3)
  end
  if instance.loaded then error("'" .. key .. "' is set while the plugin loads, not later", 3) end
  if type(value) ~= wanted then error("'" .. key .. "' is a " .. wanted .. ", got " .. show(value), 3) end
  if key == "interval" and not (value >= 0.001 and value <= 86400) then
    error("'interval' is a number of seconds from 0.001 to 86400, got " .. show(value), 3)
  end
  if key == "filter" and find(value, "\0", 1, true) then error("'filter' contains a zero byte", 3) end
  if key == "uses" then
    local declared, problem = core.read_uses(value)
    if not declared then error(problem, 3) end
    instance.uses = declared
  end
  instance.settings[key] = value
end

local function make_require(instance)
  local loaded, loading = {}, {}
  return function(name)
    if type(name) ~= "string" or not find(name, "^[%w_%-]+$") then
      error("require: a name without '/' and '.' expected, got " .. show(name), 2)
    end
    if loaded[name] ~= nil then return loaded[name] end
    if loading[name] then error("require: '" .. name .. "' requires itself", 2) end
    local chunk, problem = core.load_module(name)
    if not chunk then error("require: " .. problem, 2) end
    loading[name] = true
    setfenv(chunk, environment(instance, function(_, key)
      error("a module sets no globals; make '" .. safe_tostring(key) .. "' local", 2)
    end))
    local done, value = pcall(chunk, name)
    loading[name] = nil
    if not done then error(value, 0) end
    loaded[name] = value == nil and true or value
    return loaded[name]
  end
end

-- A new seat: other packets, and random numbers as the worker's first state had them.
function core.take_seat(worker)
  core.take_packets()
  math.randomseed(worker + 1)
end

-- The epoch of a file is its first packet's time, known only when reading starts.
function core.set_epoch(instance) rawset(instance.engine, "epoch_ns", core.binding.epoch_ns) end

-- Runs the plugin's chunk in a fresh environment. The functions it defines are new closures of the same prototypes each
-- time: what the JIT compiler learnt of them in one instance holds in the next.
function core.instantiate(chunk, worker)
  math.randomseed(worker + 1) -- the same packets give the same results in every run
  local instance = { settings = {}, engine = engine_library(), args = copy_args(core.args), loaded = false, drains = {}, uses = 0 }
  core.current = instance
  binding.uses = 0
  instance.require = make_require(instance)
  setfenv(chunk, environment(instance, function(_, key, value) set_global(instance, key, value) end))
  chunk()
  instance.loaded = true
  binding.uses = instance.uses
  local s = instance.settings
  if s.on_packet and s.on_batch then error(core.plugin .. ": on_packet and on_batch exclude each other", 0) end
  if not (s.on_packet or s.on_batch or s.on_tick or s.on_start or s.on_stop) then
    error(core.plugin .. ": defines none of on_packet, on_batch, on_tick, on_start, on_stop", 0)
  end
  return instance
end
