"""Random flow functions about names for tables: what Lua shares, a flow must not show.

Each makes names for tables in every way there is, changes tables under them, and tells what
is seen under all. The same seed gives the same program.
"""

from __future__ import annotations

from random import Random

__all__ = ("CONTEXT", "HELPERS", "sharing")

CONTEXT = {
    "a": {"n": 1, "c": {"n": 2, "c": {"n": 3}}},
    "b": {"n": 4, "c": {"n": 5, "c": {"n": 6}}},
    "l": [{"n": 7, "c": {"n": 8}}, {"n": 9, "c": {"n": 10}}],
    "k": "a",
    "seen": {},
}
HELPERS = """\
local function pick(l) for _, x in ipairs(l) do if x.n then return x end end return l[1] end
local function wrap(x) local out = { n = 0 } out.c = x return out end
local function fresh(x) local out = {} out.n = x.n out.c = { n = 1 } return out end
local function either(x, y) local found = x if x.n > 5 then found = y end return found end
local function asked(x) echo(x.n) return x end
local function bump(x) x.n = x.n + 100 end
local function link(x, y) x.c = y end
local function swap(x, y) x.n, y.n = y.n, x.n end
local function grow(x) x.c = { n = 1 } return x end
local function put(l, x) l[#l + 1] = x echo(#l) end
local function each(l, f) for _, x in ipairs(l) do f(x) end end
"""
_LOCALS = ("t", "u", "v")
_CHANGES = ("bump(x)", "bump(x.c)", "link(x, ctx.b)", "x.n = grow(x.c).n")


class _Writer:
    def __init__(self, seed: int) -> None:
        self.r = Random(seed)  # noqa: S311 - the same seed gives the same program
        self.count = 0

    def table(self) -> str:
        """Write an expression that is a table for sure, most of the time."""
        pick = self.r.choice
        one = pick([*_LOCALS, "ctx.a", "ctx.b", "ctx.l[1]", "ctx.l[2]", "ctx[ctx.k]"])
        return pick(
            [
                *(one, one, one, f"{one}.c", f"({one}.c or {one})"),
                *("pick(ctx.l)", f"wrap({one})", f"fresh({one})", f"either({one}, ctx.b)"),
                *(f"asked({one})", f"copy({one})", f"{{ n = 1, c = {one} }}", "{ n = 2 }"),
                *(f"echo({one})", f"(ctx.gone or {one})"),
            ]
        )

    def place(self) -> str:
        """Write what may be written in."""
        one = self.r.choice([*_LOCALS, "ctx.a", "ctx.b", "ctx.l[1]", "ctx.l[2]"])
        return self.r.choice([one, one, f"{one}.c"])

    def number(self) -> int:
        self.count += 1
        return self.count * 11

    def statement(self, depth: int) -> str:
        pick, local = self.r.choice, self.r.choice(_LOCALS)
        plain = [
            f"{local} = {self.table()}",
            f"{local} = {self.table()}",
            f"{self.place()}.n = {self.number()}",
            f"{self.place()}.n = {self.number()}",
            f"{self.place()}.c = {self.table()}",
            f"ctx.seen.k{self.number()} = {self.place()}.n",
            f"table.insert(ctx.l, {self.table()})",
            f"bump({pick([*_LOCALS, 'ctx.a'])})",
            f"bump({self.place()})",
            f"link({self.place()}, {self.table()})",
            f"swap({self.place()}, {self.place()})",
            f"put(ctx.l, {self.table()})",
            f"{local} = grow({self.place()})",
            f"each(ctx.l, function(x) {local}.n = x.n + {self.number()} end)",
            f"ctx.{pick(['a', 'b'])} = {self.table()}",
            f"local {local} = {self.table()}",
            f"t, u = {self.table()}, {self.table()}",
        ]
        if depth < 2:
            inner = self.block(depth + 1)
            plain += [
                f"if {local}.n > 5 then {inner} else {self.block(depth + 1)} end",
                f"for i = 1, 2 do {inner} end",
                f"for i, x in ipairs(ctx.l) do {pick(['x.n = i', f'{local} = x'])} {inner} end",
                f"for i, x in ipairs(ctx.l) do ctx.l[i].n = i {inner} end",
                f"for i, x in ipairs(ctx.l) do {pick(_CHANGES)} {inner} end",
                f"for k, x in pairs(ctx) do {local}.n = {self.number()} end",
                f"pcall(function() {inner} end)",
            ]
        return pick(plain)

    def block(self, depth: int) -> str:
        return " ".join(self.statement(depth) for _ in range(self.r.randint(1, 3)))


def sharing(seed: int) -> str:
    """Return the text of a flow function."""
    writer = _Writer(seed)
    names = ", ".join(_LOCALS)
    body = " ".join(writer.statement(0) for _ in range(writer.r.randint(2, 6)))
    told = "{ t = t, u = u, v = v, a = ctx.a, b = ctx.b, l = ctx.l, seen = ctx.seen }"
    if writer.r.random() < 0.5:  # else every local is looked at again
        told = "{ a = ctx.a, b = ctx.b, l = ctx.l, seen = ctx.seen }"
    start = f"local {names} = {{ n = 1 }}, {{ n = 2 }}, {{ n = 3 }}"
    return f"function(ctx) {start} {body} return {told} end"
