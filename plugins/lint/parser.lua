-- A syntax tree of source that LuaJIT has accepted. Names are resolved while parsing: a name node has its variable, or
-- none if it is global. Each variable knows its function, how often it is assigned and read, and what it began with.

local lint = ...

local Parser = {}
Parser.__index = Parser

function Parser:peek() return self.tokens[self.at].kind end
function Parser:line() return self.tokens[self.at].line end
function Parser:take()
  local token = self.tokens[self.at]
  self.at = self.at + 1
  return token
end
function Parser:accept(kind)
  if self:peek() ~= kind then return false end
  self.at = self.at + 1
  return true
end
function Parser:expect(kind)
  if self:peek() ~= kind then error(kind .. " expected at line " .. self:line(), 0) end
  return self:take()
end

-- Scopes -------------------------------------------------------------------------------------------------------------

function Parser:open() self.scope = { names = {}, outer = self.scope } end
function Parser:close() self.scope = self.scope.outer end

function Parser:declare(name, init)
  local variable = { name = name, func = self.func, init = init, line = self:line(), assigned = 0, reads = {}, calls = {} }
  self.scope.names[name] = variable
  return variable
end

function Parser:find(name)
  local scope = self.scope
  while scope do
    if scope.names[name] then return scope.names[name] end
    scope = scope.outer
  end
end

function Parser:name_node(token)
  local node = { kind = "name", name = token.text, line = token.line, variable = self:find(token.text), func = self.func,
    order = self.at }
  if node.variable then
    local reads = node.variable.reads
    reads[#reads + 1] = node
  end
  return node
end

-- A name that turned out to be assigned to is no read.
local function assign_to(node)
  node.target = true
  local variable = node.variable
  if not variable then return end
  variable.assigned = variable.assigned + 1
  for i, read in ipairs(variable.reads) do
    if read == node then return table.remove(variable.reads, i) end
  end
end

-- Expressions --------------------------------------------------------------------------------------------------------

-- Left and right priorities as in lj_parse.c.
local priorities = {
  ["+"] = { 6, 6 }, ["-"] = { 6, 6 }, ["*"] = { 7, 7 }, ["/"] = { 7, 7 }, ["%"] = { 7, 7 }, ["^"] = { 10, 9 },
  [".."] = { 5, 4 }, ["=="] = { 3, 3 }, ["~="] = { 3, 3 }, ["<"] = { 3, 3 }, ["<="] = { 3, 3 }, [">"] = { 3, 3 },
  [">="] = { 3, 3 }, ["and"] = { 2, 2 }, ["or"] = { 1, 1 },
}
local unary_priority = 8

function Parser:list()
  local items = { self:expression(0) }
  while self:accept(",") do items[#items + 1] = self:expression(0) end
  return items
end

function Parser:table()
  local node = { kind = "table", line = self:line(), items = {} }
  self:expect("{")
  while not self:accept("}") do
    local key
    if self:accept("[") then
      key = self:expression(0)
      self:expect("]")
      self:expect("=")
    elseif self:peek() == "name" and self.tokens[self.at + 1].kind == "=" then
      local token = self:take()
      key = { kind = "string", text = token.text, line = token.line }
      self:take()
    end
    node.items[#node.items + 1] = { key = key, value = self:expression(0) }
    if not self:accept(",") then self:accept(";") end
  end
  return node
end

function Parser:arguments()
  if self:peek() == "string" then
    local token = self:take()
    return { { kind = "string", text = token.text, line = token.line } }
  end
  if self:peek() == "{" then return { self:table() } end
  self:expect("(")
  if self:accept(")") then return {} end
  local args = self:list()
  self:expect(")")
  return args
end

function Parser:suffixed()
  local node
  if self:accept("(") then
    node = { kind = "paren", inner = self:expression(0), line = self:line() }
    self:expect(")")
  else
    node = self:name_node(self:expect("name"))
  end
  while true do
    local kind, line = self:peek(), self:line()
    if kind == "." then
      self:take()
      local token = self:expect("name")
      node = { kind = "index", object = node, key = { kind = "string", text = token.text, line = line }, line = line }
    elseif kind == "[" then
      self:take()
      node = { kind = "index", object = node, key = self:expression(0), line = line }
      self:expect("]")
    elseif kind == ":" then
      self:take()
      local name = self:expect("name").text
      node = { kind = "method", object = node, name = name, line = line, args = self:arguments(), func = self.func }
    elseif kind == "(" or kind == "string" or kind == "{" then
      local call = { kind = "call", callee = node, line = line, func = self.func }
      if node.variable then node.variable.calls[#node.variable.calls + 1] = call end
      call.args = self:arguments()
      node = call
    else
      return node
    end
  end
end

local constants = { ["nil"] = true, ["true"] = true, ["false"] = true, ["..."] = true }

function Parser:simple()
  local kind, line = self:peek(), self:line()
  if kind == "number" or kind == "string" then return { kind = kind, text = self:take().text, line = line } end
  if constants[kind] then
    self:take()
    return { kind = kind, line = line }
  end
  if kind == "{" then return self:table() end
  if kind == "function" then
    self:take()
    return self:body(line)
  end
  return self:suffixed()
end

function Parser:expression(limit)
  local kind, line = self:peek(), self:line()
  local left
  if kind == "not" or kind == "-" or kind == "#" then
    self:take()
    left = { kind = "unary", operator = kind, line = line, operand = self:expression(unary_priority) }
  else
    left = self:simple()
  end
  while true do
    local operator = self:peek()
    local priority = priorities[operator]
    if not priority or priority[1] <= limit then return left end
    line = self:take().line
    left = { kind = "binary", operator = operator, line = line, left = left, right = self:expression(priority[2]) }
  end
end

function Parser:body(line, self_name)
  local func = { kind = "function", line = line, outer = self.func, params = {} }
  self.func = func
  self:open()
  if self_name then func.params[1] = self:declare(self_name) end
  self:expect("(")
  while not self:accept(")") do
    if self:accept("...") then
      func.vararg = true
    else
      func.params[#func.params + 1] = self:declare(self:expect("name").text)
    end
    self:accept(",")
  end
  for i, param in ipairs(func.params) do param.param_of, param.place = func, i end
  func.block = self:block()
  func.last_line = self:expect("end").line
  self:close()
  self.func = func.outer
  return func
end

-- Statements ---------------------------------------------------------------------------------------------------------

local statements = {}

function statements.local_(self, line)
  if self:accept("function") then
    local variable = self:declare(self:expect("name").text)
    local func = self:body(line)
    variable.init = func
    return { kind = "local", line = line, variables = { variable }, values = { func } }
  end
  local names, values = {}, {}
  repeat names[#names + 1] = self:expect("name").text until not self:accept(",")
  if self:accept("=") then values = self:list() end
  local variables = {}
  for i, name in ipairs(names) do variables[i] = self:declare(name, values[i]) end
  return { kind = "local", line = line, variables = variables, values = values }
end

function statements.function_(self, line)
  local target, self_name = self:name_node(self:expect("name")), nil
  while self:peek() == "." or self:peek() == ":" do
    self_name = self:take().kind == ":" and "self" or nil
    target = { kind = "index", object = target, key = { kind = "string", text = self:expect("name").text, line = line },
      line = line }
  end
  if target.kind == "name" then assign_to(target) end
  local func = self:body(line, self_name)
  return { kind = "assign", line = line, targets = { target }, values = { func }, func = self.func }
end

function statements.if_(self, line)
  local node = { kind = "if", line = line, conditions = {}, blocks = {} }
  repeat
    node.conditions[#node.conditions + 1] = self:expression(0)
    self:expect("then")
    node.blocks[#node.blocks + 1] = self:block()
  until not self:accept("elseif")
  if self:accept("else") then node.otherwise = self:block() end
  self:expect("end")
  return node
end

function statements.while_(self, line)
  local condition = self:expression(0)
  self:expect("do")
  local node = { kind = "while", line = line, condition = condition, block = self:block() }
  self:expect("end")
  return node
end

function statements.repeat_(self, line)
  self:open() -- the condition sees the block's locals
  local block = self:statements_until_end()
  self:expect("until")
  local node = { kind = "repeat", line = line, block = block, condition = self:expression(0) }
  self:close()
  return node
end

function statements.for_(self, line)
  local names = {}
  repeat names[#names + 1] = self:expect("name").text until not self:accept(",")
  local numeric = self:accept("=")
  if not numeric then self:expect("in") end
  local values = self:list()
  self:expect("do")
  self:open()
  local variables = {}
  for i, name in ipairs(names) do
    variables[i] = self:declare(name)
    variables[i].assigned = 1 -- by the loop
  end
  local node = { kind = "for", numeric = numeric, line = line, variables = variables, values = values, block = self:block() }
  self:close()
  self:expect("end")
  return node
end

function statements.do_(self, line)
  local node = { kind = "do", line = line, block = self:block() }
  self:expect("end")
  return node
end

function statements.return_(self, line)
  local kind = self:peek()
  local values = {}
  if kind ~= "end" and kind ~= "else" and kind ~= "elseif" and kind ~= "until" and kind ~= ";" and kind ~= "end of file" then
    values = self:list()
  end
  return { kind = "return", line = line, values = values }
end

function statements.break_(_, line) return { kind = "break", line = line } end

local begins = { "local", "function", "if", "while", "repeat", "for", "do", "return", "break" }
for _, word in ipairs(begins) do begins[word] = statements[word .. "_"] end

function Parser:statement()
  local kind, line = self:peek(), self:line()
  if kind == "goto" or kind == "::" then
    self:take()
    self:expect("name")
    self:accept("::")
    return { kind = "jump", line = line }
  end
  if begins[kind] then
    self:take()
    return begins[kind](self, line)
  end
  local first = self:suffixed()
  if first.kind == "call" or first.kind == "method" then return { kind = "do_call", line = line, call = first } end
  local targets = { first }
  while self:accept(",") do targets[#targets + 1] = self:suffixed() end
  self:expect("=")
  for _, target in ipairs(targets) do
    if target.kind == "name" then assign_to(target) end
  end
  return { kind = "assign", line = line, targets = targets, values = self:list(), func = self.func, order = self.at }
end

local closing = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true, ["end of file"] = true }

function Parser:statements_until_end()
  local list = {}
  while not closing[self:peek()] do
    if not self:accept(";") then list[#list + 1] = self:statement() end
  end
  return list
end

function Parser:block()
  self:open()
  local list = self:statements_until_end()
  self:close()
  return list
end

-- The chunk as a function node.
function lint.parse(source)
  local self = setmetatable({ tokens = lint.tokens(source), at = 1 }, Parser)
  self.func = { kind = "function", line = 0, params = {}, vararg = true, chunk = true }
  local chunk = self.func
  chunk.block = self:block()
  self:expect("end of file")
  return chunk
end
