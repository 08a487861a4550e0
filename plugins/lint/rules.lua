-- The rules, and the walk over the tree that applies them. What is uncertain is silent: a false alarm costs more than a
-- finding that the dry run makes as well.

local lint = ...
local api, type_of = lint.api, lint.type_of

function lint.names(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local report, findings, modules, settable, readable, in_module

local function prepare(trusted)
  settable, readable = {}, {}
  for _, set in ipairs { api.settings, api.hooks } do
    for name in pairs(set) do settable[name], readable[name] = true, true end
  end
  for name in pairs(api.globals) do readable[name] = true end
  for name in pairs(api.libraries) do readable[name] = true end
  for name in pairs(api.base[""]) do readable[name] = true end
  for name in pairs(api.base) do
    if name ~= "" then readable[name] = true end
  end
  if trusted then readable.ffi = true end
end

-- Names --------------------------------------------------------------------------------------------------------------

local function check_name(node)
  if node.variable or node.target or readable[node.name] then return end
  report("error", "global", node.line, "unknown name '" .. node.name .. "'" .. lint.suggest(node.name, lint.names(readable)))
end

local function check_global_assignment(target)
  if in_module then
    report("error", "global", target.line, "a module sets no globals; make '" .. target.name .. "' local")
  elseif not settable[target.name] then
    local near = lint.suggest(target.name, lint.names(settable))
    report("error", "global", target.line, "unknown global '" .. target.name .. "'" .. (near ~= "" and near or "; make it local"))
  end
end

local function check_member(node, name)
  local object = type_of(node.object)
  if not object then return end
  local class = object.class and api.classes[object.class]
  if class and class.what and not class.members[name] then
    report("error", "field", node.line, class.what .. (object.class == "engine.packet" and " has no field '" or " has no '") .. name .. "'"
      .. lint.suggest(name, lint.names(class.members)))
  elseif object.row and not object.row[name] then
    report("error", "field", node.line, "an entry has no field '" .. name .. "'" .. lint.suggest(name, lint.names(object.row)))
  elseif object.library and not api.libraries[object.library][name] then
    report("error", "function", node.line, object.library .. " has no '" .. name .. "'"
      .. lint.suggest(name, lint.names(api.libraries[object.library])))
  elseif object.base and not api.base[object.base][name] and node.called then
    report("error", "function", node.line, object.base .. " has no '" .. name .. "' here"
      .. lint.suggest(name, lint.names(api.base[object.base])))
  end
end

-- Objects that are not what they seem --------------------------------------------------------------------------------

local own_identity = { ["engine.address"] = "p.src:key() or p.src4", ["engine.packet"] = "one of its fields",
  ["engine.view"] = "view:string(0)", ["engine.net"] = "tostring(net)" }

local function check_key(key)
  local found = type_of(key)
  local instead = found and own_identity[found.class]
  if not instead then return end
  report("error", "key", key.line, api.classes[found.class].what .. " as a table key is never found again; use " .. instead)
end

local function check_comparison(node)
  for _, pair in ipairs { { node.left, node.right }, { node.right, node.left } } do
    local a, b = type_of(pair[1]), type_of(pair[2])
    if a and a.class == "engine.address" and b and b.prim then
      local example = pair[2].kind == "string" and 'ip"' .. pair[2].text .. '"' or 'ip"10.0.0.1"'
      report("error", "compare", node.line, "an address is compared with an address: write " .. example)
    end
  end
end

local kept_instead = { ["engine.packet"] = "keep the fields that you need", ["engine.address"] = "keep its :copy() or :key()",
  ["engine.view"] = "keep view:string(0)" }

local function report_kept(line, found, where)
  report("warning", "kept", line, api.classes[found.class].what .. " is kept in " .. where
    .. " but valid only until its callback returns; " .. kept_instead[found.class])
end

-- A variable that every packet sets first is a way to hand it to other functions, not to keep it.
local function is_scratch(variable, statement, sure)
  if not sure then return false end
  for _, read in ipairs(variable.reads) do
    if read.func == statement.func and read.order < statement.order then return false end
    local func = read.func
    while func do
      if func.hook and func ~= statement.func then return false end
      func = func.outer
    end
  end
  return true
end

local function check_kept(target, value, statement, sure)
  local found = type_of(value)
  if not found or not found.borrowed or not kept_instead[found.class] then return end
  if target.kind == "name" then
    local variable = target.variable
    if variable and variable.func ~= statement.func and not is_scratch(variable, statement, sure) then
      report_kept(statement.line, found, "'" .. variable.name .. "'")
    end
    return
  end
  local holder = target.object
  while holder.kind == "index" do holder = holder.object end
  local variable = holder.kind == "name" and holder.variable
  if variable and variable.func ~= statement.func and target.key.kind ~= "string" then
    report_kept(statement.line, found, "the table '" .. variable.name .. "'")
  end
end

local function check_insert(node, func)
  local callee = node.callee
  if callee.kind ~= "index" or callee.key.text ~= "insert" or not type_of(callee.object) then return end
  if type_of(callee.object).base ~= "table" or #node.args < 2 then return end
  local found, holder = type_of(node.args[#node.args]), node.args[1]
  local variable = holder.kind == "name" and holder.variable
  if found and found.borrowed and kept_instead[found.class] and variable and variable.func ~= func then
    report_kept(node.line, found, "the table '" .. variable.name .. "'")
  end
end

-- Costs per packet ---------------------------------------------------------------------------------------------------

-- Only of what every packet pays: a result that is made now and then may cost what it likes.
local function advise(c, line, text)
  if c.per_packet and c.sure then report("advice", "cost", line, text) end
end

local function look_at_call(node, c)
  local name = node.callee.kind == "name" and not node.callee.variable and node.callee.name
  if name == "tostring" then advise(c, node.line, "tostring makes a string for each packet; structures and records take the value itself") end
  if name == "pcall" or name == "xpcall" then advise(c, node.line, name .. " costs about 150 ns for each packet; errors are caught and counted by the engine") end
  local first = node.args[1]
  if name == "require" and first and first.kind == "string" then modules[#modules + 1] = first.text end
  local callee = node.callee
  if callee.kind == "index" and callee.key.kind == "string" and type_of(callee.object) and type_of(callee.object).base == "string" then
    if callee.key.text == "format" then advise(c, node.line, "string.format makes a string for each packet; give records and structures the values") end
  end
end

-- The walk -----------------------------------------------------------------------------------------------------------

local walk, walk_block

local function walk_all(list, c)
  for _, node in ipairs(list) do walk(node, c) end
end

local function with(c, changes) return setmetatable(changes, { __index = c }) end

-- Whether what follows this statement is reached by every packet.
local function may_leave(block)
  for _, node in ipairs(block) do
    if node.kind == "return" or node.kind == "break" or node.kind == "jump" then return true end
    if node.block and may_leave(node.block) then return true end
    for _, inner in ipairs(node.blocks or {}) do
      if may_leave(inner) then return true end
    end
    if node.otherwise and may_leave(node.otherwise) then return true end
  end
  return false
end

function walk_block(block, c)
  c = with(c, {})
  for _, node in ipairs(block) do
    walk(node, c)
    if may_leave({ node }) then c.sure = false end
  end
end

local visit = {}

visit["function"] = function(node, c)
  advise(c, node.line, "a function is made for each packet; define it outside")
  local per_packet = node.hook ~= nil and (node.hook.name == "on_packet" or node.hook.name == "on_batch")
  walk_block(node.block, { func = node, per_packet = per_packet, sure = true })
end
function visit.name(node) check_name(node) end
function visit.paren(node, c) walk(node.inner, c) end
function visit.index(node, c)
  walk(node.object, c)
  walk(node.key, c)
  if node.key.kind == "string" then check_member(node, node.key.text) else check_key(node.key) end
end
function visit.call(node, c)
  node.callee.called = true
  walk(node.callee, c)
  lint.check_call(report, node) -- before the arguments: it says what callbacks among them get
  walk_all(node.args, c)
  check_insert(node, c.func)
  look_at_call(node, c)
end
function visit.method(node, c)
  walk(node.object, c)
  check_member(node, node.name)
  lint.check_method(report, node)
  walk_all(node.args, c)
end
function visit.table(node, c)
  advise(c, node.line, "a table is made for each packet; reuse one, or use engine.map or a record")
  local inner = with(c, { sure = false })
  for _, item in ipairs(node.items) do
    if item.key then
      walk(item.key, inner)
      if item.key.kind ~= "string" then check_key(item.key) end
    end
    walk(item.value, inner)
  end
end
function visit.unary(node, c) walk(node.operand, c) end
function visit.binary(node, c)
  walk(node.left, c)
  local short = node.operator == "and" or node.operator == "or"
  walk(node.right, short and with(c, { sure = false }) or c)
  if node.operator == "==" or node.operator == "~=" then check_comparison(node) end
  if node.operator == ".." then
    local constant = node.left.kind == "string" and node.right.kind == "string"
    if not constant then advise(c, node.line, "'..' makes a string for each packet; structures take several key fields: key = { \"src\", \"dst_port\" }") end
  end
end
visit["local"] = function(node, c)
  for i, variable in ipairs(node.variables) do
    if node.values[i] and node.values[i].kind == "function" then node.values[i].variable = variable end
  end
  walk_all(node.values, c)
end
function visit.assign(node, c)
  for i, target in ipairs(node.targets) do
    local value = node.values[i]
    if target.kind == "name" and not target.variable then
      check_global_assignment(target)
      if value and value.kind == "function" then value.hook = api.hooks[target.name] end
    end
  end
  walk_all(node.values, c)
  for i, target in ipairs(node.targets) do
    walk(target, c)
    if node.values[i] and c.func and not c.func.chunk then check_kept(target, node.values[i], node, c.sure) end
  end
end
function visit.do_call(node, c) walk(node.call, c) end
visit["do"] = function(node, c) walk_block(node.block, c) end
visit["if"] = function(node, c)
  walk(node.conditions[1], c)
  local inner = with(c, { sure = false })
  for i = 2, #node.conditions do walk(node.conditions[i], inner) end
  for _, block in ipairs(node.blocks) do walk_block(block, inner) end
  if node.otherwise then walk_block(node.otherwise, inner) end
end
visit["while"] = function(node, c)
  walk(node.condition, c)
  walk_block(node.block, with(c, { sure = false }))
end
visit["repeat"] = function(node, c)
  walk_block(node.block, c)
  walk(node.condition, c)
end
visit["for"] = function(node, c)
  walk_all(node.values, c)
  -- on_batch's loop runs for each packet; of another it is not known how often.
  local over_batch = c.func and c.func.hook and c.func.hook.name == "on_batch"
  walk_block(node.block, with(c, { sure = over_batch and c.sure }))
end
visit["return"] = function(node, c) walk_all(node.values, c) end

function walk(node, c)
  if visit[node.kind] then visit[node.kind](node, c) end
end

-- Functions are typed before any body is looked at: a hook may call what stands below it.
local function name_functions(node, seen)
  if type(node) ~= "table" or seen[node] then return end
  seen[node] = true
  if node.kind == "assign" or node.kind == "local" then
    for i, value in ipairs(node.values) do
      if value.kind == "function" then
        local target = node.targets and node.targets[i]
        if node.variables then value.variable = node.variables[i] end
        if target and target.kind == "name" and not target.variable then value.hook = api.hooks[target.name] end
      end
    end
  end
  for _, child in pairs(node) do name_functions(child, seen) end
end

-- Findings { severity, rule, line, text } in the order of their lines, and the names of the modules it requires.
function lint.check(source, options)
  findings, modules, in_module = {}, {}, options.module
  local seen = {}
  function report(severity, rule, line, text)
    local key = line .. text
    if seen[key] then return end
    seen[key] = true
    findings[#findings + 1] = { severity = severity, rule = rule, line = line, text = text, place = #findings }
  end
  prepare(options.trusted)
  local chunk = lint.parse(source)
  name_functions(chunk, {})
  walk_block(chunk.block, { func = chunk, sure = true })
  table.sort(findings, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    return a.place < b.place
  end)
  return findings, modules
end
