-- What a misspelled name was meant to be. Used by the library and by the author's tools, each with a table of its own.

local core = ...
local sub, min = string.sub, math.min

local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = sub(a, i, i) == sub(b, j, j) and 0 or 1
      local best = min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

-- Whether `short` is `long` with some letters left out: sport for src_port.
local function abbreviates(short, long)
  if #short < 3 or #short * 3 < #long then return false end
  local at = 1
  for i = 1, #long do
    if sub(long, i, i) == sub(short, at, at) then at = at + 1 end
  end
  return at > #short
end

local function unlikeness(name, known)
  local d = distance(name, known)
  if d < 3 and d < #name then return d end
  local longer = #known >= 3 and sub(name, 1, #known) == known -- length for len
  if not longer and not abbreviates(name, known) then return nil end
  return 3 + d / 100 + (sub(name, 1, 1) == sub(known, 1, 1) and 0 or 1)
end

-- "; did you mean 'x'?" for the nearest of the known names, or an empty string.
function core.suggest(name, known)
  if type(name) ~= "string" or #name > 40 then return "" end
  local best, least
  for i = 1, #known do
    local d = unlikeness(name, known[i])
    if d and (not best or d < least or (d == least and known[i] < best)) then best, least = known[i], d end
  end
  return best and "; did you mean '" .. best .. "'?" or ""
end
