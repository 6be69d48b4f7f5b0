"""docs/reference/lua.md: what it shows of flows runs, what it shows of tests is read.

Each line stands alone, so the agents and steps that it speaks of are made for it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.errors import BlueprintInvalid
from swarm.lua.runner import InlineScripts
from swarm.testing.cast import Real, Scripted
from swarm.testing.rehearsal import Rehearsal
from swarm.testing.runner import Rehearsals
from swarm.testing.suite import Suite, SuiteInvalid

TEXT = (Path(__file__).parents[2] / "docs/reference/lua.md").read_text("utf-8")
_FLOWS, _TESTS = TEXT.split('## `require "flow.test"`')

_HEAD = """
local flow = require "flow"
local writer = flow.lua "writer" [[ return input ]]
local greeter, first = writer, flow.step { agent = writer, out = "ctx.a" }
local second, risky, check_file = first, first, first
"""
# An agent does one step, a node stands behind one, and a blueprint is all there is.
_AGENT = """local one = {shown}
return flow.blueprint {{
  id = "shown", agents = {{ one }},
  flow = flow.step {{ agent = one, input = "ctx.name", out = "ctx.a" }},
}}"""
_NODE = """return flow.blueprint {{
  id = "shown", agents = {{ writer }}, flow = flow.seq {{ first, {shown} }},
}}"""
_CONTEXT = {"name": "Ada", "topic": "tea", "ok": True, "done": False, "total": 1,
            "reason": "long", "files": ["a"]}  # fmt: skip
# What it comes to, where that is not just a step that was done.
_ENDS: dict[str, Any] = {
    'flow.lua "shout"': {"a": "ADA"},
    "flow.step {": {"draft": {"topic": "tea"}},
    "flow.loop {": {"n": 3},
    "flow.fanout {": {"reports": 1},
    'flow.assign { at = "ctx.total"': {"total": 2},
    'flow.assign { at = "ctx.greeting"': {"greeting": "ctx.name"},
    'flow.assign { at = "ctx.found"': {"found": []},
}
_FAILS = {
    '"the letter is too long")': "the letter is too long",
    "\"'rejected: ' .. ctx.reason\")": "rejected: long",
}
# A package brings the one, and the store the other: `docs/how-to/worker-kind.md` and
# `docs/versions.md` make them.
_ELSEWHERE = {"flow.agent ": "agent.kind_unknown", "flow.sub ": "flow.unavailable"}


def _lines(text: str) -> list[str]:
    blocks = re.findall(r"^```lua\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


def _script(line: str) -> str:
    shown = line.replace("{ … }", "{ first }")
    if shown.startswith("return "):
        return _HEAD + shown
    kind = shown.split(" ")[0].split("(")[0].removeprefix("flow.")
    kinds = ("lua", "process", "fn", "operator", "ask", "sub", "agent", "agent_md")
    return _HEAD + (_AGENT if kind in kinds else _NODE).format(shown=shown)


async def _rehearsed(script: str, folder: Path) -> Any:
    for name, text in {
        "shown.lua": script,
        "writer.lua": "return input",
        "tone.txt": "Be kind.",
        "agents/reviewer.md": "---\nkind: lua\nsource: return input\n---\nBe kind.\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    shown = await Rehearsal.open(str(folder / "shown.lua"), scripts=InlineScripts())
    kinds = {agent["name"]: agent["kind"] for agent in shown.blueprint.document["agents"]}
    values = {"operator": "PASS", "human": True}
    answers = {
        name: Real() if kind in ("lua", "sleep") else [Scripted(value=values.get(kind, "done"))]
        for name, kind in kinds.items()
    }
    return await shown.run(_CONTEXT, answers)


@pytest.mark.parametrize("line", _lines(_FLOWS))
def test_what_is_shown_of_flows_runs(line: str, tmp_path: Path) -> None:
    elsewhere = [code for begins, code in _ELSEWHERE.items() if line.startswith(begins)]
    if elsewhere:
        with pytest.raises(BlueprintInvalid) as caught:
            anyio.run(_rehearsed, _script(line), tmp_path)
        assert [problem.code for problem in caught.value.problems] == elsewhere
        return
    done = anyio.run(_rehearsed, _script(line), tmp_path)
    fails = [message for ends, message in _FAILS.items() if line.endswith(ends)]
    if fails:
        assert (done.error["code"], done.error["message"]) == ("review.rejected", fails[0])
        return
    assert (done.status, done.mistakes, done.unused) == ("succeeded", (), ())
    expected = next((ctx for begins, ctx in _ENDS.items() if line.startswith(begins)), {})
    for name, value in expected.items():
        found = done.ctx[name]
        assert (len(found) if name == "reports" else found) == value


_SUITE = """local test = require "flow.test"
return test.suite {{ blueprint = "review.lua", cases = {{ {case} }} }}
"""
_CASE = 'test.case "shown" {{ {part} }}'


def _suite(line: str) -> str:
    shown = line.removeprefix("return ")
    some = "expect = { test.took(1) }"
    shown = shown.replace('test.case "…" { … }', f'test.case "one" {{ {some} }}')
    shown = shown.replace("expect = { … }", some)
    if shown.startswith("test.suite "):
        return f'local test = require "flow.test"\nreturn {shown}'
    if shown.startswith("test.case "):
        return _SUITE.format(case=shown)
    if shown.startswith(("test.returns(", "test.fails(")):
        shown = f"answers = {{ checker = {{ {shown} }} }}"
    part = f"{shown}, {some}" if shown.startswith("answers") else f"expect = {{ {shown} }}"
    return _SUITE.format(case=_CASE.format(part=part))


# Who and what the lines speak of.
_SPOKEN_OF = """
local flow = require "flow"
local agents, steps = {}, {}
for index, name in ipairs { "writer", "critic", "printer", "checker", "reviser" } do
  agents[index] = flow.lua(name) [[ return input ]]
  steps[index] = flow.step { agent = name, id = name == "critic" and "recheck" or nil }
end
return flow.blueprint { id = "review", agents = agents, flow = flow.seq(steps) }
"""


async def _opened(script: str, folder: Path) -> Suite:
    (folder / "shown_test.lua").write_text(script, "utf-8")
    (folder / "review.lua").write_text(_SPOKEN_OF, "utf-8")
    return (await Rehearsals.open(str(folder / "shown_test.lua"), InlineScripts())).suite


@pytest.mark.parametrize("line", _lines(_TESTS))
def test_what_is_shown_of_tests_is_read(line: str, tmp_path: Path) -> None:
    """Opening a suite tells every mistake in it, and comes before anything runs."""
    suite = anyio.run(_opened, _suite(line), tmp_path)
    assert len(suite.cases) == 1
    assert suite.cases[0].answers or suite.cases[0].expect


def test_a_line_that_cannot_be_meant_is_noticed(tmp_path: Path) -> None:
    for wrong in ("flow.seq { nobody = first }", 'flow.assign { at = "ctx.a", value = "1 +" }'):
        with pytest.raises(BlueprintInvalid):
            anyio.run(_rehearsed, _script(wrong), tmp_path)
    for wrong in ('test.that "1 +"', 'test.calls("writr", 2)', "answers = { nobody = test.real }"):
        with pytest.raises(SuiteInvalid):
            anyio.run(_opened, _suite(wrong), tmp_path)
