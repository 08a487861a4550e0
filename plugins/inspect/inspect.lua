-- Inside a state that is being checked: what the JIT compiler gives up, and what the plugin keeps of packets.
--
-- Loaded behind the library and before the plugin, with the library's table, the debug and jit.util libraries (which the
-- state has only here), a clock, and LuaJIT's own texts (jit/vmdef.lua; nil if it is not installed: then numbers are
-- shown).

local core, debug, util, clock_ns, vmdef = ...
local ffi = core.ffi
local inspect = {}

local band = bit.band

-- on_start is called once, by whoever makes the state: its time is taken here.
local instantiate, start_ns = core.instantiate, nil

function core.instantiate(...)
  local instance = instantiate(...)
  local on_start = instance.settings.on_start
  if on_start then
    instance.settings.on_start = function(info)
      local begin_ns = clock_ns()
      on_start(info)
      start_ns = clock_ns() - begin_ns
    end
  end
  return instance
end

function inspect.start_ns() return start_ns end
function inspect.has_hook(name) return core.current.settings[name] and 1 or nil end

-- Traces -------------------------------------------------------------------------------------------------------------

local advice = {
  { "FNEW", "a function is made here each time: define it once, outside" },
  { "UCLO", "a local that a function keeps goes out of scope here: define that function outside" },
  { "TNEW", "a table is made here each time: reuse one" },
  { "VARG", "give the parameters names instead of '...'" },
  { "FastFunc string%.format", "give records and structures the values, not texts" },
  { "FastFunc unpack", "name the elements: t[1], t[2]" },
  { "FastFunc pcall", "errors are caught and counted by the engine" },
  { "FastFunc", "this function is not compiled: call it in on_tick, or only for few packets" },
  { "C function", "this function is not compiled: call it in on_tick, or only for few packets" },
  { "inner loop in root trace", "a loop in on_packet is compiled apart, at some cost; a native structure or parser may replace it" },
  { "leaving loop in root trace", "the loop ends too early to be compiled: write out its few rounds" },
  { "loop unroll limit", "the loop's length varies: compiled apart, at some cost" },
  { "too many snapshots", "too many branches for one function: split it" },
  { "trace too long", "too much code for one packet: split it" },
  { "call unroll limit", "recursion is not compiled: use a loop" },
  { "down%-recursion", "recursion is not compiled: use a loop" },
  { "symbol not in cache", "a native function is looked up here each time: keep it in a local outside" },
  { "mcode memory", "no room for machine code near the LuaJIT library; see the system's address space limits" },
  { "leaves compiled code", "some 50 ns and more each: call it in on_tick, or only for few packets" },
  { "blacklisted", "it calls what could not be compiled" },
}

local function advice_for(reason)
  for _, pair in ipairs(advice) do
    if reason:find(pair[1]) then return pair[2] end
  end
  return ""
end

local function opcode_name(number)
  local name = vmdef and vmdef.bcnames:sub(number * 6 + 1, number * 6 + 6):gsub(" ", "")
  return name ~= "" and name or tostring(number)
end

local function function_name(info)
  local known = type(info) == "function" and util.funcinfo(info)
  if known and known.ffid then return vmdef and vmdef.ffnames[known.ffid] or "number " .. known.ffid end
  if known then return known.loc or "in C" end
  return tostring(info)
end

local function reason_of(code, info)
  local text = vmdef and vmdef.traceerr[code]
  if not text then return "trace error " .. tostring(code) end
  if not text:find("%%") then return text end
  if text:find("bytecode") then info = opcode_name(info) end
  if type(info) == "function" then info = function_name(info) end
  return (text:gsub("%%[ds]", function() return tostring(info) end))
end

local function is_plugins(source) return source:sub(1, 1) == "@" or source == "=eval" end

-- The plugin's line that the recorder was in, or had called the library from; and whether a packet was being offered.
local function place_of(func, pc)
  local info = util.funcinfo(func, pc)
  local own = pc ~= 0 and info.source and is_plugins(info.source) and info.source:sub(2) .. ":" .. info.currentline
  local in_loop = false
  for level = 3, 40 do
    local frame = debug.getinfo(level, "Sl")
    if not frame then break end
    if not own and is_plugins(frame.source) then own = frame.source:sub(2) .. ":" .. frame.currentline end
    if frame.source == "=engine/driver" then in_loop = true end
  end
  return own or "on_packet", in_loop
end

local aborts, by_key, count = {}, {}, { start = 0, stop = 0, abort = 0, flush = 0 }
local root_func, root_pc
local warm = false

local function take_note(place, reason)
  local key = place .. reason
  local abort = by_key[key]
  if not abort then
    if #aborts == 100 then return end
    abort = { place = place, reason = reason, times = 0, late = 0 }
    by_key[key], aborts[#aborts + 1] = abort, abort
  end
  abort.func, abort.pc = root_func, root_pc
  abort.times = abort.times + 1
  if warm then abort.late = abort.late + 1 end
end

-- A trace that ends in a call of what is not compiled, and goes on behind it.
local left = "leaves compiled code to call a function that is not compiled"

jit.attach(function(what, trace, func, pc, code, info)
  if warm and count[what] then count[what] = count[what] + 1 end
  if what == "start" then
    root_func, root_pc = func, pc
  elseif what == "abort" then
    local place, in_loop = place_of(func, pc)
    if in_loop then take_note(place, reason_of(code, info)) end
  elseif what == "stop" and util.traceinfo(trace).linktype == "stitch" then
    local place, in_loop = place_of(func, 0)
    if in_loop then take_note(place, left) end
  end
end, "trace")

-- LuaJIT marks a loop or function that it tries no more by its opcode.
local given_up = { IFORL = true, IITERL = true, ILOOP = true, IFUNCF = true, IFUNCV = true }

local function is_given_up(abort)
  local instruction = abort.func and util.funcbc(abort.func, abort.pc)
  return instruction ~= nil and given_up[opcode_name(band(instruction, 0xff))] == true
end

function inspect.warmed_up() warm = true end

-- { place, reason, advice, times, late, given_up } of what is not compiled, or was tried again after the warm-up. What
-- was given up once and compiled otherwise later is how LuaJIT works.
function inspect.aborts()
  local found, following = {}, {}
  for _, abort in ipairs(aborts) do
    local blacklisted = is_given_up(abort)
    if abort.late > 0 or blacklisted or abort.reason:find("^NYI") or abort.reason == left then
      -- Those that follow from what stands in another line matter only if there is none.
      local to = (abort.reason == "blacklisted" or abort.place == "on_packet") and following or found
      to[#to + 1] = { place = abort.place, reason = abort.reason, advice = advice_for(abort.reason), times = abort.times,
        late = abort.late, given_up = blacklisted }
    end
  end
  return #found > 0 and found or following
end

function inspect.count(what) return count[what] end

-- Kept packets -------------------------------------------------------------------------------------------------------

local packet_t, addr_t = core.packet_t, core.addr_t
local most_objects = 5000

-- What a value is that is valid with its packet only.
local function borrowed(value)
  if type(value) ~= "cdata" then return nil end
  if ffi.istype(packet_t, value) then return "packet" end
  if ffi.istype(addr_t, value) and tostring(ffi.typeof(value)):find("&", 1, true) then return "address" end
  return nil
end

local article = { packet = "a packet", address = "an address of a packet" }
local instead = { packet = "keep the fields that you need", address = "keep its :copy() or :key()" }

-- Takes the place of a kept packet: whoever reads it later is told so at their own line.
local function stale(what, name)
  local function tell()
    error(("%s is used after its callback returned (kept in %s); %s"):format(article[what], name, instead[what]), 2)
  end
  return setmetatable({}, { __index = tell, __newindex = tell, __tostring = tell, __len = tell, __eq = tell, __metatable = false })
end

local kept = {}
local function note(what, name, is_key)
  local key = what .. name .. tostring(is_key)
  if kept[key] then return end
  kept[key] = true
  kept[#kept + 1] = { what = what, name = name, is_key = is_key }
end

-- Everything that the plugin can reach from its hooks; packets found there are replaced.
function inspect.seize()
  local seen, queue, first = {}, {}, 1
  local function visit(value, name)
    local kind = type(value)
    if (kind ~= "table" and kind ~= "function") or seen[value] or #queue >= most_objects then return end
    if kind == "function" and not is_plugins(debug.getinfo(value, "S").source) then return end
    seen[value] = true
    queue[#queue + 1] = { value, name }
  end
  local function take(value, name, put)
    local what = borrowed(value)
    if not what then return visit(value, name) end
    note(what, name, false)
    put(stale(what, name))
  end
  for hook, value in pairs(core.current.settings) do visit(value, hook) end
  while queue[first] do
    local value, name = queue[first][1], queue[first][2]
    first = first + 1
    if type(value) == "function" then
      for i = 1, 60 do
        local upvalue, content = debug.getupvalue(value, i)
        if not upvalue then break end
        take(content, "'" .. upvalue .. "'", function(new) debug.setupvalue(value, i, new) end)
      end
    else
      for key, content in next, value do
        if borrowed(key) then note(borrowed(key), name, true) end
        take(content, name, function(new) rawset(value, key, new) end)
      end
      visit(debug.getmetatable(value), name)
    end
  end
end

-- { what, name, is_key } of all that was found so far.
function inspect.kept() return kept end

return inspect
