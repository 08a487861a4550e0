-- What every part of the library uses: the shared memory, checks, and messages that help.
--
-- The files of this folder are loaded once per state, in the order that plugins/meson.build gives, each with the table
-- `core` as its argument. Nothing here is visible to a plugin: it gets closures and ctypes, never these tables.
-- All functions are held in locals and no method is called on a string, since a plugin could have changed neither
-- (its libraries are copies), but must not be relied on.

local core = ...
local ffi = core.ffi
local type, error, select = type, error, select
local sub = string.sub
local format, tostring_raw = string.format, tostring

local sizes = { engine_packet = 128, engine_addr = 16, engine_message = 24, engine_outbox = 32, engine_cell = 24 }
for name, size_bytes in pairs(sizes) do
  assert(ffi.sizeof("struct " .. name) == size_bytes, "the Lua library does not fit this engine: " .. name)
end

core.groups = {}
for name, group in pairs(core.native_groups) do core.groups[name] = ffi.cast("const " .. group.type .. " *", group.address) end
core.natives = core.groups.base
core.binding = ffi.cast("struct engine_binding *", core.binding_address)
core.outbox = core.binding.outbox
core.cell = core.binding.cell

-- One reference per slot, made once: a reference that is made in the loop is garbage as soon as the plugin has a loop of
-- its own. They are const: a write through them is an error.
local refs = {}
core.refs = refs

-- Anew for every worker that the state is seated at.
function core.take_packets()
  local packets = ffi.cast("const struct engine_packet *", core.binding.packets)
  for i = 0, core.binding.capacity do refs[i] = packets[i] end
end
core.take_packets()

-- A value for an error message.
function core.show(value)
  local kind = type(value)
  if kind == "string" then return format("%q", sub(value, 1, 60)) end
  if kind == "number" or kind == "boolean" or kind == "nil" then return tostring_raw(value) end
  if kind ~= "cdata" then return "a " .. kind end
  if ffi.istype(core.packet_t, value) then return "a packet" end
  if ffi.istype(core.view_t, value) then return "a view" end
  if ffi.istype(core.addr_t, value) then return "the address " .. core.address_text(value) end
  if ffi.istype(core.net_t, value) then return "the network " .. core.net_text(value) end
  local is_number = ffi.istype("uint64_t", value) or ffi.istype("int64_t", value)
  return is_number and tostring_raw(value) or "a native object"
end

-- An __index for a table of methods: what is not there is named, with what is near. All names are kept by what has
-- them: the reference is compared with them. `call`, if given, is what calling the table does.
core.members = {}
function core.closed(methods, what, call)
  local known = {}
  for name in pairs(methods) do known[#known + 1] = name end
  table.sort(known)
  core.members[what] = known
  return setmetatable(methods, {
    __index = function(_, key)
      local all = #known <= 12 and " (there are " .. table.concat(known, ", ") .. ")" or ""
      error(what .. " has no '" .. tostring_raw(type(key) == "string" and key or type(key)) .. "'"
              .. core.suggest(key, known) .. all, 2)
    end,
    __newindex = function() error(what .. " is read-only", 2) end,
    __call = call,
    __metatable = false,
  })
end
