--- A few words to write specs with; see flow_spec.lua.
-- @module spec

local spec = {}
local passed, failed = 0, array {}

--- State one thing that holds.
-- @tparam string sentence what holds
-- @tparam function body raises if it does not
function spec.it(sentence, body)
  local ok, why = pcall(body)
  if ok then
    passed = passed + 1
  else
    failed[#failed + 1] = sentence .. ": " .. tostring(why)
  end
end

local function shown(value)
  if type(value) ~= "table" then
    return type(value) == "string" and string.format("%q", value) or tostring(value)
  end
  local parts = {}
  for key, member in pairs(value) do parts[#parts + 1] = tostring(key) .. "=" .. shown(member) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function bare(value)
  if type(value) ~= "table" or rawequal(value, null) then return value end
  local result = {}
  for key, member in pairs(value) do
    if key ~= "__file" and key ~= "__line" then result[key] = bare(member) end
  end
  return result
end

--- Expect two values to be equal, apart from where they were written.
-- @param got anything
-- @param expected anything
function spec.equal(got, expected)
  got, expected = shown(bare(got)), shown(bare(expected))
  if got ~= expected then error("expected " .. expected .. ", got " .. got, 2) end
end

--- Expect a function to raise.
-- @tparam function body what is called
-- @tparam string text what the message contains
function spec.fails(body, text)
  local ok, why = pcall(body)
  if ok then error("expected an error with '" .. text .. "'", 2) end
  if not tostring(why):find(text, 1, true) then
    error("expected '" .. text .. "', got '" .. tostring(why) .. "'", 2)
  end
end

--- Expect a builder to have noted a mistake on what it made, and forgive it all mistakes.
-- @param made what it made
-- @tparam string text what the sentence contains
function spec.notes(made, text)
  local sentences = {}
  for i, fault in ipairs(rawget(made, "__problems") or {}) do
    local hint = fault.hint and " — " .. fault.hint or ""
    sentences[i] = fault.by .. ": " .. fault.message .. hint
  end
  made.__problems = nil
  local said = table.concat(sentences, "\n")
  if not said:find(text, 1, true) then error("expected '" .. text .. "', got '" .. said .. "'", 2) end
end

--- Tell how it went; what a spec returns.
-- @treturn table `passed` (count) and `failed` (sentences)
function spec.report() return { passed = passed, failed = failed } end

return spec
