-- Rules about calls: how many arguments a function of the library takes, and the options of what engine.* declares.

local lint = ...
local api, type_of = lint.api, lint.type_of

local key_fields = {}
for _, alias in ipairs(api.aliases) do
  if alias.name == "engine.key_field" then
    for name in alias.type:gmatch('"([%w_]+)"') do key_fields[name] = true end
  end
end

local function count_text(entry)
  if entry.most == math.huge then return "at least " .. entry.least end
  if entry.least == entry.most then return tostring(entry.most) end
  return entry.least .. " to " .. entry.most
end

-- Given arguments: how many there are at least, and whether there may be more.
local function given(args)
  local last = args[#args]
  local open = last and (last.kind == "call" or last.kind == "method" or last.kind == "...")
  return open and #args - 1 or #args, open
end

local function check_count(report, node, name, entry, args)
  local count, open = given(args)
  local plural = (entry.least == 1 and entry.most == 1) and " argument" or " arguments"
  local expected = name .. " takes " .. count_text(entry) .. plural .. ", got " .. count
  if count < entry.least and not open then report("error", "arity", node.line, expected) end
  if count > entry.most then report("warning", "arity", node.line, expected) end
end

local function option(options, name)
  for _, item in ipairs(options.items) do
    if item.key and item.key.kind == "string" and item.key.text == name then return item.value end
  end
end

-- Whether the literal says everything: no computed keys.
local function is_plain(options)
  for _, item in ipairs(options.items) do
    if item.key and item.key.kind ~= "string" then return false end
  end
  return true
end

local function check_emit(report, node, object)
  local least, most = 0, 0
  for _, item in ipairs(object.options.items) do
    if not item.key then
      if item.value.kind ~= "table" then return end
      most = most + 1
      local optional = option(item.value, "optional")
      if not optional or optional.kind == "false" then least = most elseif optional.kind ~= "true" then return end
    end
  end
  if most == 0 then return end
  local count, open = given(node.args)
  local name = option(object.options, "name")
  local what = name and name.kind == "string" and name.text or "record"
  local expected = what .. ":emit takes " .. count_text({ least = least, most = most })
    .. (most == 1 and " value" or " values") .. ", one for each field, got " .. count
  if (count < least and not open) or count > most then report("error", "arity", node.line, expected) end
end

-- Structures whose keys are packet fields take the packet, the others take the key.
local function check_taken(report, node, object, member)
  if not (member.packet_form and member.key_form) or not node.args[1] then return end
  local key, given = option(object.options, "key"), type_of(node.args[1])
  local by_field = key and (key.kind == "table" or (key.kind == "string" and key_fields[key.text]))
  local what = object.class:gsub("^engine%.", "") .. ":" .. node.name
  if by_field and given and (given.prim or given.class) and given.class ~= "engine.packet" then
    report("error", "call", node.line, what .. " takes a packet (its keys are packet fields)")
  elseif not key and given and given.class == "engine.packet" then
    report("error", "call", node.line, what .. ": a key is a string, a number, an address or a view"
      .. '; to take packets by field, give key = "field"')
  end
end

function lint.check_method(report, node)
  local object = type_of(node.object)
  if not object or not object.class then return end
  local member = lint.member_type(object, node.name)
  if not member then return end
  if not member.entry then
    report("error", "call", node.line, "'" .. node.name .. "' is a field, not a method; write ." .. node.name)
    return
  end
  local plain = object.options and is_plain(object.options)
  if plain and object.class == "engine.record" and node.name == "emit" then return check_emit(report, node, object) end
  check_count(report, node, ":" .. node.name, member.entry, node.args)
  if plain then check_taken(report, node, object, member.entry) end
end

-- The packet fields that a key is made of, or the other words that its type allows.
local function check_key(report, what, value, type)
  local known = setmetatable({}, { __index = key_fields })
  for word in type:gmatch('"([%w_]+)"') do known[word] = true end
  local items = value.kind == "string" and { { value = value } } or value.kind == "table" and value.items or {}
  for _, item in ipairs(items) do
    if not item.key and item.value.kind == "string" and not known[item.value.text] then
      report("error", "option", item.value.line, ("%s: key '%s' is unknown%s"):format(what, item.value.text,
        lint.suggest(item.value.text, lint.names(key_fields))))
    end
  end
end

local function check_options(report, node, what, class)
  local options = node.args[1]
  if not options or options.kind ~= "table" then return end
  for _, item in ipairs(options.items) do
    if item.key and item.key.kind == "string" then
      local known = class.options[item.key.text]
      if not known then
        report("error", "option", item.key.line, ("%s: unknown option '%s'%s"):format(what, item.key.text,
          lint.suggest(item.key.text, lint.names(class.options))))
      elseif known.type:find("engine.key_field", 1, true) then
        check_key(report, what, item.value, known.type)
      elseif known.type:find("^fun%(") and item.value.kind == "function" then
        item.value.callback = known.type
      end
    end
  end
  if not is_plain(options) then return end
  for name, known in pairs(class.options) do
    if not known.optional and name:find("^[%a_]") and not option(options, name) then
      report("error", "option", node.line, ("%s: option '%s' is missing"):format(what, name))
    end
  end
end

function lint.check_call(report, node)
  local callee = type_of(node.callee)
  if not callee or not callee.entry then return end
  if callee.method then
    local first = node.args[1]
    local self = first and type_of(first)
    local object = node.callee.kind == "index" and type_of(node.callee.object)
    if object and object.class and not (self and self.class == object.class) and (not first or self or first.kind == "nil") then
      report("error", "call", node.line, "call it with a colon: object:" .. callee.entry.name .. "(...)")
    end
    return
  end
  check_count(report, node, callee.path, callee.entry, node.args)
  local class = callee.entry.returns and api.classes[callee.entry.returns]
  if class and class.takes_options then check_options(report, node, callee.entry.name, class) end
end
