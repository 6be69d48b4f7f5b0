"""docs/plain-lua.md: its tables are walked, its example runs, its differences hold."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import flowir
from swarm.cli.main import invoke
from tests.plain.both import Batch, Program
from tests.plain.written import CONSTRUCTS, REFUSALS

TEXT = (Path(__file__).parents[2] / "docs/plain-lua.md").read_text("utf-8")


def rows(heading: str) -> list[str]:
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (.+?) \| .+ \|$", section, re.MULTILINE)[1:]


LOWERED, REFUSED = rows("What is lowered"), rows("What is refused")


@pytest.mark.parametrize("construct", LOWERED)
def test_each_lowered_construct_has_five_cases(construct: str) -> None:
    """The cases themselves run, both ways, in tests/plain/test_constructs.py."""
    assert sum(one.construct == construct for one in CONSTRUCTS) >= 5


@pytest.mark.parametrize("construct", REFUSED)
def test_each_refused_construct_has_a_case(construct: str) -> None:
    assert any(one.construct == construct for one in REFUSALS)


def test_the_tables_name_every_construct_once_and_no_other() -> None:
    assert set(LOWERED) == {one.construct for one in CONSTRUCTS}
    assert set(REFUSED) == {one.construct for one in REFUSALS}
    assert max(Counter(LOWERED + REFUSED).values()) == 1


@pytest.mark.parametrize("text", re.findall(r"^```lua\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))
def test_the_example_runs(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "example.lua"
    file.write_text(text)
    assert invoke(["run", str(file)]) == 0, capsys.readouterr().err
    assert "PASS" in capsys.readouterr().out


# By the number of the list: the function, what a flow gives, what Lua gives (an error by
# its code).
DIFFERENCES: list[tuple[int, str, Any, Any]] = [
    (1, "function(ctx) return { 1 } == { 1 } end", True, False),
    (2, "function(ctx) local t = { n = 1 } local u = echo(t) u.n = 2 return t.n end", 1, 1),
    (4, 'function(ctx) return ("x").name == nil end', "type.mismatch", "type.mismatch"),
    (4, "function(ctx) return ({ a = 1 })[1] == nil end", "type.mismatch", True),
    (5, "function(ctx) local t = { 1, nil } return #t end", 2, 1),
    (5, "function(ctx) ctx.x = 1 ctx.x = nil return ctx end", {"x": None}, {}),
    (6, 'function(ctx) return #"äöü" end', 3, 6),
    (6, "function(ctx) return #{ a = 1 } end", 1, 0),
    (6, 'function(ctx) return ("ä"):upper() end', "Ä", "ä"),
    (7, "function(ctx) return math.maxinteger + 1 end", "arith.overflow", -(1 << 63)),
    (7, "function(ctx) return 1 // (ctx.n or 0) end", "arith.zero_division", "type.mismatch"),
    (8, 'function(ctx) return (ctx.s or "10") + 1 end', "type.mismatch", "type.mismatch"),
    (8, 'function(ctx) return (0.1 + 0.2) .. "" end', "0.30000000000000004", "0.3"),
    (9, "function(ctx) return 1 // 0.1 end", 9.0, 10.0),
    (10, 'function(ctx) local _, e = pcall(error, "m") return e.code end', "error", "error"),
    (12, 'function(ctx) for k in pairs({ b = 1, a = 2 }) do return k end end', "a", "a"),
    (13, "function(ctx) local n = 0 while n < 20 do limit(9) n = n + 1 end return n end",
     "loop.limit", 20),
    (14, "function(ctx) ctx.x = 1 return nil end", {"x": 1}, {"x": 1}),
]  # fmt: skip
_BATCH = Batch.of([body for _, body, _, _ in DIFFERENCES])


@pytest.mark.parametrize(
    "i", range(len(DIFFERENCES)), ids=[body[13:50] for _, body, _, _ in DIFFERENCES]
)
def test_a_difference_is_as_the_page_says(i: int) -> None:
    number, _, expected, in_lua = DIFFERENCES[i]
    assert re.search(rf"^{number}\. ", TEXT, re.MULTILINE)
    program = _BATCH.program(i)
    assert in_flow(program) == expected
    status, value, *_ = _BATCH.in_lua(i, "{}")
    assert (json.loads(value) if status == "ok" else value) == in_lua


def echo(_ref: str, given: Any) -> Any:
    return given


def in_flow(program: Program) -> Any:
    """Return what a flow gives, or the code of its error."""
    try:
        return flowir.run(program.flow, {}, echo)
    except flowir.FlowError as error:
        return error.code
