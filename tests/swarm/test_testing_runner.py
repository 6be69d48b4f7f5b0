"""Cases that run: what holds passes, what does not is told, and always the same."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from swarm.errors import BlueprintInvalid
from swarm.host.host import Host
from swarm.lua.choice import ChosenScripts
from swarm.lua.runner import InlineScripts
from swarm.testing import golden
from swarm.testing.rehearsal import Rehearsal
from swarm.testing.runner import SuiteResult, find_tests, run_suite

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
TESTS = sorted((ROOT / "blueprints").glob("*_test.lua"))
INCLUDES = {"house": ROOT / "agents"}
# The same suite so many times; 100 were tried.
REPEATS = int(os.environ.get("SUITE_REPEATS", "8"))

BLUEPRINT = """
local flow = require "flow"
local writer = flow.fn "writer" { timeout_s = 10 }
local critic = flow.lua "critic" [[
  swarm.progress("reading")
  if input == "ask" then return swarm.ask("well?") end
  if input == "call" then return swarm.call("writer", "again") end
  return "PASS"
]]
local boss = flow.ask "boss" { prompt = "well?", schema = { type = "integer" } }
return flow.blueprint {
  id = "draft",
  agents = { writer, critic, boss },
  flow = flow.seq {
    flow.step { agent = writer, input = "ctx.topic", out = "ctx.draft", id = "write",
                retry = { max_attempts = 2, delay_s = 60, jitter = 0, on = { "net.*" } } },
    flow.step { agent = critic, input = "ctx.draft", out = "ctx.verdict" },
    flow.branch { when = 'ctx.verdict == "BOSS"',
                  run = flow.step { agent = boss, out = "ctx.boss" },
                  otherwise = flow.assign { at = "ctx.done", value = true } },
  },
}
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def _run(folder: Path, case: str, *, update: bool = False) -> SuiteResult:
    (folder / "draft.lua").write_text(BLUEPRINT)
    file = folder / "draft_test.lua"
    file.write_text(
        'local test = require "flow.test"\n'
        'return test.suite { blueprint = "draft.lua", cases = { test.case "c" {\n'
        f'input = {{ topic = "tea" }},\n{case}\n}} }} }}'
    )
    return await run_suite(str(file), InlineScripts(), update=update)


async def _told(folder: Path, case: str) -> tuple[str, list[str]]:
    result = await _run(folder, case)
    assert result.mistakes == ()
    (one,) = result.cases
    return one.verdict, [str(p).removeprefix(f"{folder}/draft_test.lua:") for p in one.problems]


ANSWERS = 'answers = { writer = { "a draft" }, critic = { "PASS" } }, '
# An expectation that holds of that run, and one that does not, with what is said then.
TWINS = [
    (
        'test.path { "writer", "critic" }',
        'test.path { "critic", "writer" }',
        "expected 'critic' as call 1, got 'writer'; the path was writer, critic",
    ),
    ('test.path { "writer", "critic" }', "test.path {}", "expected the end as call 1"),
    ('test.calls("writer", 1)', 'test.calls("writer", 2)', "expected 2 calls of 'writer', got 1"),
    ('test.calls("boss", 0)', 'test.calls("boss", 1)', "expected 1 calls of 'boss', got 0"),
    (
        'test.input("critic", 1, "a draft")',
        'test.input("critic", 1, "a craft")',
        "call 1 of 'critic': input: expected 'a craft', got 'a draft'",
    ),
    ('test.input("writer", 1, "tea")', 'test.input("writer", 2, "tea")', "got 1 calls of it"),
    ('test.ctx("ctx.verdict", "PASS")', 'test.ctx("ctx.verdict", "BOSS")', "ctx.verdict: expected"),
    (
        'test.ctx("ctx", { topic = "tea", draft = "a draft", verdict = "PASS", done = true })',
        'test.ctx("ctx", { topic = "tea", draft = "a draft", verdict = "PASS" })',
        "ctx.done: expected nothing, got true",
    ),
    ("test.ctx('ctx.done', true)", "test.ctx('ctx.done', 1)", "ctx.done: expected 1, got true"),
    ("test.that 'ctx.done'", "test.that 'ctx.topic'", "expected ctx.topic to be true, got 'tea'"),
    ("test.that 'ctx.done'", "test.that 'ctx.nothing'", "expected a member 'nothing'"),
    ("test.took(0)", "test.took(1)", "expected 1 s by the fake clock, got 0 s"),
    ("test.usage { steps = 2 }", "test.usage { attempts = 3 }", "expected attempts 3, got 2"),
    (
        "test.visits 'write'",
        "test.visits '$.children[2].then'",
        "to be entered once or more, got 0",
    ),
    ("test.visits('write', 1)", "test.visits('write', 2)", "to be entered 2 times, got 1"),
    (
        "test.event 'run.finished'",
        "test.event 'run.failed'",
        "expected one or more of 'run.failed'",
    ),
    (
        "test.event('step.finished', { step = 'critic', value = 'PASS' }, 1)",
        "test.event('step.finished', { step = 'critic', value = 'BOSS' })",
        "got 0 (2 of that kind)",
    ),
    ("test.took(0)", "test.error 'x.y'", "expected the run to fail with 'x.y', got a run that"),
]


@pytest.mark.parametrize(("holds", "not_so", "said"), TWINS, ids=[t[1] for t in TWINS])
async def test_an_expectation_can_hold_and_can_fail(
    holds: str, not_so: str, said: str, tmp_path: Path
) -> None:
    assert await _told(tmp_path, f"{ANSWERS}expect = {{ {holds} }}") == ("passed", [])
    verdict, told = await _told(tmp_path, f"{ANSWERS}expect = {{\n{not_so} }}")
    assert verdict == "failed"
    assert len(told) == 1
    assert told[0].startswith("5: case.unmet: test.")
    assert said in told[0]


FAILURES = [
    (
        'writer = { test.fails("a.b", "no") }',
        "test.took(0)",
        "failed",
        "expected a run that succeeds, got {folder}/draft.lua:15: a.b: no",
    ),
    ('writer = { test.fails("a.b", "no") }', 'test.error("a.b", "n")', "passed", ""),
    ('writer = { test.fails("a.b", "no") }', 'test.error("a.c")', "failed", "got 'a.b': no"),
    ('writer = { test.fails("a.b", "no") }', 'test.error("a.b", "x")', "failed", "with 'x', got"),
    ('writer = { test.fails "net.x", "b" }, critic = { "P" }', "test.took(60)", "passed", ""),
    ("writer = { test.never() }", "test.error('step.timeout'), test.took(10)", "passed", ""),
    (
        "writer = { test.returns('a', { after_s = 9.5 }) }, critic = { 'P' }",
        "test.took(9.5)",
        "passed",
        "",
    ),
    (
        "writer = { test.returns('a', { tokens = 7, cost = 0.5 }) }, critic = { 'P' }",
        "test.usage { tokens = 7, cost = 0.5 }",
        "passed",
        "",
    ),
    (
        "writer = { test.returns('a', { parts = { x = 1 } }) }, critic = { 'P' }",
        "test.event('step.part', { name = 'x' })",
        "passed",
        "",
    ),
    (
        "writer = { test.returns('a', { parts = { x = { n = 1 } } }) }, critic = { 'P' }",
        "test.part('x', { n = 1 })",
        "passed",
        "",
    ),
    (
        "writer = { test.returns('a', { parts = { x = { n = 1 } } }) }, critic = { 'P' }",
        "test.part('x', { n = 2 })",
        "failed",
        "test.part: x.n: expected 2, got 1",
    ),
    (
        "writer = { 'a' }, critic = { 'P' }",
        "test.part('y', 1)",
        "failed",
        "expected a part 'y', got none",
    ),
    (
        "writer = { test.returns('a', { progress = { 'half' } }) }, critic = { 'P' }",
        "test.event('step.progress', { text = 'half' })",
        "passed",
        "",
    ),
    ("writer = { 'a' }, critic = test.real", "test.event 'step.progress'", "passed", ""),
    (
        "writer = { 'call', test.returns('b', { on = 'again', after_s = 3 }) }, critic = test.real",
        "test.path { 'writer', 'critic', 'writer' }, test.ctx('ctx.verdict', 'b'), test.took(3)",
        "passed",
        "",
    ),
    ("writer = { 'ask' }, critic = test.real", "test.took(0)", "failed", "2: case.waiting: "),
    (
        "writer = { 'a' }, critic = { 'BOSS' }, boss = { 1 }",
        "test.ctx('ctx.boss', 1)",
        "passed",
        "",
    ),
    (
        "writer = { 'a' }, critic = { 'BOSS' }, boss = {\ntest.returns('7') }",
        "test.took(0)",
        "error",
        "5: case.answer: 'boss': expected an answer that its question takes, got '7': $: expected",
    ),
    (
        "writer = { 'a' }, critic = { 'BOSS' }",
        "test.error 'case.unscripted'",
        "error",
        "2: case.unscripted: 'boss': expected an answer for it in this case, got call 3",
    ),
    (
        "writer = { test.fails 'net.x' }, critic = { 'P' }",
        "test.took(60)",
        "error",
        "2: case.exhausted: 'writer': expected 1 calls, as written down, got call 2",
    ),
    (
        "writer = { test.returns('a', { on = 'milk' }) }, critic = { 'P' }",
        "test.took(0)",
        "error",
        "2: case.unmatched: 'writer': expected an answer whose 'on' is in its input, got call 1",
    ),
    (
        "writer = { 'a',\ntest.returns 'b' }, critic = { 'P' }",
        "test.took(0)",
        "error",
        "5: case.unused: answers.writer: expected a call for this answer, got none",
    ),
    (
        "writer = { test.returns('a', { times = 2 }) }, critic = { 'P' }",
        "test.took(0)",
        "error",
        "expected 2 calls for this answer, got fewer",
    ),
    (
        "writer = { 'a' }, critic = { 'P' }, boss = { test.returns(1, { times = 'any' }) }",
        "test.took(0)",
        "error",
        "answers.boss: expected a call for this answer, got none",
    ),
]


@pytest.mark.parametrize(("answers", "expect", "verdict", "said"), FAILURES)
async def test_what_agents_do_and_what_becomes_of_it(
    answers: str, expect: str, verdict: str, said: str, tmp_path: Path
) -> None:
    got, told = await _told(tmp_path, f"answers = {{ {answers} }}, expect = {{ {expect} }}")
    assert got == verdict, told
    assert said.replace("{folder}", str(tmp_path)) in "\n".join(told)


@pytest.mark.parametrize(
    ("answers", "hint"),
    [
        ("writer = { 'a' }, critic = { 'BOSS' }", "give it a list in 'answers'"),
        ("writer = { 'a' }", "give it a list in 'answers', or test.real"),
    ],
)
async def test_an_agent_without_answers_is_told_what_its_kind_may_have(
    answers: str, hint: str, tmp_path: Path
) -> None:
    """A person cannot be real in a test, a script can."""
    _, told = await _told(tmp_path, f"answers = {{ {answers} }}, expect = {{ test.took(0) }}")
    assert told[0].endswith(f" — {hint}")


OPERATOR = """
local flow = require "flow"
local reviewer = flow.operator "reviewer" { verdict = { "PASS", "BLOCKED" } }
return flow.blueprint {
  id = "judged", agents = { reviewer },
  flow = flow.step { agent = reviewer, input = "ctx.draft", out = "ctx.verdict" },
}
"""


@pytest.mark.parametrize(("answer", "verdict"), [("PASS", "passed"), ("MAYBE", "failed")])
async def test_an_operator_is_played_and_held_to_his_verdicts(
    answer: str, verdict: str, tmp_path: Path
) -> None:
    (tmp_path / "judged.lua").write_text(OPERATOR)
    (tmp_path / "judged_test.lua").write_text(
        'local test = require "flow.test"\n'
        'return test.suite { blueprint = "judged.lua", cases = { test.case "c" {\n'
        f'input = {{ draft = "tea" }}, answers = {{ reviewer = {{ "{answer}" }} }},\n'
        'expect = { test.ctx("ctx.verdict", "PASS") } } } }'
    )
    result = await run_suite(str(tmp_path / "judged_test.lua"), InlineScripts())
    assert [one.verdict for one in result.cases] == [verdict]


@pytest.mark.parametrize("kind", Host.in_memory().registry.kinds())
async def test_every_kind_that_a_host_has_can_be_tested(kind: str) -> None:
    agent = {"name": "one", "kind": kind}
    flow = {"kind": "step", "ref": "one", "in": "1"}
    try:
        await Rehearsal.open({"swarm": 1, "id": "kinds", "agents": [agent], "flow": flow})
    except BlueprintInvalid as invalid:
        codes = {problem.code for problem in invalid.problems}
        assert codes <= {"agent.field_missing"}


async def test_a_wrong_input_is_an_error_of_the_case(tmp_path: Path) -> None:
    case = f"{ANSWERS}expect = {{ test.took(0) }}, budget = {{ stps = 1 }}"
    verdict, told = await _told(tmp_path, case)
    assert verdict == "error"
    assert told[0].startswith("2: budget.malformed: test.case 'c': ")


async def test_a_budget_of_a_case_holds(tmp_path: Path) -> None:
    case = 'answers = { writer = { "a" } }, budget = { attempts = 1 }, '
    assert (await _told(tmp_path, f"{case}expect = {{ test.error 'budget.exhausted' }}"))[
        0
    ] == "passed"


async def test_answers_of_the_suite_must_be_of_use_to_some_case(tmp_path: Path) -> None:
    (tmp_path / "draft.lua").write_text(BLUEPRINT)
    case = (
        'test.case "{}" {{ input = {{ topic = 1 }}, answers = {{ writer = {{ "a" }} }},'
        "expect = {{ test.took(0) }} }}"
    )
    for shared, unused in (('"P"', 0), ('"P", "Q"', 1)):
        (tmp_path / "draft_test.lua").write_text(
            'local test = require "flow.test"\n'
            'return test.suite { blueprint = "draft.lua",'
            f"answers = {{ critic = {{ {shared} }} }},"
            f"cases = {{ {case.format(1)}, {case.format(2)} }} }}"
        )
        result = await run_suite(str(tmp_path / "draft_test.lua"), InlineScripts())
        assert [one.verdict for one in result.cases] == ["passed", "passed"]
        assert [one.code for one in result.mistakes] == ["case.unused"] * unused


async def test_a_golden_log_is_written_when_asked_for_and_its_difference_told(
    tmp_path: Path,
) -> None:
    case = f'{ANSWERS}expect = {{ test.golden "first" }}'
    missing = await _run(tmp_path, case)
    assert "expected the log" in str(missing.cases[0].problems[0])
    assert (await _run(tmp_path, case, update=True)).cases[0].verdict == "passed"
    kept = (tmp_path / "golden/first.jsonl").read_text()
    assert str(tmp_path) not in kept
    assert (await _run(tmp_path, case)).cases[0].verdict == "passed"
    changed = await _run(tmp_path, case.replace("a draft", "a craft"))
    lines = str(changed.cases[0].problems[0]).split("\n")
    assert any(line.startswith("    -") and "a draft" in line for line in lines)
    assert any(line.startswith("    +") and "a craft" in line for line in lines)
    assert (tmp_path / "golden/first.jsonl").read_text() == kept


async def test_layers_of_a_blueprint_begin_anew_in_each_case(tmp_path: Path) -> None:
    (tmp_path / "l.lua").write_text(
        'local flow = require "flow"\n'
        'local w = flow.fn "w" { layers = { { use = "cache" } } }\n'
        'return flow.blueprint { id = "l", agents = { w },\n'
        'flow = flow.step { agent = w, input = 1, out = "ctx.a" } }'
    )
    case = 'test.case "{}" {{ answers = {{ w = {{ {} }} }}, expect = {{ test.ctx("ctx.a", {}) }} }}'
    cases = ",".join(case.format(n, n, n) for n in (1, 2))
    (tmp_path / "l_test.lua").write_text(
        'local test = require "flow.test"\n'
        f'return test.suite {{ blueprint = "l.lua", cases = {{ {cases} }} }}'
    )
    result = await run_suite(str(tmp_path / "l_test.lua"), InlineScripts())
    assert [one.verdict for one in result.cases] == ["passed", "passed"], result


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.name)
async def test_every_blueprint_of_the_repository_is_tested_in_all_its_nodes_and_ways(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scripts = ChosenScripts()
    result = await run_suite(str(file), scripts, includes=INCLUDES)
    await scripts.aclose()
    assert result.mistakes == ()
    assert [one for one in result.cases if one.verdict != "passed"] == []
    coverage = result.coverage
    assert coverage is not None
    with capsys.disabled():
        sys.stdout.write(f"\n{file.name}: nodes {coverage.nodes}, ways {coverage.ways}")
    assert coverage.untaken() == []
    assert coverage.percent == 100


def test_no_blueprint_of_the_repository_is_without_tests() -> None:
    blueprints = [p for p in (ROOT / "blueprints").glob("*.*") if p.suffix in (".lua", ".json")]
    assert len(blueprints) > 10
    for path in blueprints:
        assert find_tests(path) != [], path


@pytest.mark.parametrize("place", ["inline", "pool"])
async def test_a_suite_comes_to_the_same_result_and_the_same_log_each_time(place: str) -> None:
    scripts = ChosenScripts("inline" if place == "inline" else "pool")
    seen: set[tuple[object, ...]] = set()
    file = str(ROOT / "blueprints/review_test.lua")
    for _ in range(REPEATS):
        result = await run_suite(file, scripts)
        runs = [one.run for one in result.cases if one.run is not None]
        logs = [tuple(golden.lines_of(run.events, run.calls)) for run in runs]
        seen.add((*(one.verdict for one in result.cases), *logs))
    await scripts.aclose()
    assert len(seen) == 1


async def test_only_what_is_chosen_runs() -> None:
    file, chosen = str(ROOT / "blueprints/review_test.lua"), list[str]()

    def choose(name: str) -> bool:
        chosen.append(name)
        return name == "takes 3 rounds"

    result = await run_suite(file, InlineScripts(), chosen=choose)
    assert (len(result.cases), result.left_out) == (1, 9)
    assert result.coverage is not None
    assert result.coverage.untaken() != []


async def test_what_was_never_taken_is_told_on_its_line(tmp_path: Path) -> None:
    result = await _run(tmp_path, f"{ANSWERS}expect = {{ test.took(0) }}")
    assert result.coverage is not None
    told = [str(one).removeprefix(f"{tmp_path}/") for one in result.coverage.untaken()]
    assert told == [
        "draft.lua:18: case.untaken: this branch is never true",
        "draft.lua:19: case.untaken: this step is never entered",
    ]
    assert result.coverage.nodes == (5, 6)
    assert result.coverage.ways == (1, 2)
    assert result.coverage.lines()[f"{tmp_path}/draft.lua"][19] == 0


async def test_a_comment_says_that_what_was_never_taken_is_meant(tmp_path: Path) -> None:
    step = "run = flow.step { agent = boss"
    allowed = BLUEPRINT.replace(step, f"-- allow: case.untaken\n{step}")
    allowed = allowed.replace("flow.branch {", "flow.branch { -- allow: case.untaken\n")
    (tmp_path / "d2.lua").write_text(allowed)
    await _run(tmp_path, f"{ANSWERS}expect = {{ test.took(0) }}")
    text = (tmp_path / "draft_test.lua").read_text().replace("draft.lua", "d2.lua")
    (tmp_path / "draft_test.lua").write_text(text)
    result = await run_suite(str(tmp_path / "draft_test.lua"), InlineScripts())
    assert result.coverage is not None
    assert result.coverage.untaken() == []
    assert result.coverage.percent == 100


def test_tests_are_found_by_themselves_by_their_folder_and_by_their_blueprint(
    tmp_path: Path,
) -> None:
    for name in ("a_test.lua", "sub/b_test.lua", ".venv/c_test.lua", "node_modules/d_test.lua"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "a.lua").write_text("")
    (tmp_path / "b.lua").write_text("")
    assert [p.name for p in find_tests(tmp_path)] == ["a_test.lua", "b_test.lua"]
    assert [p.name for p in find_tests(tmp_path / "a.lua")] == ["a_test.lua"]
    assert [p.name for p in find_tests(tmp_path / "a_test.lua")] == ["a_test.lua"]
    assert find_tests(tmp_path / "b.lua") == []
