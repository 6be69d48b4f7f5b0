local flow = require "flow"
local store = flow.fn "store"
local notify = flow.fn "notify"

local function trim(s)
  return (s:gsub("^%s+", ""):gsub("%s+$", ""))
end

local function split(line)
  local out = {}
  for field in line:gmatch("[^,]+") do
    out[#out + 1] = trim(field)
  end
  return out
end

local function parse_row(header, line)
  local fields = split(line)
  local row = {}
  for i, name in ipairs(header) do
    row[name] = fields[i]
  end
  return row
end

local function validate(row)
  if not row.name or row.name == "" then
    return false, "no name"
  end
  local age = tonumber(row.age)
  if age == nil then
    return false, "age is no number"
  end
  if age < 0 or age > 150 then
    return false, "age out of range"
  end
  return true
end

return flow.blueprint {
  id = "csv-import",
  agents = { store, notify },
  flow = function(ctx)
    local header
    local good, bad = 0, 0
    local problems = {}
    local n = 0
    for line in ctx.csv:gmatch("[^\n]+") do
      n = n + 1
      if not header then
        header = split(line)
      else
        local row = parse_row(header, line)
        local ok, why = validate(row)
        if ok then
          store(row)
          good = good + 1
        else
          bad = bad + 1
          problems[#problems + 1] = "line " .. n .. ": " .. why
        end
      end
    end
    if bad > 0 then
      notify { problems = problems, count = bad }
    end
    return { imported = good, rejected = bad, problems = problems }
  end,
}
