-- The tokens of Lua source that LuaJIT's own compiler has accepted: nothing is checked here a second time.

local lint = ...

local keywords = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until "
  .. "while"):gmatch("%S+") do keywords[word] = true end

local escapes = { a = "\a", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", v = "\v" }

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  local tail = ""
  local first, limit = 0xc0, 0x20
  while true do
    tail = string.char(0x80 + code % 64) .. tail
    code = math.floor(code / 64)
    if code < limit then return string.char(first + code) .. tail end
    first, limit = first + limit, limit / 2
  end
end

local function unescape(text)
  text = text:gsub("\\z%s*", "")
  text = text:gsub("\\(.)", function(c) return c == "\\" and "\\\0" or nil end) -- a backslash of its own, out of the way
  text = text:gsub("\\u{(%x+)}", function(hex) return utf8(tonumber(hex, 16)) end)
  text = text:gsub("\\x(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  text = text:gsub("\\(%d%d?%d?)", function(digits) return string.char(tonumber(digits) % 256) end)
  text = text:gsub("\\([^%z])", function(c) return escapes[c] or c end)
  return (text:gsub("\\%z", "\\"))
end

local function count_lines(text) return select(2, text:gsub("\n", "")) end

-- [[...]] or [==[...]==] that begins at `at`: its content and where it ends.
local function long_text(source, at)
  local level = source:match("^%[(=*)%[", at)
  if not level then return nil end
  local from = at + #level + 2
  local stop, last = source:find("]" .. level .. "]", from, true)
  return source:sub(from, stop - 1):gsub("^\r?\n", ""), last
end

local function short_text(source, at)
  local quote, i = source:sub(at, at), at + 1
  while source:sub(i, i) ~= quote do i = i + (source:sub(i, i) == "\\" and 2 or 1) end
  return unescape(source:sub(at + 1, i - 1)), i
end

local function number_text(source, at)
  local text = source:match("^0[xX][%x%.]*[pP][+-]?%d+[%a]*", at) or source:match("^0[xX][%x%.]+[%a]*", at)
    or source:match("^[%d%.]+[eE][+-]?%d+[%a]*", at) or source:match("^[%d%.]+[%a]*", at)
  return text, at + #text - 1
end

local function skip_comment(source, at)
  local _, last = long_text(source, at + 2)
  return last or (source:find("\n", at, true) or #source + 1) - 1
end

-- Two- and three-character operators first.
local operators = { "...", "..", "==", "~=", "<=", ">=", "::" }

local function operator(source, at)
  for _, text in ipairs(operators) do
    if source:sub(at, at + #text - 1) == text then return text end
  end
  return source:sub(at, at)
end

-- A list of { kind, text, line }; kind is name, string, number, end, or the keyword or operator itself.
function lint.tokens(source)
  local tokens, at, line = {}, 1, 1
  if source:sub(1, 1) == "#" then at = source:find("\n", 1, true) or #source + 1 end
  local function add(kind, text, last)
    tokens[#tokens + 1] = { kind = kind, text = text, line = line }
    line = line + count_lines(source:sub(at, last))
    at = last + 1
  end
  while at <= #source do
    local c = source:sub(at, at)
    if c:find("%s") then
      if c == "\n" then line = line + 1 end
      at = at + 1
    elseif source:sub(at, at + 1) == "--" then
      local last = skip_comment(source, at)
      line = line + count_lines(source:sub(at, last))
      at = last + 1
    elseif c:find("[%a_\128-\255]") then
      local word = source:match("^[%w_\128-\255]+", at)
      add(keywords[word] and word or "name", word, at + #word - 1)
    elseif c:find("%d") or source:find("^%.%d", at) then
      add("number", number_text(source, at))
    elseif c == '"' or c == "'" then
      add("string", short_text(source, at))
    elseif c == "[" and source:find("^%[=*%[", at) then
      add("string", long_text(source, at))
    else
      local text = operator(source, at)
      add(text, text, at + #text - 1)
    end
  end
  tokens[#tokens + 1] = { kind = "end of file", text = "", line = line }
  return tokens
end
