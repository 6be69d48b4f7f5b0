"""Lua written down: literals, and what stands before a helper in its own script."""

from __future__ import annotations

from typing import Any

__all__ = ("PRELUDE", "RAISING", "SEVERAL", "lua_literal")

# The arguments as Lua has them: what JSON calls null is nothing.
PRELUDE = """\
local __unpack = table.unpack
local function __plain(value)
  if value == null then return nil end
  if type(value) == "table" then
    for key, member in pairs(value) do value[key] = __plain(member) end
  end
  return value
end
local __given = {}
for i, value in ipairs(input) do __given[i] = __plain(value) end"""

# Several results as a list, which holds null where Lua has nothing.
SEVERAL = """\
local function __several(count, ...)
  local results = array {}
  for i = 1, count do
    local result = select(i, ...)
    results[i] = result == nil and null or result
  end
  return results
end"""

# `error`, `assert` and `pcall` as a flow has them; `__outcome` tells how a call ended.
RAISING = """\
local __raise, __protected = error, pcall
local function error(code, message, data)
  if type(code) == "table" then __raise(code, 0) end
  if type(message) ~= "string" then code, message = "error", tostring(code) end
  __raise({ code = code, message = message, data = data }, 0)
end
local function assert(value, message)
  if value then return value end
  error(message == nil and "assertion failed!" or message)
end
local function __told(problem)
  if type(problem) == "table" then return problem end
  return { code = "type.mismatch", message = tostring(problem) }
end
local function pcall(f, ...)
  local results = table.pack(__protected(f, ...))
  if results[1] then return __unpack(results, 1, results.n) end
  return false, __told(results[2])
end
local function __outcome(f, ...)
  local ok, value = __protected(f, ...)
  if ok then return { value = value } end
  if type(value) ~= "table" then __raise(value, 0) end -- the step fails: it is Lua's own
  local problem = value
  local code, cause_code = problem.code or "error", problem.cause_code
  return { code = code, message = problem.message, data = problem.data, cause_code = cause_code }
end"""


def lua_literal(value: Any) -> str:
    """Write a plain value as Lua.

    >>> lua_literal({"a": [1, None]})
    '{ ["a"] = array { 1, null } }'
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if value != -(1 << 63) else "math.mininteger"
        case float():
            return value.hex()
        case str():
            return '"' + "".join(map(_escaped, value)) + '"'
        case list():
            items: list[Any] = value
            return "array { " + ", ".join(map(lua_literal, items)) + " }"
        case _:
            members: dict[str, Any] = value
            fields = [f"[{lua_literal(k)}] = {lua_literal(v)}" for k, v in members.items()]
            return "{ " + ", ".join(fields) + " }"


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    return letter if letter.isprintable() else f"\\u{{{ord(letter):X}}}"
