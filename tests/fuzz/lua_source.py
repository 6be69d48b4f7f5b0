"""Lua that nobody would write: made from a grammar, and out of scripts that were written.

Most of what a grammar makes would fail at once, so names are mostly ones that are there
and calls mostly of functions that exist, with arguments from the edges.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

__all__ = ("Writer", "mutated")

_EDGES = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "256",
    "8000",
    "8001",
    "(1 << 31)",
    "(1 << 53)",
    "math.maxinteger",
]
_EDGES.extend(["math.mininteger", "-0.0", "0.5", "1e308", "(1/0)", "(-1/0)", "(0/0)", "2^53"])
_TEXTS = ['""', '"x"', '"a\\0b"', '"\\xff\\xfe"', '"é"', '"%s"', '"%d%q%g"', '"(a*)%1"', '"[%w]+"']
_TEXTS.extend(['"%p"', '"%-20p|%s"', '"%s %p"'])
_TEXTS.extend(['("x"):rep(1000)', '("ab"):rep(20000)', '("x"):rep(1000000)', '".-x"', '"<i4s4z"'])
_TEXTS.extend(
    ['"%5.3s"', '"%c"', '"__index"', '"__gc"', '"__close"', '"os"', '"\\27Lua"', '"!8i16"']
)
_THINGS = ["nil", "true", "false", "null", "swarm.null", "{}", "array {}", "input", "input.list"]
_THINGS.extend(["swarm", "_G", "_ENV", "string", "table", "coroutine", "math", "utf8", "..."])
_FUNCTIONS = [
    "assert",
    "error",
    "getmetatable",
    "ipairs",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "xpcall",
    "array",
    "print",
    "load",
    "require",
    "collectgarbage",
    "string.byte",
    "string.char",
    "string.find",
    "string.format",
    "string.gmatch",
    "string.gsub",
    "string.len",
    "string.lower",
    "string.match",
    "string.pack",
    "string.packsize",
    "string.rep",
    "string.reverse",
    "string.sub",
    "string.unpack",
    "string.upper",
    "table.concat",
    "table.insert",
    "table.move",
    "table.pack",
    "table.remove",
    "table.sort",
    "table.unpack",
    "utf8.char",
    "utf8.codepoint",
    "utf8.codes",
    "utf8.len",
    "utf8.offset",
    "coroutine.create",
    "coroutine.resume",
    "coroutine.wrap",
    "coroutine.yield",
    "coroutine.status",
    "coroutine.isyieldable",
    "coroutine.running",
    "coroutine.close",
    "math.floor",
    "math.fmod",
    "math.random",
    "math.randomseed",
    "math.tointeger",
    "math.type",
    "math.ult",
    "math.max",
    "swarm.echo",
    "swarm.broken",
    "swarm.fail",
    "swarm.array",
    "io.open",
    "os.execute",
    "debug.getregistry",
    "string.dump",
]
_EVENTS = [
    "__index",
    "__newindex",
    "__call",
    "__concat",
    "__len",
    "__eq",
    "__lt",
    "__le",
    "__unm",
    "__add",
    "__sub",
    "__mul",
    "__div",
    "__mod",
    "__idiv",
    "__pow",
    "__band",
    "__bor",
    "__shl",
    "__shr",
    "__bnot",
    "__close",
    "__gc",
    "__mode",
    "__tostring",
    "__name",
    "__pairs",
    "__metatable",
]
_BINARY = ["+", "-", "*", "/", "//", "%", "^", "..", "==", "~=", "<", "<=", "and", "or", "&", "|"]
_BINARY.extend(["<<", ">>", "~"])
_OF_TABLES = {"getmetatable", "ipairs", "next", "pairs", "rawget", "rawlen", "rawset"}
_OF_TABLES.update({"setmetatable", "array", "swarm.array"})
_UNARY = ["-", "not ", "#", "~"]
_NAMES = ["a", "b", "c", "d", "f", "g", "t", "co"]

# What a script can reach, followed to its end: nothing of it may be of the host's world.
REACH = """
local seen_all, left_all = {}, 3000
local function reach(v)
  local kind = type(v)
  if kind == "userdata" then error("ESCAPED userdata", 0) end
  if kind ~= "table" and kind ~= "string" or kind == "table" and seen_all[v] then return end
  left_all = left_all - 1
  if left_all < 0 then return end
  local mt = getmetatable(v)
  if type(mt) == "table" then reach(mt) end
  if kind ~= "table" then return end
  seen_all[v] = true
  for _, n in ipairs({ "popen", "execute", "getregistry", "loadlib", "dump", "eval", "sethook" }) do
    if type(rawget(v, n)) == "function" and v ~= _ENV then error("ESCAPED " .. n, 0) end
  end
  pcall(function(...) for k, m in pairs(v) do reach(k) reach(m) end end)
end
"""


# Most of what is written fails where it stands: what it fails with is a value like others, the
# script goes on, and what it has made is told in the end as text, and handed to the host.
PRELUDE = """
local pcall, pairs, type, tostring = pcall, pairs, type, tostring
local pack, unpack, sub, gsub = table.pack, table.unpack, string.sub, string.gsub
local function try(f, ...)
  local r = pack(pcall(f, ...))
  return unpack(r, 2, r.n)
end
local function told(v, depth)
  local kind = type(v)
  if kind == "string" then return (gsub(sub(v, 1, 200), "[^%g ]", "?")) end
  if kind ~= "table" or depth > 3 then return tostring(v) end
  local t = {}
  pcall(function()
    for k, m in pairs(v) do
      t[#t + 1], t[#t + 2] = told(k, depth + 1), told(m, depth + 1)
      if #t > 20 then break end
    end
  end)
  t[#t + 1] = "a table"
  return t
end
local echo = swarm.echo
local function all_told(...)
  local t = {}
  for i, v in pairs(pack(...)) do t[#t + 1], t[#t + 2] = told(v, 0), told(try(echo, v), 0) end
  return t
end
"""


class Writer:
    """Writes one script after another from a seeded source of chance."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.depth = 0

    def script(self) -> str:
        """Write a script that looks for a way out when it ends, if it ends."""
        body = self.block(self.chance.randint(2, 9))
        names = ", ".join(_NAMES)
        begun = ", ".join(
            self.tried() if self.chance.random() < 0.5 else self.chance.choice(_EDGES + _TEXTS)
            for _ in _NAMES
        )
        ended = f"all_told({names})" if self.chance.random() < 0.7 else self.tried()
        return f"{PRELUDE}local {names} = {begun}\n{body}\nreturn {ended}"

    def tried(self) -> str:
        return f"(try(function(...) return {self.expression()} end, ...))"

    def block(self, statements: int) -> str:
        self.depth += 1
        lines = [self.statement() for _ in range(statements)]
        self.depth -= 1
        return "\n".join(lines)

    def body(self) -> str:
        return self.block(self.chance.randint(1, 3)) if self.depth < 5 else self.simple()

    def simple(self) -> str:
        name = self.chance.choice(_NAMES)
        return self.chance.choice(
            [f"{name} = {self.tried()}", f"local {name} = {self.expression()}", self.call()]
        )

    def statement(self) -> str:
        makers: Sequence[tuple[int, Callable[[], str]]] = (
            (8, self.simple),
            (2, self.loop),
            (2, self.guarded),
            (2, self.metatable),
            (2, self.coroutine),
            (3, self.tampering),
            (1, lambda: f"if {self.expression()} then {self.body()} else {self.body()} end"),
            (1, lambda: f"do local x <close> = {self.closer()} {self.body()} end"),
            (1, lambda: f"function _G.{self.chance.choice(_NAMES)}(...) {self.body()} end"),
            (1, lambda: f"do goto out {self.body()} ::out:: end"),
            (1, lambda: f"{self.place()} = {self.expression()}"),
        )
        if self.depth > 5:
            return self.simple()
        weights = [weight for weight, _ in makers]
        return self.chance.choices([maker for _, maker in makers], weights)[0]()

    def loop(self) -> str:
        edge = self.chance.choice
        return edge(
            [
                f"for i = {edge(_EDGES)}, {edge(_EDGES)}, {edge(_EDGES)} do {self.body()} end",
                f"for k, v in pairs({self.expression()}) do {self.body()} end",
                f"for i, v in ipairs({self.expression()}) do {self.body()} end",
                f"for x in {self.expression()} do {self.body()} end",
                f"for x in ({self.text()}):gmatch({self.text()}) do {self.body()} end",
                f"while {self.expression()} do {self.body()} end",
                f"repeat {self.body()} until {self.expression()}",
            ]
        )

    def guarded(self) -> str:
        return self.chance.choice(
            [
                f"pcall(function(...) {self.body()} end)",
                f"xpcall(function(...) {self.body()} end, {self.handler()})",
                f"error({self.expression()}, {self.chance.choice(_EDGES)})",
                f"string.gsub({self.text()}, '.', function(...) {self.body()} end)",
                "table.sort({ 3, 1, 2, 5, 4 }, function(x, y, ...) "
                + self.body()
                + " return x < y end)",
                f"while true do pcall(function(...) {self.body()} end) end",
            ]
        )

    def metatable(self) -> str:
        events = self.chance.sample(_EVENTS, self.chance.randint(1, 4))
        members = ", ".join(f"{event} = {self.handler()}" for event in events)
        name = self.chance.choice(_NAMES)
        return f"pcall(function(...) {name} = setmetatable({self.thing()}, {{ {members} }}) end)"

    def handler(self) -> str:
        if self.chance.random() < 0.3:
            return self.expression()
        return f"function(x, y, z, ...) {self.body()} return {self.expression()} end"

    def closer(self) -> str:
        return f"setmetatable({{}}, {{ __close = {self.handler()} }})"

    def coroutine(self) -> str:
        name = self.chance.choice(_NAMES)
        body = f"function(...) {self.body()} coroutine.yield({self.expression()}) {self.body()} end"
        return self.chance.choice(
            [
                f"{name} = coroutine.wrap({body}) pcall({name}, {self.expression()})",
                f"co = coroutine.create({body}) coroutine.resume(co) coroutine.resume(co)",
                f"for x in coroutine.wrap({body}) do {self.body()} end",
            ]
        )

    def call(self) -> str:
        called = self.chance.choice(_FUNCTIONS) if self.chance.random() < 0.9 else self.place()
        given = self.expressions(self.chance.randint(0, 4))
        if self.chance.random() < 0.6:
            given = self.plausible(called)
        call = f"{called}({given})"
        return f"{self.chance.choice(_NAMES)} = try(function(...) return {call} end, ...)"

    def plausible(self, called: str) -> str:
        """Write arguments of the sorts that a function takes, from their edges."""
        room, _, _ = called.rpartition(".")
        rest = [self.simple_value() for _ in range(self.chance.randint(0, 3))]
        if room in ("string", "utf8"):
            return ", ".join([self.text(), *rest])
        if room == "table" or called in _OF_TABLES:
            return ", ".join([self.table(), *rest])
        if room == "coroutine":
            return ", ".join([f"function(...) {self.body()} end", *rest])
        return ", ".join(rest)

    def table(self) -> str:
        events = self.chance.sample(_EVENTS, 2)
        members = ", ".join(f"{event} = {self.simple_value()}" for event in events)
        lying = f"setmetatable({{ 1, 2, x = 3 }}, {{ {members}, __len = function() return 9 end }})"
        return self.chance.choice(["{ 3, 1, 2 }", "{}", "null", "array {}", lying, *_NAMES])

    def tampering(self) -> str:
        """Write into what is not the script's alone, or make what has no end."""
        value, name = self.simple_value(), self.chance.choice(_NAMES)
        library = self.chance.choice([name for name in _FUNCTIONS if "." in name])
        return self.chance.choice(
            [
                f"try(function() {library} = {value} end)",
                f"try(rawset, {self.chance.choice(['null', 'string', 'table', '_G'])}, 1, {value})",
                f"try(rawset, _G, {self.text()}, {value})",
                f"for _ = 1, 200 do {name} = {{ {name} }} end",
                f"try(function() {name}.x = {name} end)",
                f"{name} = try(setmetatable, {{}}, {{ {self.chance.choice(_EVENTS)} = {value} }})",
                f"{name} = try(string.format, {self.text()}, {self.thing()}, {self.thing()})",
                f"{name} = try(coroutine.wrap(function() {self.endless()} end))",
                f"try(function() {self.endless()} end)",
            ]
        )

    def endless(self) -> str:
        return self.chance.choice(
            ["while true do end", "repeat until false", "::a:: goto a", "for _ = 1, 1 << 40 do end"]
        )

    def place(self) -> str:
        name = self.chance.choice([*_NAMES, "input", "swarm", "string", "_G", "null"])
        return self.chance.choice([f"{name}.x", f"{name}[{self.simple_value()}]", f"{name}"])

    def expressions(self, count: int) -> str:
        return ", ".join(self.expression() for _ in range(count))

    def expression(self) -> str:
        self.depth += 1
        try:
            kind = self.chance.random()
            if self.depth > 6 or kind < 0.45:
                return self.simple_value()
            if kind < 0.6:
                called = self.chance.choice(_FUNCTIONS)
                return f"{called}({self.expressions(self.chance.randint(0, 3))})"
            if kind < 0.7:
                return f"({self.expression()} {self.chance.choice(_BINARY)} {self.expression()})"
            if kind < 0.75:
                return f"{self.chance.choice(_UNARY)}({self.expression()})"
            if kind < 0.88:
                return f"{{ {self.expression()}, x = {self.expression()}, {self.expression()} }}"
            if kind < 0.95:
                return f"function(...) {self.body()} return {self.simple_value()} end"
            return f"({self.text()}):{self.chance.choice(['rep', 'sub', 'byte', 'gsub'])}(1, 2)"
        finally:
            self.depth -= 1

    def simple_value(self) -> str:
        pools = (_EDGES, _TEXTS, _THINGS, _NAMES, _NAMES)
        return self.chance.choice(self.chance.choice(pools))

    def text(self) -> str:
        return self.chance.choice(_TEXTS)

    def thing(self) -> str:
        return self.chance.choice([*_THINGS, *_NAMES, "{}", "{}"])


_WORD = re.compile(r'"(?:[^"\\\n]|\\.)*"|\w+|\s+|\.\.+|::|[=~<>]=|.', re.DOTALL)


def mutated(chance: random.Random, corpus: Sequence[str]) -> str:
    """Change a script that was written: its words, its order, what stands around it."""
    source = chance.choice(corpus)
    for _ in range(chance.randint(1, 4)):
        source = chance.choice(_CHANGES)(chance, source, corpus)
    return source


def _words(chance: random.Random, source: str, _corpus: Sequence[str]) -> str:
    words = _WORD.findall(source)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(words) or 1)
        words[at : at + 1] = chance.choice(
            [
                [],
                words[at : at + 1] * 2,
                [chance.choice(words or [""])],
                [chance.choice(_EDGES)],
                [chance.choice(_FUNCTIONS)],
                [chance.choice(_EVENTS)],
                [chance.choice(_TEXTS)],
            ]
        )
    return "".join(words)


def _joined(chance: random.Random, source: str, corpus: Sequence[str]) -> str:
    other = chance.choice(corpus)
    guard = chance.choice(
        ["pcall(function(...) {} end)", "do {} end", "coroutine.wrap(function(...) {} end)()"]
    )
    return guard.replace("{}", f"\n{other}\n") + "\n" + source


def _wrapped(chance: random.Random, source: str, _corpus: Sequence[str]) -> str:
    around = chance.choice(
        [
            "return pcall(function(...) {} end, ...)",
            "return coroutine.wrap(function(...) {} end)(...)",
            "return (string.gsub('x', 'x', function(...) {} end))",
            "return setmetatable({}, { __index = function(...) {} end }).x",
            "return setmetatable({}, { __tostring = function(...) {} end }) .. tostring({})",
            "local x <close> = setmetatable({}, { __close = function(...) {} end }) return 1",
            "while true do pcall(function(...) {} end) end",
            "return select(2, xpcall(error, function(...) {} end))",
            "for i in function(...) {} end do return i end",
            "table.sort({ 1, 2 }, function(...) {} end)",
        ]
    )
    return around.replace("{}", f"\n{source}\n")


def _cut(chance: random.Random, source: str, _corpus: Sequence[str]) -> str:
    a, b = sorted((chance.randrange(len(source) + 1), chance.randrange(len(source) + 1)))
    return source[:a] + source[b:] if b - a < 40 else source[a:b]


_CHANGES: Sequence[Callable[[random.Random, str, Sequence[str]], str]] = (
    _words, _words, _words, _joined, _wrapped, _cut,
)  # fmt: skip
