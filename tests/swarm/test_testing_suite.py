"""Mistakes in tests: each is told with its line, and nothing is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.lua.runner import InlineScripts
from swarm.testing.runner import run_suite

pytestmark = pytest.mark.anyio

BLUEPRINT = """
local flow = require "flow"
local writer = flow.lua "writer" [[ return "a draft" ]]
local critic = flow.fn "critic"
return flow.blueprint {
  id = "draft",
  agents = { writer, critic },
  flow = flow.seq {
    flow.step { agent = writer, out = "ctx.draft", id = "write" },
    flow.step { agent = critic, input = "ctx.draft", out = "ctx.verdict" },
  },
}
"""
CASE = 'test.case "c" {{ answers = {{ {answers} }}, expect = {{ {expect} }} }}'
ANSWERS = 'writer = { "a" }, critic = { "PASS" }'
HOLDS = 'test.ctx("ctx.verdict", "PASS")'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def _told(folder: Path, suite: str) -> list[str]:
    """Run the suite, whose first line is line 3; return all that is wrong with it."""
    (folder / "draft.lua").write_text(BLUEPRINT)
    file = folder / "draft_test.lua"
    file.write_text(f'local test = require "flow.test"\nreturn test.suite {{\n{suite}\n}}')
    result = await run_suite(str(file), InlineScripts())
    problems = [*result.mistakes, *(p for case in result.cases for p in case.problems)]
    return [str(problem).removeprefix(f"{folder}/") for problem in problems]


def _suite(answers: str = ANSWERS, expect: str = HOLDS, more: str = "") -> str:
    case = CASE.format(answers=answers, expect=expect)
    return f'blueprint = "draft.lua", cases = {{\n{case}\n}}{more}'


async def test_the_benign_twin_of_all_that_follows_passes(tmp_path: Path) -> None:
    assert await _told(tmp_path, _suite()) == []


# What is wrong, and what is said of it, on which line.
MISTAKES = [
    (_suite(expect=""), ":4: case.empty: test.case 'c': expected something that is to hold"),
    (
        _suite(answers=ANSWERS.replace("critic", "critc")),
        "answers: expected an agent of the blueprint, got 'critc' — did you mean 'critic'?",
    ),
    (_suite(answers='writer = { "a" }, critic = test.real'), ":4: case.real: "),
    (_suite(answers='writer = "a"'), "answers.writer: expected a list of answers, got 'a'"),
    (_suite(answers="writer = {}"), "answers.writer: expected a list of answers"),
    (_suite(answers="writer = { test.golden 'x' }"), "expected an answer, got test.golden"),
    (_suite(answers="writer = { test.returns() }"), "test.returns: expected a value, got none"),
    (_suite(answers="writer = { test.fails(3) }"), "test.fails: expected a code"),
    (_suite(answers="writer = { test.fails('a.b', 3) }"), "test.fails: expected a message, got 3"),
    (
        _suite(answers="writer = { test.returns(1, { time = 2 }) }"),
        "expected a setting, got 'time' — did you mean 'times'?",
    ),
    (_suite(answers="writer = { test.returns(1, { times = 0 }) }"), "'times' to be an integer"),
    (_suite(answers="writer = { test.returns(1, { after_s = -1 }) }"), "'after_s' to be a number"),
    (_suite(answers="writer = { test.returns(1, { tokens = 1.5 }) }"), "'tokens' to be an integer"),
    (_suite(answers="writer = { test.returns(1, { cost = 'x' }) }"), "'cost' to be a number"),
    (_suite(answers="writer = { test.returns(1, { parts = 'x' }) }"), "'parts' to be values"),
    (_suite(answers="writer = { test.returns(1, { progress = 'x' }) }"), "'progress' to be a list"),
    (_suite(answers="writer = { test.fails('a', { permanent = 1 }) }"), "'permanent' to be true"),
    (_suite(answers="writer = { test.never(3) }"), "test.never: expected a table of settings"),
    (_suite(expect="'PASS'"), "expect[1]: expected an expectation, got 'PASS'"),
    (_suite(expect="test.never()"), "expect[1]: expected an expectation, got test.never"),
    (_suite(expect='test.path { "writr" }'), ":4: case.step: test.path: expected an agent"),
    (_suite(expect="test.path(3)"), "test.path: expected a list of agents, got 3"),
    (_suite(expect='test.calls("critc", 1)'), ":4: case.step: test.calls: expected an agent"),
    (_suite(expect='test.calls("critic", -1)'), "test.calls: expected how often"),
    (_suite(expect='test.input("critic", 0, 1)'), "test.input: expected which call"),
    (_suite(expect='test.input("critic", 1)'), "test.input: expected the input as third"),
    (_suite(expect='test.input("nobody", 1, 1)'), ":4: case.step: "),
    (_suite(expect='test.ctx("verdict", 1)'), "test.ctx: expected a path such as"),
    (_suite(expect='test.ctx("ctx.a +", 1)'), "test.ctx: "),
    (_suite(expect='test.ctx("ctx.a")'), "test.ctx: expected the value as second argument"),
    (_suite(expect="test.that(3)"), "test.that: expected an expression as text, got 3"),
    (_suite(expect='test.that "ctx.a =="'), ":4: case.malformed: test.that: "),
    (_suite(expect="test.error()"), "test.error: expected a code such as"),
    (_suite(expect='test.error("a.b", 3)'), "test.error: expected a part of the message, got 3"),
    (_suite(expect='test.event "step.startd"'), "got 'step.startd' — did you mean 'step.started'?"),
    (_suite(expect='test.event("step.started", 3)'), "test.event: expected members by name"),
    (_suite(expect='test.event("step.started", { step = "x" })'), ":4: case.step: test.event"),
    (_suite(expect='test.event("step.started", {}, "x")'), "test.event: expected how often"),
    (_suite(expect="test.usage {}"), "test.usage: expected amounts by name"),
    (_suite(expect="test.usage { token = 1 }"), "got 'token' — did you mean 'tokens'?"),
    (_suite(expect="test.usage { tokens = 'x' }"), "test.usage: expected 'tokens' to be a number"),
    (_suite(expect="test.took(-1)"), "test.took: expected seconds"),
    (_suite(expect="test.part('x')"), "test.part: expected the value of the part, got none"),
    (_suite(expect="test.part(1, 2)"), "test.part: expected the name of a part, got 1"),
    (_suite(expect='test.visits "writ"'), ":4: case.step: test.visits: expected the id or place"),
    (_suite(expect='test.visits("write", "x")'), "test.visits: expected how often"),
    (_suite(expect='test.golden "../x"'), "test.golden: expected a name of letters"),
    (_suite(expect='test.golden "x", test.golden "x"'), "test.golden: expected each name once"),
    (_suite(expect=f"{HOLDS}, nil, test.took(0)"), "expect"),
    (_suite(expect="test.holds(1)"), ":4: script.error: test: no function 'holds'"),
    (_suite(more=", case = {}"), ":2: case.malformed: test.suite: expected one of its fields"),
    (_suite(more=", answers = { x = { 1 } }"), ":2: case.agent: test.suite: answers"),
    (_suite(more=", answers = 3"), "answers: expected lists by agent, got 3"),
    ('blueprint = "draft.lua"', ":2: case.malformed: test.suite: expected a list of cases"),
    ('blueprint = "draft.lua", cases = { 3 }', "cases[1]: expected a case, got 3"),
    ('blueprint = "draft.lua", cases = { test.case "x" }', "script.result"),
    ("cases = {}", ":2: case.malformed: test.suite: expected the path of a blueprint"),
    (
        'blueprint = "drft.lua", cases = { test.case "x" { expect = { test.took(0) } } }',
        "file.missing",
    ),
    ("blueprint = ,", "script.syntax"),
    ('blueprint = "draft.lua", cases = { test.case(3) }', ":3: script.error: test.case: "),
    ('blueprint = "draft.lua", cases = { test.case "x" (3) }', "expected 'spec' to be a table"),
]


@pytest.mark.parametrize(("suite", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
async def test_a_mistake_is_told_with_its_line(suite: str, said: str, tmp_path: Path) -> None:
    told = await _told(tmp_path, suite)
    assert any(said in one for one in told), told
    assert all(one.startswith(("draft_test.lua:", "drft.lua")) for one in told)


async def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    cases = ",\n".join(
        CASE.format(answers=a, expect=e).replace('"c"', f'"{name}"')
        for name, a, e in (("a", "critc = { 1 }", HOLDS), ("b", ANSWERS, "test.calls('x', 1)"))
    )
    told = await _told(tmp_path, f'blueprint = "draft.lua", cases = {{\n{cases}\n}}')
    assert [one.split(" ")[0] for one in told] == ["draft_test.lua:4:", "draft_test.lua:5:"]


async def test_a_name_twice_is_told(tmp_path: Path) -> None:
    case = CASE.format(answers=ANSWERS, expect=HOLDS)
    told = await _told(tmp_path, f'blueprint = "draft.lua", cases = {{ {case}, {case} }}')
    assert "test.case 'c': expected each name once, got it again" in told[0]


async def test_what_a_script_forges_is_not_taken_for_a_suite(tmp_path: Path) -> None:
    (tmp_path / "draft.lua").write_text(BLUEPRINT)
    file = tmp_path / "draft_test.lua"
    for forged in ("3", "{}", '{ __swarm = "test.suite" }', "nil"):
        file.write_text(f"return {forged}")
        result = await run_suite(str(file), InlineScripts())
        assert "expected a test script to return test.suite" in str(result.mistakes[0])
