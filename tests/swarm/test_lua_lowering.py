"""Lowered flows: lines, pictures, limits, options, growth; what they do is in tests/plain."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flowir
from flowir.show import tree
from swarm.errors import BlueprintInvalid, Place
from swarm.host.blocking import run_blocking
from swarm.host.host import Host
from swarm.lua.lowering import PlainFlow, lower_plain
from swarm.lua.lowering.known import Closure, Constant, Members, read_closures
from tests.flowir.test_show import Expected, Sketch, drawn
from tests.plain.both import FILE, Batch, computed, told_by

HEAD = """local flow = require "flow"
local writer, reviewer, checker = flow.fn "writer", flow.fn "reviewer", flow.fn "checker"
return flow.blueprint { id = "p", agents = { writer, reviewer, checker }, flow = """


def lowered(body: str, **options: Any) -> PlainFlow:
    source = HEAD + body + " }"
    return lower_plain(told_by(source)[0], {FILE: source}, **options)


def nodes(node: dict[str, Any], at: str = "$.flow") -> Iterator[tuple[str, dict[str, Any]]]:
    yield at, node
    for name in ("then", "else", "body", "catch"):
        if name in node:
            yield from nodes(node[name], f"{at}.{name}")
    for i, child in enumerate(node.get("children", ())):
        yield from nodes(child, f"{at}.children[{i}]")


def of_kind(plain: PlainFlow, kind: str) -> list[dict[str, Any]]:
    return [node for _, node in nodes(plain.node) if node["kind"] == kind]


# ---- what becomes of the first example


FIRST = """function(ctx)
  ctx.draft = writer { topic = ctx.topic }
  for round = 1, 3 do
    ctx.review = reviewer(ctx.draft)
    if ctx.review.verdict == "PASS" then break end
    ctx.draft = writer { topic = ctx.topic, notes = ctx.review.notes }
  end
  ctx.reports = parallel(ctx.files, { limit = 4 }, function(file)
    return checker { path = file }
  end)
  return { draft = ctx.draft, reports = ctx.reports }
end"""


def test_a_picture_shows_what_the_author_wrote() -> None:
    shown = tree(flowir.load(lowered(FIRST).node))
    assert [re.split(r" · ", line.strip("│├└─ "))[0] for line in shown.splitlines()] == [
        "step writer",
        "loop not ctx.__.stop",
        "step reviewer",
        'branch ctx.review.verdict == "PASS"',
        "then: assign ctx.__.stop = true",
        "else: step writer",
        "fanout ctx.__.file in ctx.files",
        "step checker",
        "assign ctx = { draft = ctx.draft, reports = ctx.reports }",
    ]


def test_every_node_knows_its_line() -> None:
    plain = lowered(FIRST)
    first = HEAD.count("\n") + 1
    lines = {node["kind"]: plain.places[at].line for at, node in nodes(plain.node)}
    assert {place.file for place in plain.places.values()} == {FILE}
    assert all(at in plain.places for at, _ in nodes(plain.node))
    assert lines["fanout"] == first + 7
    assert [plain.places[at].line for at, node in nodes(plain.node) if node["kind"] == "step"] == [
        first + 1,
        first + 3,
        first + 5,
        first + 8,
    ]


def test_bookkeeping_is_implicit_and_nothing_else() -> None:
    visible = [node for _, node in nodes(lowered(FIRST).node) if not node.get("implicit")]
    assert [node["kind"] for node in visible] == [
        "step",
        "loop",
        "step",
        "branch",
        "assign",
        "step",
        "fanout",
        "step",
        "assign",
    ]


# ---- a picture parsed back


class Visible(Expected):
    """The nodes and edges of a flow as its author wrote it: implicit nodes give way."""

    def node(self, node: dict[str, Any], name: str) -> Sketch:
        if not node.get("implicit") or node["kind"] == "seq":
            return super().node(node, name)
        parts = [
            self.node(node[part], f"{name}_{part}")
            for part in ("then", "else", "body", "catch")
            if part in node
        ]
        shown = [part for part in parts if not part.empty]
        assert len(shown) <= 1, "an implicit fork between two things is shown"
        return shown[0] if shown else Sketch(set(), set(), True)


CORPUS = sorted((Path(__file__).parents[1] / "lua" / "corpus").glob("*.lua"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_picture_has_the_visible_nodes_and_edges_and_no_others(path: Path) -> None:
    node = Batch(path.read_text()).lowered(0).node
    chart, expected = drawn(node), Visible(node)
    assert set(chart.shapes) == expected.nodes
    assert chart.pairs() == expected.pairs


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_picture_names_every_agent_call_of_the_text_and_no_helper(path: Path) -> None:
    node = Batch(path.read_text()).lowered(0).node
    words = Counter(label.split("\n")[0] for label in drawn(node).labels.values())
    asked = [one for _, one in nodes(node) if one["kind"] == "step" and not one.get("implicit")]
    for ref, count in Counter(one["ref"] for one in asked).items():
        if ref != "swarm.sleep":
            assert words[ref] == count
    assert not any("plain." in label for label in words)


# ---- limits of loops


def test_a_loop_that_reaches_its_limit_is_an_error_that_says_so() -> None:
    flow = flowir.load(lowered("function(ctx) while true do limit(3) writer(1) end end").node)
    asked: list[Any] = []
    with pytest.raises(flowir.FlowError) as e:
        flowir.run(flow, {}, lambda ref, given: asked.append((ref, given)))
    assert e.value.code == "loop.limit"
    assert "reached its limit of 3 rounds" in e.value.message
    assert len(asked) == 3


def test_a_loop_that_ends_at_its_limit_is_fine() -> None:
    body = "function(ctx) local n = 0 while n < 3 do limit(3) n = n + 1 end return n end"
    assert flowir.run(lowered(body).node, {}, lambda _ref, _given: None) == 3


def test_the_blueprint_bounds_every_loop_that_says_nothing() -> None:
    body = "function(ctx) for _, x in ipairs(ctx.l) do writer(x) end for i = 1, 9 do end end"
    loops = of_kind(lowered(body, rounds=7), "loop")
    assert [loop["max"] for loop in loops] == [7, 9]


# ---- steps, tries, lanes


def test_options_of_a_call_reach_its_step() -> None:
    body = """function(ctx)
      return writer({ a = 1 }, { timeout_s = 5, retry = { max_attempts = 2 }, id = "draft" })
    end"""
    step = of_kind(lowered(body), "step")[0]
    assert step["timeout_s"] == 5
    assert step["retry"] == {"max_attempts": 2}
    assert step["id"] == "draft"


def test_pcall_keeps_what_its_body_wrote() -> None:
    plain = lowered("function(ctx) pcall(function() ctx.a = 1 writer(1) end) end")
    assert of_kind(plain, "try")[0]["restore"] is False

    def fail(_ref: str, _given: Any) -> Any:
        raise flowir.WorkerFailure("net.down", "no", False, None)

    assert flowir.run(plain.node, {}, fail) == {"a": 1}


@pytest.mark.parametrize(
    "again",
    [
        "error(err)",
        "local function raise(e) error(e) end raise(err)",
        "local kept = err error(kept)",
        "local ok, twice = pcall(function() error(err) end) error(twice)",
        "local function check(e) if e then error(e) end return 1 end ctx.x = check(err)",
    ],
)
def test_an_error_that_is_raised_again_is_the_same_error(again: str) -> None:
    def fail(_ref: str, _given: Any) -> Any:
        raise flowir.WorkerFailure("net.down", "no answer", False, {"tries": 3})

    def told(body: str) -> Any:
        plain = lowered(f"function(ctx) {body} end")
        assert not plain.problems
        helpers = {one["name"]: one["source"] for one in plain.agents}

        def dispatch(ref: str, given: Any) -> Any:
            return computed(ref, helpers[ref], given) if ref in helpers else fail(ref, given)

        with pytest.raises(flowir.FlowError) as e:
            flowir.run(plain.node, {}, dispatch)
        return e.value.code, e.value.message, e.value.cause_code, e.value.data

    first = told("writer(1)")
    assert first == ("step.failed", "no answer", "net.down", {"tries": 3})
    assert told(f"local ok, err = pcall(writer, 1) {again}") == first


def test_an_append_is_the_form_that_the_machine_adds_in_place() -> None:
    body = "function(ctx) local o = {} for i = 1, 9 do o[#o + 1] = i end return o end"
    appends = [
        node
        for node in of_kind(lowered(body), "assign")
        if node["value"].get("ref") == "list.concat"
    ]
    assert [node["at"] == node["value"]["args"][0]["at"] for node in appends] == [True]


@pytest.mark.parametrize("join", ["all", "any", "race", "all_settled", "quorum"])
def test_every_join_of_parallel_is_that_of_the_fanout(join: str) -> None:
    quorum = ", quorum = 2" if join == "quorum" else ""
    options = f'{{ join = "{join}"{quorum}, limit = 3 }}'
    body = f"function(ctx) return parallel(ctx.l, {options}, function(x) return writer(x) end) end"
    fanout = of_kind(lowered(body), "fanout")[0]
    assert (fanout["join"], fanout["limit"]) == (join, 3)


def test_results_and_lanes_hold_no_locals() -> None:
    body = """function(ctx)
      local hidden = 1
      ctx.lanes = parallel({ 1 }, function(x) local inside = x return { x = inside } end)
      ctx.seen = writer(ctx)
    end"""
    asked: list[Any] = []
    result = flowir.run(lowered(body).node, {"a": 1}, lambda _, given: asked.append(given))
    assert asked == [{"a": 1, "lanes": [{"x": 1}]}]
    assert result == {"a": 1, "lanes": [{"x": 1}], "seen": None}


def test_a_context_that_has_the_corners_name_does_not_reach_the_locals() -> None:
    body = "function(ctx) local x ctx.y = x end"
    result = flowir.run(lowered(body).node, {"__": {"x": 5}}, lambda _ref, _given: None)
    assert result == {"y": None}


# ---- counted work: the nodes grow as the text does

_BLOCK = """do
  ctx.draft_{i} = writer {{ topic = ctx.topic, n = {i} }}
  for round = 1, 3 do
    ctx.review = reviewer(ctx.draft_{i})
    if ctx.review.verdict == "PASS" and (ctx.n or 0) < 3 then break end
    local notes = ctx.review.notes or "none"
    if notes == "stop" then
      ctx.failed = {{ code = "x", n = ctx.n, text = "round " .. round .. ": " .. notes }}
    elseif not ctx.review.ok then
      ctx.list = {{ 1, 2, round * 2 + 1 }}
    end
  end
  local kept = {{}}
  for _, file in ipairs(ctx.files or {{}}) do kept[#kept + 1] = checker {{ path = file }} end
  local ok, err = pcall(function() ctx.published = writer(ctx.draft_{i}) end)
  if not ok then ctx.failed = err.message end
end
"""


def of_blocks(count: int) -> PlainFlow:
    return lowered("function(ctx)\n" + "".join(_BLOCK.format(i=i) for i in range(count)) + "end")


def test_a_flow_grows_as_its_text_does() -> None:
    sizes = [len(json.dumps(of_blocks(count).node)) for count in (20, 40, 80)]
    assert sizes[1] / sizes[0] == pytest.approx(2, rel=0.05)
    assert sizes[2] / sizes[1] == pytest.approx(2, rel=0.05)


def calls_to_lower(source: str) -> int:
    """Count the Python calls that lowering takes, reading the source included."""
    told, count = told_by(source)[0], 0

    def counted(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        lower_plain(told, {FILE: source})
    finally:
        sys.setprofile(None)
    return count


def test_lowering_takes_work_in_proportion_to_the_text() -> None:
    sources = [
        f"{HEAD}function(ctx)\n{''.join(_BLOCK.format(i=i) for i in range(count))}end }}"
        for count in (30, 60, 120)
    ]
    calls_to_lower(sources[0] + " ")  # what is made once, at first use
    small, double, large = map(calls_to_lower, sources)
    assert sources[2].count("\n") > 1_800
    assert double / small < 2.2
    assert large / double < 2.2


def test_guard_clauses_do_not_nest_without_end() -> None:
    guards = "".join(f"if ctx.a{i} then return {i} end ctx.x = writer({i})\n" for i in range(80))
    plain = lowered(f"function(ctx)\n{guards}\nend")
    assert flowir.run(plain.node, {"a70": True}, lambda _, given: given) == 70


# ---- through the host


def echo(given: Any) -> Any:
    return given


def write(tmp_path: Path, source: str) -> str:
    path = tmp_path / "flow.lua"
    path.write_text(source)
    return str(path)


def test_a_host_runs_a_plain_flow_with_its_helpers(tmp_path: Path) -> None:
    source = """local flow = require "flow"
local echo = flow.fn "echo"
local function shout(s) local loud = s:upper() return loud .. "!" end
return flow.blueprint { id = "p", agents = { echo }, flow = function(ctx)
  ctx.said = echo { text = shout(ctx.text) }
  ctx.text = nil
end }"""
    found = run_blocking(write(tmp_path, source), {"text": "hi"}, functions={"echo": echo})
    assert found == {"text": None, "said": {"text": "HI!"}}


async def test_an_error_of_a_run_is_on_the_authors_line(tmp_path: Path) -> None:
    source = """local flow = require "flow"
return flow.blueprint { id = "p", flow = function(ctx)
  local n = 1
  ctx.total = ctx.count + n
end }"""
    async with Host.in_memory() as host:
        blueprint = await host.load(write(tmp_path, source))
        run = await host.start(blueprint, {})
        outcome = await run.wait()
        assert outcome.error is not None
        place = blueprint.place_of(outcome.error["at"])
    assert place == Place(str(tmp_path / "flow.lua"), 4)


async def test_a_refusal_is_a_problem_of_the_blueprint_with_its_line(tmp_path: Path) -> None:
    source = """local flow = require "flow"
local echo = flow.fn "echo"
return flow.blueprint { id = "P!", agents = { echo }, flow = function(ctx)
  total = echo(1)
  ctx.t = os.time()
end }"""
    async with Host.in_memory() as host:
        host.function("echo")(echo)
        with pytest.raises(BlueprintInvalid) as e:
            await host.load(write(tmp_path, source))
    assert [(one.code, one.where.line) for one in e.value.problems] == [
        ("blueprint.id", 3),
        ("plain.refused", 4),
        ("plain.refused", 5),
    ]


async def test_functions_of_a_required_module_are_lowered_with_their_own_lines(
    tmp_path: Path,
) -> None:
    (tmp_path / "parts.lua").write_text(
        """local flow = require "flow"
local echo = flow.fn "echo"
local parts = { echo = echo, LIMIT = 2 }
function parts.twice(x)
  local first = echo(x)
  return echo(first)
end
return parts"""
    )
    source = """local flow = require "flow"
local parts = require "parts"
return flow.blueprint { id = "p", agents = { parts.echo }, flow = function(ctx)
  ctx.x = parts.twice(parts.LIMIT)
end }"""
    async with Host.in_memory() as host:
        host.function("echo")(echo)
        blueprint = await host.load(write(tmp_path, source))
        run = await host.start(blueprint, {})
        assert await run.result() == {"x": 2}
    files = {place.file for place in blueprint.places.values()}
    assert str(tmp_path / "parts.lua") in files


@pytest.mark.parametrize(("count", "fits"), [(20, True), (500, False)])
def test_helpers_that_call_each_other_too_deep_are_refused(count: int, fits: bool) -> None:
    helpers = ["local M = { f0 = writer }"]
    helpers += [f"function M.f{i}(x) local y = M.f{i - 1}(x) return y end" for i in range(1, count)]
    source = HEAD.replace("return flow", "\n".join([*helpers, "return flow"]))
    source += f"function(ctx) ctx.a = M.f{count - 1}(ctx.x) end }}"
    plain = lower_plain(told_by(source)[0], {FILE: source})
    said = [problem.message for _, problem in plain.problems]
    assert said == ([] if fits else ["its functions call each other too deep"])


def test_a_table_that_holds_itself_is_still_none_for_a_flow() -> None:
    source = HEAD.replace("return flow", "local T = { n = 1 } T.t = T return flow")
    source += "function(ctx) ctx.a = T.n ctx.b = T ctx.c = T.t end }"
    plain = lower_plain(told_by(source)[0], {FILE: source})
    said = [problem.message for _, problem in plain.problems]
    assert said == [
        "'T' is a table of functions, agents or files, not a value",
        "'T.t' is a table that holds itself, which no flow can use",
    ]


def test_what_two_names_stand_for_is_read_once_and_globals_of_the_script_are_seen() -> None:
    script = "local A = { 1 } local B = { A, writer } Shared = B return flow"
    source = HEAD.replace("return flow", script)
    source += "function(ctx) ctx.a = { A, B[2](1), Shared[1] } end }"
    outer = read_closures(told_by(source)[0], {FILE: source}).outer
    assert isinstance(outer["B"], Members)
    assert outer["Shared"] is outer["B"]
    assert outer["B"].members[1] is outer["A"]
    assert lower_plain(told_by(source)[0], {FILE: source}).problems == ()


def test_constants_of_the_script_that_lua_puts_in_their_places_are_read_from_it() -> None:
    script = """local N <const> = 3
local A, B <const> = 1, -2
local TEXT <const> = "tea"
local YES <const>, NO <const> = true, nil
local N <const> = 4
local function seen() return N, B, TEXT, YES, NO, LATER, HUGE, PAIR end
local LATER <const> = 5
local HUGE <const>, PAIR <const> = 1e999
return flow"""
    source = HEAD.replace("return flow", script) + "function(ctx) ctx.a = seen() end }"
    seen = read_closures(told_by(source)[0], {FILE: source}).outer["seen"]
    assert isinstance(seen, Closure)
    known = {name: one.value for name, one in seen.outer.items() if isinstance(one, Constant)}
    assert known == {"N": 4, "B": -2, "TEXT": "tea", "YES": True, "NO": None}
