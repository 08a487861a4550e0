-- What an expression is, as far as it is certain: an object of the library, one of its functions, a library. Whatever is
-- assigned more than once, or comes from elsewhere, is unknown, and nothing is said about it.
--
-- A type is { class = }, with `borrowed` where the object is valid with its packet only, { entry = } for a function,
-- { library = } or { base = } for a table of functions, { prim = } for Lua's own types, { row = names } for a map's entry.

local lint = ...
local api = lint.api

local type_of

local function of_text(text, borrowed)
  if not text then return nil end
  text = text:gsub("%?$", "")
  if api.classes[text] then return { class = text, borrowed = borrowed or text == "engine.packet" or text == "engine.view" } end
  if text:find("|", 1, true) or text:find("engine.", 1, true) then return nil end
  return { prim = text }
end
lint.type_of_text = of_text

-- The parameter types of "fun(a: x, b: y)".
local function callback_params(text)
  local params = {}
  for part in (text:match("^fun%((.-)%)") or ""):gmatch("[^,]+") do params[#params + 1] = part:match(":%s*(.-)%s*$") end
  return params
end

-- Of a local function whose every use is a call: what all callers agree on.
local function from_callers(func, place)
  local variable = func.variable
  if not variable or variable.assigned > 0 or #variable.calls == 0 or #variable.calls ~= #variable.reads then return nil end
  local agreed
  for _, call in ipairs(variable.calls) do
    local given = call.args[place] and type_of(call.args[place])
    if not given or not given.class or (agreed and agreed.class ~= given.class) then return nil end
    agreed = { class = given.class, borrowed = given.borrowed or (agreed and agreed.borrowed) }
  end
  return agreed
end

local function param_type(variable)
  local func = variable.param_of
  if variable.assigned > 0 then return nil end
  if func.hook then
    local param = func.hook.params[variable.place]
    return param and of_text(param.type)
  end
  if func.callback then return of_text(callback_params(func.callback)[variable.place], true) end
  return from_callers(func, variable.place)
end

local function variable_type(variable)
  if variable.type == nil then
    variable.type = false -- while it is being found out: recursion ends here
    local found
    if variable.param_of then
      found = param_type(variable)
    elseif variable.assigned == 0 and variable.init then
      found = type_of(variable.init)
    end
    variable.type = found or false
  end
  return variable.type or nil
end

local function global_type(name)
  local entry = api.globals[name]
  if api.libraries[name] then return { library = name, entry = entry, path = entry and name } end -- ip can be called
  if entry then return entry.call and { entry = entry, path = name } or of_text(entry.type) end
  if name ~= "" and api.base[name] then return { base = name } end
  return nil
end

local function member_type(object, name)
  if object.library then
    local entry = api.libraries[object.library][name]
    if not entry then return nil end
    return entry.call and { entry = entry, path = object.library .. "." .. name } or of_text(entry.type)
  end
  local class = object.class and api.classes[object.class]
  local entry = class and class.members[name]
  if not entry then return nil end
  if entry.call then return { entry = entry, method = true } end
  return of_text(entry.type, object.borrowed)
end
lint.member_type = member_type

local kinds = {}

function kinds.name(node)
  if node.variable then return variable_type(node.variable) end
  return global_type(node.name)
end
function kinds.paren(node) return type_of(node.inner) end
function kinds.string() return { prim = "string" } end
function kinds.number() return { prim = "number" } end
function kinds.index(node)
  local object = type_of(node.object)
  if not object then return nil end
  if node.key.kind == "string" then return member_type(object, node.key.text) end
  local class = object.class and api.classes[object.class]
  return class and class.index and of_text(class.index, true)
end
function kinds.call(node)
  local callee = type_of(node.callee)
  if not callee or not callee.entry or callee.method then return nil end
  local result = of_text(callee.entry.returns)
  -- A handle remembers what it was declared with.
  if result and node.args[1] and node.args[1].kind == "table" then result.options = node.args[1] end
  return result
end
-- The names of the fields that a map was declared with, if they are all plain texts.
local function row_names(options)
  local names
  for _, item in ipairs(options.items) do
    if item.key and item.key.kind == "string" and item.key.text == "fields" and item.value.kind == "table" then
      names = {}
      for _, field in ipairs(item.value.items) do
        local first = field.value.kind == "table" and field.value.items[1]
        if field.key or not first or first.key or first.value.kind ~= "string" then return nil end
        names[first.value.text] = true
      end
    end
  end
  return names
end

function kinds.method(node)
  local object = type_of(node.object)
  if object and object.class == "engine.map" and object.options and (node.name == "get" or node.name == "put") then
    local names = row_names(object.options)
    return names and { row = names }
  end
  local member = object and member_type(object, node.name)
  return member and member.entry and of_text(member.entry.returns, false)
end
function kinds.binary(node)
  if node.operator == ".." then return { prim = "string" } end
  return nil
end

function type_of(node)
  if node.kind == "string" or node.kind == "number" then return kinds[node.kind]() end
  if node.type == nil then
    node.type = false
    local find = kinds[node.kind]
    node.type = find and find(node) or false
  end
  return node.type or nil
end
lint.type_of = type_of
