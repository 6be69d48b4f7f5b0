"""A flow function both ways: lowered, through flowir's machine, and directly in Lua.

Agents are stubs that answer by their name, their input and how many calls went before.
What is compared: the result, or the error's code; and the sequence of agent calls.
"""

from __future__ import annotations

import json
import math
import operator
import re
import zlib
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import anyio
from lupa import lua54  # pyright: ignore[reportMissingTypeStubs]

import flowir
from flowir.errors import FlowError, WorkerFailure
from swarm.errors import ScriptFailed
from swarm.lua.lowering import ROUNDS, PlainFlow, helpers, lower_plain
from swarm.lua.lowering.names import Callee
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script
from tests.plain.rewriting import rewritten

__all__ = (
    "AGENTS",
    "FILE",
    "HEAD",
    "Batch",
    "Ended",
    "Program",
    "TooLong",
    "answer",
    "canonical",
    "ended_as",
    "told_by",
)

JSON = Any
T = TypeVar("T")
FILE = "plain.lua"
AGENTS = ("echo", "num", "text", "flaky", "rec", "judge", "nilly", "list")
HEAD = f"""\
local flow = require "flow"
local {", ".join(AGENTS)} = {", ".join(f'flow.fn "{name}"' for name in AGENTS)}
local agents = {{ echo = echo, num = num }}
local MAX, GREETING = 3, "hello"
local CFG = {{ limit = 2, names = {{ "x", "y" }}, deep = {{ on = true }} }}
local function double(n) return n * 2 end
local function clamp(n, low, high) return math.max(low, math.min(n, high)) end
local function slug(s) local out = s:lower():gsub("%s+", "-") return out end
local function fact(n) if n <= 1 then return 1 end return n * fact(n - 1) end
local function sum(list)
  local total = 0
  for _, n in ipairs(list) do total = total + n end
  return total
end
local function classify(n)
  if n < 0 then return "negative" elseif n == 0 then return "zero" end
  return "positive"
end
local function need(v) if v == nil then error("need.value", "nothing given") end return v end
local function ask(x)
  local r = judge(x)
  if r.verdict == "PASS" then return "yes" end
  return "no"
end
local function prepare(c, n) c.draft = echo {{ topic = c.topic, n = n }} c.ready = true end
SIX, LESS = 99, 99 -- globals, which the constants hide
local LESS <const> = -1
local SIX <const> = 6
local WORD <const> = "tea"
local SURE <const> = true
local function sixfold(n) return n * SIX end
local function sixes(list)
  local t = LESS
  for _, n in ipairs(list) do t = t + sixfold(n) end
  return t
end
local function optional(t) t = t or {{}} return {{ a = t.a or 1, b = t.b ~= false }} end
local P = {{ k = 3 }}
function P.square(n) return n * n end
function P.squares(list)
  local t = P.k
  for _, n in ipairs(list) do t = t + P.square(n) end
  return t
end
function P.even(n) if n == 0 then return true end return P.odd(n - 1) end
function P.odd(n) if n == 0 then return false end return P.even(n - 1) end
local M = {{ step = 2, maths = P, ask = echo }}
function M.inc(n) return n + M.step end
function M.twice(n) return M.inc(M.inc(n)) end
function M.asked(x) local y = M.ask(x) return M.twice(y) end
function M.total(list) local t = 0 for _, n in ipairs(list) do t = t + M.inc(n) end return t end
function M:later(n) return self.step + n end
function M.refuse(why) error("module.refused", why) end
local util = {{ inc = function(n) return n + 1 end, word = "util" }}
"""

# What a stub says that fails.
FAILED = "no answer"
# What Lua raises itself has no code of its own: whatever the flow says of it is the same.
_RUNTIME = frozenset(
    ["arith.overflow", "arith.zero_division", "path.missing", "path.not_writable", "type.mismatch"]
)
_ORACLE = Path(__file__).with_name("oracle.lua").read_text()


# What a stub answers: to whom, with which input, and how many calls went before.
Answers: TypeAlias = Callable[[str, JSON, int], JSON]


class TooLong(Exception):
    """The program does not end soon; nothing can be compared."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: "ok" and the value, or "error" and the code; and who was asked."""

    status: str
    value: JSON
    calls: tuple[JSON, ...]


def answer(name: str, given: JSON, call: int) -> JSON:
    """Answer a step as the stub *name* does.

    Raises: WorkerFailure, as some inputs of `flaky` make it.
    """
    mark = zlib.crc32(json.dumps(canonical(given), sort_keys=True).encode()) + 7 * call
    match name:
        case "echo":
            return given
        case "num":
            return (0, 1, 2, 3, 2.5, -1, 10)[mark % 7]
        case "text":
            return ("", "a", "PASS", "b c", "10")[mark % 5]
        case "flaky":
            if given == "fail" or (given != "ok" and mark % 3 == 0):
                raise WorkerFailure("net.down", FAILED, True, None)
            return mark % 5
        case "rec":
            return ({"ok": True, "n": mark % 4}, {"n": None, "t": "x"}, {"l": [1, 2, 3]})[mark % 3]
        case "judge":
            return {"verdict": "PASS" if call >= 4 else "BLOCKED", "notes": f"n{call}"}
        case "swarm.sleep":
            return None
        case "list":
            return [[1, 2, 3], [], ["a", "b"]][mark % 3]
        case _:
            return None if given == 1 else {"a": None, "b": 1}


def canonical(value: JSON, strict: Sequence[str] = ()) -> JSON:
    """Return a value as Lua knows it: nothing is not there.

    Empty tables are alike, and so are the two zeros, but for *strict* "empty" and "zero_sign".
    """
    empty = repr(value) if "empty" in strict else "<empty>"
    if isinstance(value, dict):
        members: dict[str, JSON] = value
        if isinstance(members.get("code"), str) and "message" in members:
            members = {name: members.get(name) for name in ("code", "message", "data")}
            if members["code"] in _RUNTIME or _by_lua(members["code"], members["message"]):
                members["message"] = "<runtime>"
        kept = {k: canonical(v, strict) for k, v in members.items() if v is not None}
        return kept or empty
    if isinstance(value, list):
        items: list[JSON] = value
        return [canonical(item, strict) for item in items] or empty
    if isinstance(value, str):
        return "<runtime>" if value in _RUNTIME else value
    if isinstance(value, bool) or value is None:
        return value
    shown = repr(value if "zero_sign" in strict else value + 0)
    return ("integer" if isinstance(value, int) else "float", shown)


def _by_lua(code: JSON, message: JSON) -> bool:
    """Tell whether a step failed of Lua's own making: its words name other lines."""
    return code == "step.failed" and message != FAILED


def _ended(status: str, value: JSON, calls: list[JSON], strict: Sequence[str] = ()) -> Ended:
    return Ended(status, canonical(value, strict), tuple(calls))


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits for something")


SCRIPTS = InlineScripts()


def told_by(source: str) -> list[dict[str, Any]]:
    """Return what the author runtime tells of the flow, or flows, that a script returns."""

    async def author() -> Any:
        return await SCRIPTS.author(Script(FILE, source), folder=None)

    made: Any = anyio.run(author)
    blueprints: list[dict[str, Any]] = made if isinstance(made, list) else [made]
    return [one["flow"] for one in blueprints]


def computed(name: str, source: str, given: JSON) -> JSON:
    """Do an implicit step, as the host's Lua worker would."""
    try:
        return finish(SCRIPTS.run(Script(name, source), given))
    except ScriptFailed as failed:
        raise WorkerFailure(failed.code, str(failed), False, failed.value) from failed


@contextmanager
def noted_steps(into: set[int]) -> Generator[None]:
    """Note where the functions begin that the lowering has a step of Lua compute."""
    original = helpers.handed_back

    def noted(callee: Callee) -> Any:
        into.add(callee.function.start)
        return original(callee)

    helpers.handed_back = noted
    try:
        yield
    finally:
        helpers.handed_back = original


# The codes that a flow knows: those that its text writes, and the machine's own.
_WRITTEN = (
    r"""["']([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)["']""",
    r"""error\(\s*["']([^"']+)["']\s*,""",
    r"""code\s*=\s*["']([^"']+)["']""",
)
_OWN = ("fanout.all_failed", "fanout.empty", "fanout.no_quorum", "loop.limit", "step.failed")


class _Host:
    """What the oracle asks Python for: floats and letters as a flow has them."""

    def __init__(self, lua: Any, source: str) -> None:
        self._lua = lua
        self._source = source

    def table(self) -> Any:
        """Return the functions as a table of Lua."""
        return self._lua.table_from(
            {
                "order": self.order,
                "upper": str.upper,
                "lower": str.lower,
                "floor": partial(self.whole, math.floor),
                "ceil": partial(self.whole, math.ceil),
                "float_text": json.dumps,
                "floor_div": operator.floordiv,
                "compact": self.compact,
            }
        )

    def order(self, names: Any) -> Any:
        """Put the names of lanes in the order of the text."""
        known: list[str] = list(names.values())
        return self._lua.table_from(sorted(known, key=lambda n: self._source.find(f"{n} = fun")))

    @staticmethod
    def compact(text: str) -> str:
        """Write JSON as a stub's answer is written."""
        return json.dumps(json.loads(text))

    @staticmethod
    def whole(f: Callable[[float], int], number: float) -> int | None:
        """Round to an integer of 64 bit, if there is one."""
        found = f(number)
        return found if -(1 << 63) <= found < 1 << 63 else None


class Batch:
    """The flow functions of one script: what they share is read once.

    Shape: the script returns a blueprint, or a list of them; *answers* are the agents'.
    """

    def __init__(self, source: str, answers: Answers = answer, rounds: int = ROUNDS) -> None:
        self.source = source
        self.rounds = rounds
        self.told = told_by(self.source)
        self.answers = answers
        self.calls: list[JSON] = []
        self._oracles: dict[bool, Any] = {}
        # Where the functions begin that are steps of Lua, by flow; flows are held to be known.
        self._noted: dict[int, tuple[PlainFlow, frozenset[int]]] = {}

    @classmethod
    def of(cls, bodies: Sequence[str]) -> Batch:
        """Make one script of functions."""
        made = [f'flow.blueprint {{ id = "p", flow = {body} }}' for body in bodies]
        return cls(HEAD + "return {\n" + ",\n".join(made) + "\n}\n")

    def lowered(self, i: int, **options: Any) -> PlainFlow:
        """Lower one of the functions."""
        steps: set[int] = set()
        with noted_steps(steps):
            plain = lower_plain(self.told[i], {FILE: self.source}, **options)
        self._noted[id(plain)] = plain, frozenset(steps)
        return plain

    def steps(self, plain: PlainFlow) -> frozenset[int]:
        """Return where the functions begin that are steps of Lua in this flow."""
        return self._noted[id(plain)][1]

    def program(self, i: int, **options: Any) -> Program:
        """Return one that is not refused, to be run."""
        plain = self.lowered(i, **options)
        assert not plain.problems, plain.problems
        return Program(self, i, plain)

    def in_lua(
        self, i: int, ctx: str, steps: frozenset[int], off: Sequence[str]
    ) -> tuple[str, ...]:
        """Run one of the functions itself, *off* the differences that are left out."""
        early = "early_reads" not in off
        if early not in self._oracles:
            self._oracles[early] = self._load(early)
        lua, run = self._oracles[early]
        self.calls.clear()
        codes = [*_RUNTIME, *_OWN]
        for pattern in _WRITTEN:
            codes += re.findall(pattern, self.source)
        lists = [lua.table_from(list(one)) for one in (steps, off, codes)]
        return run(i + 1, ctx, *lists)

    def _load(self, early: bool) -> tuple[Any, Any]:
        lua: Any = lua54.LuaRuntime(unpack_returned_tuples=True)
        load = lua.execute(_ORACLE)
        host = _Host(lua, self.source).table()
        source = rewritten(self.source, self.rounds, early_reads=early)
        return lua, load(source, f"@{FILE}", self._call, host)

    def _call(self, name: str, given: str) -> tuple[bool, str, str]:
        value = json.loads(given)
        self.calls.append((name, canonical(value)))
        try:
            return True, json.dumps(self.answers(name, value, len(self.calls))), ""
        except WorkerFailure as failure:
            return False, failure.code, failure.message


class Program:
    """One flow function, to be run on contexts both ways."""

    def __init__(self, batch: Batch, i: int, plain: PlainFlow) -> None:
        self._batch = batch
        self._i = i
        self.plain = plain
        self._steps = batch.steps(plain)
        self.flow = flowir.load(plain.node)
        self._agents = {one["name"]: one["source"] for one in plain.agents}

    def through_machine(self, ctx: JSON, off: Sequence[str] = ()) -> Ended:
        """Run the lowered flow; *off* as for Lua, where it is about what is compared."""
        calls: list[JSON] = []

        def dispatch(ref: str, given: JSON) -> JSON:
            if ref in self._agents:
                return computed(ref, self._agents[ref], given)
            calls.append((ref, canonical(given)))
            return self._batch.answers(ref, given, len(calls))

        try:
            return _ended("ok", flowir.run(self.flow, ctx, dispatch), calls, off)
        except FlowError as error:
            return _ended("error", _told(error.code, error.message), calls)

    def through_lua(self, ctx: JSON, off: Sequence[str] = ()) -> Ended:
        """Run the function itself.

        Shape: *off* are differences between a flow and Lua that are left out.
        Raises: TooLong.
        """
        status, *rest = self._batch.in_lua(self._i, json.dumps(ctx), self._steps, off)
        if status == "long":
            raise TooLong
        value = json.loads(rest[0]) if status == "ok" else _told(*rest)
        return _ended(status, value, list(self._batch.calls), off)


def ended_as(status: str, value: JSON) -> Ended:
    """Return how a run ended elsewhere, whoever was asked; an error is its code and message."""
    return _ended(status, _told(*value) if status == "error" else value, [])


def _told(code: str, message: str) -> JSON:
    """Return an error as it is compared: the machine's own words are not Lua's."""
    machine = code in _RUNTIME or code.startswith("fanout.") or code == "loop.limit"
    machine = machine or _by_lua(code, message)
    return [code, "" if machine else message]
