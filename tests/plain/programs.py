"""Random flow functions: well typed for the most part, so that they do something.

Everything that a flow function may hold appears: locals and shadowing, agents inside
expressions, every loop and way out of it, `pcall`, `error`, `parallel`, lists, records,
helpers. The same seed gives the same program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

__all__ = ("CONTEXTS", "program")

CONTEXTS: tuple[dict[str, object], ...] = (
    {"n": 1, "k": 3, "s": "abc", "b": True, "l": [1, 2, 3], "r": {"x": 1, "y": "q"}, "q": None},
    {"n": 2.5, "k": 0, "s": "", "b": False, "l": [], "r": {"x": -1}, "q": 7},
    {"n": -3, "s": "fail", "l": [5], "r": {}, "q": "text"},
)
_DEPTH = 4
_PARTS = ("/ 2", "% 3", "// 2", "% 2.5", "// 0.1", "/ 3", "* 4000000000")


@dataclass
class _Scope:
    """The locals in scope by type, and those that may be assigned."""

    by_type: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


class _Writer:
    def __init__(self, random: Random) -> None:
        self.r = random
        self.scopes: list[_Scope] = [_Scope()]
        self.fixed: set[str] = set()
        self.labels: list[str] = []
        self.looped: list[str] = []
        self.lane = False
        self.in_function = 0
        self.left = 22
        self.count = 0

    # ---- names

    def name(self, kind: str) -> str | None:
        found = [name for one in self.scopes for name in one.by_type.get(kind, [])]
        return self.r.choice(found) if found else None

    def own(self, kind: str) -> str | None:
        found = [name for one in self.scopes for name in one.by_type.get(kind, [])]
        found = [name for name in found if name not in self.fixed]
        return self.r.choice(found) if found else None

    def fresh(self, kind: str) -> str:
        """Declare a local; sometimes one that shadows another of its type."""
        known = self.name(kind)
        if known is not None and self.r.random() < 0.15:
            name = known
        else:
            self.count += 1
            name = f"{kind[0]}{self.count}"
        self.scopes[-1].by_type.setdefault(kind, []).append(name)
        return name

    # ---- expressions

    def pick(self, *choices: Callable[[], str]) -> str:
        return self.r.choice(choices)()

    def agent(self, name: str, depth: int) -> str:
        return f"{name}({self.any(depth + 2)})"

    def num(self, depth: int = 0) -> str:
        if depth >= _DEPTH or self.r.random() < 0.3:
            return self.r.choice(
                [
                    *("0", "1", "2", "3", "2.5", "-1", "10", "MAX", "CFG.limit"),
                    *("0.1", "1e15", "9007199254740993"),
                ]
            )
        deeper = depth + 1
        return self.pick(
            lambda: self.name("num") or "1",
            lambda: self.r.choice(["(ctx.n or 1)", "(ctx.k or 2)", "(ctx.r.x or 0)"]),
            lambda: self.r.choice(["ctx.n", "ctx.k", "ctx.r.x", "ctx.l[1]", "ctx.q"]),
            lambda: f"({self.num(deeper)} {self.r.choice('+-*')} {self.num(deeper)})",
            lambda: f"({self.num(deeper)} {self.r.choice(_PARTS)})",
            lambda: f"#{self.list(deeper)}",
            lambda: f"#{self.str(deeper)}",
            lambda: f"-{self.name('num') or '2'}",
            lambda: self.agent("num", deeper),
            lambda: f"double({self.num(deeper)})",
            lambda: f"clamp({self.num(deeper)}, 0, 5)",
            lambda: f"util.inc({self.num(deeper)})",
            lambda: f"sum({{ {self.num(deeper)}, {self.num(deeper)} }})",
            lambda: f"math.{self.r.choice(['floor', 'abs', 'ceil'])}({self.num(deeper)})",
            lambda: f"math.max({self.num(deeper)}, {self.num(deeper)})",
            lambda: f"({self.bool(deeper)} and {self.num(deeper)} or {self.num(deeper)})",
        )

    def str(self, depth: int = 0) -> str:
        if depth >= _DEPTH or self.r.random() < 0.35:
            return self.r.choice(
                ['"a"', '"b c"', '""', '"PASS"', "GREETING", "util.word", '"h\u00e9\u4e16"']
            )
        deeper = depth + 1
        return self.pick(
            lambda: self.name("str") or '"v"',
            lambda: self.r.choice(['(ctx.s or "d")', "ctx.s", "CFG.names[1]"]),
            lambda: f"({self.str(deeper)} .. {self.str(deeper)})",
            lambda: f"({self.str(deeper)} .. {self.num(deeper)})",
            lambda: f"tostring({self.num(deeper)})",
            lambda: self.agent("text", deeper),
            lambda: f"({self.str(deeper)}):upper()",
            lambda: f"({self.str(deeper)}):sub(1, {self.r.choice(['1', '2', '-1', '-2'])})",
            lambda: f"string.rep({self.str(deeper)}, 2)",
            lambda: f"tostring({self.bool(deeper)})",
            lambda: f"type({self.any(deeper)})",
            lambda: f"classify({self.num(deeper)})",
            lambda: f"slug({self.str(deeper)})",
            lambda: f"ask({self.any(deeper)})",
            lambda: f'table.concat({self.list(deeper)}, ",")',
        )

    def bool(self, depth: int = 0) -> str:
        if depth >= _DEPTH or self.r.random() < 0.2:
            return self.r.choice(["true", "false", "CFG.deep.on"])
        deeper = depth + 1
        return self.pick(
            lambda: self.name("bool") or "true",
            lambda: "(ctx.b == true)",
            lambda: (
                f"({self.num(deeper)} {self.r.choice(['<', '<=', '>', '>=', '==', '~='])} "
                f"{self.num(deeper)})"
            ),
            lambda: f"({self.str(deeper)} {self.r.choice(['==', '~=', '<'])} {self.str(deeper)})",
            lambda: f"(not {self.any(deeper)})",
            lambda: f"({self.any(deeper)} == nil)",
            lambda: f"({self.bool(deeper)} {self.r.choice(['and', 'or'])} {self.bool(deeper)})",
            lambda: f'(({self.str(deeper)}):find("a", 1, true) ~= nil)',
        )

    def list(self, depth: int = 0) -> str:
        if depth >= _DEPTH or self.r.random() < 0.3:
            return self.r.choice(
                ["{ 1, 2 }", '{ "x", "y", "z" }', "CFG.names", "ctx.l", "{ 1, nil, 2.5, nil }"]
            )
        deeper = depth + 1
        return self.pick(
            lambda: self.name("list") or "{ 3 }",
            lambda: f'{{ {self.num(deeper)} or 0, {self.str(deeper)} or "" }}',
            lambda: self.agent("list", deeper),
            lambda: "(ctx.none or {})",
        )

    def record(self, depth: int = 0) -> str:
        deeper = depth + 1
        return self.pick(
            lambda: f"{{ x = {self.num(deeper)}, y = {self.any(deeper)} }}",
            lambda: f'{{ [{self.str(deeper)} .. "k"] = {self.num(deeper)} }}',
            lambda: f"echo({{ x = {self.num(deeper)} }})",
            lambda: "copy(ctx.r)",
        )

    def any(self, depth: int = 0) -> str:
        if depth >= _DEPTH:
            return self.r.choice(["nil", "1", '"t"', "true", "ctx.q"])
        deeper = depth + 1
        return self.pick(
            lambda: self.num(deeper),
            lambda: self.str(deeper),
            lambda: self.bool(deeper),
            lambda: self.r.choice(["nil", "ctx.q", "ctx.gone", "ctx.r.y", "ctx.s", "echo(ctx)"]),
            lambda: self.name("any") or "nil",
            lambda: f"({self.any(deeper)} {self.r.choice(['and', 'or'])} {self.any(deeper)})",
            lambda: f"{self.agent('rec', deeper)}.{self.r.choice('nt')}",
            lambda: self.agent(self.r.choice(["flaky", "echo", "nilly", "judge"]), deeper),
            lambda: f"need({self.any(deeper)})",
            lambda: f"{self.name('list') or 'ctx.l'}[{self.num(deeper)}]",
            lambda: self.record(deeper),
        )

    def typed(self, kind: str, depth: int = 0) -> str:
        return str(getattr(self, kind)(depth))

    # ---- statements

    def block(self, depth: int, size: int | None = None) -> str:
        self.scopes.append(_Scope())
        lines: list[str] = []
        for _ in range(size or self.r.randint(1, 4)):
            if self.left <= 0:
                break
            self.left -= 1
            lines.append(self.statement(depth))
            if lines[-1].startswith(("do return", "break", "goto", "error(")):
                break
        self.scopes.pop()
        return "\n".join(lines)

    def statement(self, depth: int) -> str:
        chance = self.r.random()
        if depth > 3:
            chance *= 0.55
        if chance < 0.16:
            return self.declared()
        if chance < 0.32:
            return self.assigned()
        if chance < 0.38:
            return self.agent(self.r.choice(["echo", "num", "flaky"]), 1)
        if chance < 0.47:
            return self.changed()
        if chance < 0.55:
            return self.left_early()
        if chance < 0.70:
            return self.chosen(depth)
        if chance < 0.88:
            return self.loop(depth)
        if chance < 0.95 or self.lane:
            return self.protected(depth)
        return self.side_by_side(depth)

    def declared(self) -> str:
        kind = self.r.choice(["num", "num", "str", "bool", "any", "list", "record"])
        value = self.typed(kind, 1)
        if kind == "list":
            value = self.r.choice(["{}", f"copy({value})", f"{{ {self.num(2)} or 0 }}"])
        return f"local {self.fresh(kind)} = {value}"

    def assigned(self) -> str:
        kind = self.r.choice(["num", "str", "bool", "any"])
        name = self.own(kind)
        if name is not None and kind == "num" and self.r.random() < 0.2:
            return self.changed_meanwhile(name)
        if name is not None and (self.lane or self.r.random() < 0.5):
            return f"{name} = {self.typed(kind, 1)}"
        if self.lane:
            return self.declared()
        goals = {
            "num": ["ctx.n", "ctx.k", "ctx.r.x", 'ctx.r["x"]'],
            "str": ["ctx.s"],
            "bool": ["ctx.b"],
            "any": ["ctx.q", "ctx.a", "ctx.r.y", "ctx.d.e", "ctx.r[ctx.s]"],
        }
        return f"{self.r.choice(goals[kind])} = {self.typed(kind, 1)}"

    def changed_meanwhile(self, name: str) -> str:
        """Read a local before a call that sets it."""
        self.count += 1
        bump = f"bump{self.count}"
        body = f"{name} = {self.r.choice(['2', f'-{name}', 'num(1)'])} return echo({name})"
        op = self.r.choice(["+", "-", "*", "<", "=="])
        value = f"{name} {op} {bump}()"
        if op in "+-*":
            return f"local function {bump}() {body} end {name} = {value}"
        return f"local function {bump}() {body} end local {self.fresh('bool')} = {value}"

    def changed(self) -> str:
        """Change a list or a record of one's own."""
        record = self.own("record")
        if record is not None and self.r.random() < 0.4:
            key = self.r.choice([".x", ".y", '["a b"]', f"[{self.str(3)}]"])
            return f"{record}{key} = {self.num(2)}"
        name = self.own("list") or (None if self.lane else "ctx.l")
        if name is None or name in self.looped:
            return self.declared()
        return self.pick(
            lambda: f"{name}[#{name} + 1] = {self.num(2)} or 0",
            lambda: f'table.insert({name}, {self.str(2)} or "")',
            lambda: f"table.insert({name}, 1, {self.num(2)} or 0)",
            lambda: f"table.remove({name})",
            lambda: f"local {self.fresh('any')} = table.remove({name}, 1)",
            lambda: f"{name}[1] = {self.num(2)} or 0",
            lambda: f"{name}[#{name}] = nil",
        )

    def left_early(self) -> str:
        labels = [one for one in self.labels if one]
        if labels and self.r.random() < 0.6:
            return "break" if self.r.random() < 0.6 else f"goto {labels[-1]}"
        if self.r.random() < 0.3:
            return f'error("e.{self.r.randint(1, 3)}", "m")'
        if self.r.random() < 0.2:
            return f"if {self.bool(1)} then error({self.str(2)}) end"
        return f"do return {self.any(1)} end"

    def chosen(self, depth: int) -> str:
        text = f"if {self.any(1)} then\n{self.block(depth + 1)}\n"
        for _ in range(self.r.choice([0, 0, 1, 2])):
            text += f"elseif {self.bool(1)} then\n{self.block(depth + 1)}\n"
        if self.r.random() < 0.5:
            text += f"else\n{self.block(depth + 1)}\n"
        return text + "end"

    def loop(self, depth: int) -> str:
        self.count += 1
        label = f"continue{self.count}"
        outer, self.labels = self.labels, [*self.labels, label]
        self.scopes.append(_Scope())
        made = self.pick(
            lambda: self.counted(depth),
            lambda: self.over_list(depth),
            lambda: self.over_members(depth),
            lambda: self.asked(depth, label),
            lambda: self.repeated(depth, label),
        )
        self.scopes.pop()
        self.labels = outer
        return made.replace("::?::", f"::{label}::")

    def counted(self, depth: int) -> str:
        bounds = self.r.choice(["1, 3", "1, MAX", "3, 1, -1", "0, 1, 0.5", "2, 1", "1, 2"])
        if self.r.random() < 0.4:
            bounds = f"{self.r.choice(['1', 'num(1)'])}, {self.num(3)}"
            bounds += self.r.choice(["", ", 2", ", 1"])
        name = self.fresh("num")
        return f"for {name} = {bounds} do\nlimit(1000)\n{self.block(depth + 1)}\n::?::\nend"

    def over_list(self, depth: int) -> str:
        source = self.list(1)
        item = self.fresh("any")
        position = "_" if self.r.random() < 0.5 else self.fresh("num")
        self.looped.append(source)
        body = self.block(depth + 1)
        self.looped.pop()
        return f"for {position}, {item} in ipairs({source}) do\n{body}\n::?::\nend"

    def over_members(self, depth: int) -> str:
        source = self.r.choice([self.name("record") or "{ b = 1, a = 2 }", "(ctx.r or {})"])
        name, member = self.fresh("str"), self.fresh("any")
        return f"for {name}, {member} in pairs({source}) do\n{self.block(depth + 1)}\n::?::\nend"

    def asked(self, depth: int, label: str) -> str:
        self.count += 1
        name = f"w{self.count}"
        body = self.block(depth + 1)
        cond = f"{name} < {self.r.randint(1, 3)} and {self.any(2)}"
        return f"local {name} = 0\nwhile {cond} do\n{name} = {name} + 1\n{body}\n::{label}::\nend"

    def repeated(self, depth: int, label: str) -> str:
        self.count += 1
        name = f"w{self.count}"
        body = self.block(depth + 1)
        until = f"{name} >= {self.r.randint(1, 3)} or {self.any(2)}"
        inside = f"{name} = {name} + 1\ndo\n{body}\nend\n::{label}::"
        return f"local {name} = 0\nrepeat\n{inside}\nuntil {until}"

    def protected(self, depth: int) -> str:
        if self.r.random() < 0.25:
            return f"pcall(flaky, {self.any(1)})"
        outer, self.labels = self.labels, []
        body = self.block(depth + 1)
        self.labels = outer
        if self.r.random() < 0.4:
            return f"pcall(function()\n{body}\nend)"
        self.count += 1
        ok, err = f"ok{self.count}", f"err{self.count}"
        result = "local why" if self.lane else "ctx.a"
        handled = f"if not {ok} then {result} = {err}.code end"
        if self.r.random() < 0.15:
            handled = f"if not {ok} then error({err}) end"
        self.scopes[-1].by_type.setdefault("bool", []).append(ok)
        return f"local {ok}, {err} = pcall(function()\n{body}\nend)\n{handled}"

    def side_by_side(self, depth: int) -> str:
        labels, self.labels, self.lane = self.labels, [], True
        fixed = self.fixed
        self.fixed = {
            name for one in self.scopes for names in one.by_type.values() for name in names
        }
        source = self.list(1)
        self.scopes.append(_Scope({"any": ["item"], "num": ["i"]}))
        body = self.block(depth + 1)
        value = self.pick(
            lambda: "item", lambda: "i", lambda: "echo(item)", lambda: "{ item = item, i = i }"
        )
        self.scopes.pop()
        self.fixed, self.labels, self.lane = fixed, labels, False
        join = self.r.choice(["all", "all_settled", "any", "race"])
        options = self.r.choice(["", f'{{ join = "{join}", limit = 2 }}, '])
        made = f"parallel({source}, {options}function(item, i)\n{body}\ndo return {value} end\nend)"
        return f"local {self.fresh('any')} = {made}"


def program(seed: int) -> str:
    """Return the text of one flow function."""
    writer = _Writer(Random(seed))  # noqa: S311 - programs, not secrets
    body = writer.block(0, 7)
    return f"function(ctx)\n{body}\nend"
