"""Which layers stand around which agent: asked for, found, in order, folded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowir.errors import Problem
from swarm import BlueprintInvalid, Host, Outcome, Refused
from swarm.blueprint.agent import AgentSpec
from swarm.cli.main import invoke
from swarm.compiler.blame import LineFinding
from swarm.compiler.layering import Layering, LayerPlan, plan_layers
from swarm.lua.runner import InlineScripts
from swarm.ports.layer import LayerCall, LayerFactory, LayerHost, LayerParams, Next, Site
from swarm.ports.worker import FieldProblem, Toolbox
from swarm.testing import FakeClock
from tests.swarm.layered import Bench, document, seq, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Mark(LayerParams):
    text: str = "m"


class MarkLayer:
    """Writes its text behind the answer, so that the order of layers can be read."""

    def __init__(self, params: Mark, site: Site) -> None:
        self.text = f"{params.text}:{site.agent.name}" if params.text == "me" else params.text

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        outcome = await next(call)
        return Outcome(f"{outcome.value} {self.text}", outcome.parts, outcome.usage)


INNER = LayerFactory("inner", 80, Mark, MarkLayer)
OUTER = LayerFactory("outer", 20, Mark, MarkLayer, again="adds")


def same(value: object) -> object:
    return value


async def marked(layers: Any, *, base: Any = (), agents: Any = None, flow: Any = None) -> Any:
    host = Host.in_memory(layers=base, scripts="inline")
    for factory in (INNER, OUTER):
        host.layer(factory)
    for name in ("a", "b"):
        host.function(name)(same)

    async with host:
        made = document(agents or {"a": {}}, flow or step("a"), layers)
        return await (await host.start(await host.load(made), {"given": "v"})).result()


async def test_the_lower_shelf_is_outside_whoever_asks_first() -> None:
    for layers in (["inner", "outer"], ["outer", "inner"]):
        made = [{"use": key, "text": key} for key in layers]
        assert (await marked(made))["out"] == "v inner outer"


async def test_of_one_shelf_the_first_is_outside() -> None:
    made = [{"use": "outer", "text": "1"}, {"use": "outer", "text": "2"}]
    assert (await marked(made))["out"] == "v 2 1"


async def test_without_layers_the_answer_is_the_workers() -> None:
    assert (await marked(None))["out"] == "v"


async def test_a_nearer_layer_replaces_or_adds_as_its_kind_says() -> None:
    base = [{"use": "inner", "text": "host"}, {"use": "outer", "text": "HOST"}]
    own = [{"use": "inner", "text": "own"}, {"use": "outer", "text": "OWN"}]
    assert (await marked(None, base=base))["out"] == "v host HOST"
    assert (await marked(own, base=base))["out"] == "v own OWN HOST"
    mine = {"a": {"layers": [{"use": "inner", "text": "mine"}]}}
    assert (await marked(own, base=base, agents=mine))["out"] == "v mine OWN HOST"


async def test_layers_stand_around_the_agents_that_were_named() -> None:
    flow = seq(step("a", "$.a"), step("b", "$.b"))
    agents: dict[str, Any] = {"a": {}, "b": {"layers": [{"use": "outer", "text": "me"}]}}
    layers = [{"use": "inner", "agents": ["a"], "text": "me"}]
    ctx = await marked(layers, agents=agents, flow=flow)
    assert (ctx["a"], ctx["b"]) == ("v me:a", "v me:b")


async def test_a_host_may_name_blueprints_and_agents() -> None:
    for name, expected in (("layered", "v m"), ("other", "v")):
        base = [{"use": "inner", "blueprints": [name], "agents": ["a"]}]
        assert (await marked(None, base=base))["out"] == expected


async def test_an_optional_layer_that_is_not_there_is_left_out() -> None:
    assert (await marked(["nobody?", "inner?"]))["out"] == "v m"


async def test_a_compiled_blueprint_tells_its_layers() -> None:
    async with Host.in_memory(layers=["audit"]) as host:
        host.function("a")(same)
        made = document({"a": {}}, step("a"), [{"use": "retry", "max_attempts": 2}])
        loaded = await host.load(made)
    told = [(use.key, use.origin, dict(use.params)) for use in loaded.layers["a"]]
    assert told == [("audit", "host", {}), ("retry", "blueprint", {"max_attempts": 2})]
    assert loaded.document["layers"] == [{"use": "retry", "max_attempts": 2}]


async def test_other_layers_are_another_blueprint_and_those_of_the_host_are_not() -> None:
    made = document({"a": {}}, step("a"))
    digests: list[str] = []
    for base, layers in (([], None), (["audit"], None), ([], ["audit"])):
        async with Host.in_memory(layers=base) as host:
            host.function("a")(same)
            asked = {} if layers is None else {"layers": layers}
            digests.append((await host.load({**made, **asked})).digest)
    assert digests[0] == digests[1] != digests[2]


WRONG: dict[str, tuple[Any, str]] = {
    "an unknown key": (
        ["retri"],
        (
            "layer.unknown: $.layers[0]: expected the key of a layer, "
            "got 'retri' — did you mean 'retry'?"
        ),
    ),
    "no key": (
        [{"seconds": 1}],
        "layer.malformed: $.layers[0]: expected the key of a layer, got null",
    ),
    "a number": (
        [3],
        "layer.malformed: $.layers[0]: expected a layer's key, or an object with 'use', got 3",
    ),
    "an unknown agent": (
        [{"use": "retry", "agents": ["b"]}],
        (
            "layer.agent: $.layers[0].agents: expected an agent of this blueprint, "
            "got 'b' — known are 'a'"
        ),
    ),
    "agents that are no names": (
        [{"use": "retry", "agents": "a"}],
        "layer.malformed: $.layers[0].agents: expected an array of names, got 'a'",
    ),
    "a misspelt parameter": (
        [{"use": "timeout", "second": 3}],
        (
            "layer.field_unknown: $.layers[0].second: expected a field of the layer, "
            "got 'second' — did you mean 'seconds'?"
        ),
    ),
    "a missing parameter": (
        ["timeout"],
        "layer.field_missing: $.layers[0]: expected a field 'seconds', got none",
    ),
    "a wrong parameter": (
        [{"use": "timeout", "seconds": "3"}],
        "layer.field_wrong: $.layers[0].seconds: expected a number, got '3'",
    ),
    "a wrong amount of an optional layer": (
        [{"use": "timeout?", "seconds": 0}],
        "layer.field_wrong: $.layers[0].seconds: expected a number above 0, got 0",
    ),
    "codes that match nothing": (
        [{"use": "retry", "on": ["net.reset", "net*"]}],
        "layer.field_wrong: $.layers[0].on[1]: expected a code, 'prefix.*' or '*', got 'net*'",
    ),
    "parameters that do not fit together": (
        [{"use": "retry", "delay_s": 2, "max_delay_s": 1}],
        "layer.field_wrong: $.layers[0].delay_s: expected at most 'max_delay_s' (1), got 2",
    ),
    "too many": (
        ["audit"] * 17,
        "layer.too_many: $.layers: expected at most 16 layers, got 17",
    ),
    "twice": (
        ["retry", "retry"],
        "layer.twice: $.layers[1]: expected layer 'retry' once, got it again",
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_wrong_is_told_before_anything_runs(what: str) -> None:
    layers, sentence = WRONG[what]
    async with Host.in_memory() as host:
        host.function("a")(same)
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(document({"a": {}}, step("a"), layers))
    assert [str(problem) for problem in caught.value.problems] == [f"<document>: {sentence}"]


async def test_what_the_host_asks_for_wrongly_is_refused_with_its_place() -> None:
    with pytest.raises(Refused, match=r"^host.layers\[0\]: expected a layer's key"):
        Host.in_memory(layers=[3])  # type: ignore[list-item]
    async with Host.in_memory(layers=[{"use": "timeout", "seconds": -1}]) as host:
        host.function("a")(same)
        with pytest.raises(Refused, match=r"^host.layers\[0\].seconds: expected a number above"):
            await host.load(document({"a": {}}, step("a")))


async def test_a_key_is_taken_once() -> None:
    host = Host.in_memory()
    host.layer(INNER)
    with pytest.raises(Refused) as caught:
        host.layer(INNER)
    assert caught.value.code == "layer.taken"


class Broken(LayerParams):
    when: str


def _broken_problems(params: Broken, site: Site) -> list[Any]:
    if params.when == "check":
        raise RuntimeError("no")
    return []


class BrokenLayer:
    def __init__(self, params: Broken, site: Site) -> None:
        self.when = params.when
        if params.when == "build":
            raise RuntimeError("no")

    async def __call__(self, call: LayerCall, next: Next) -> Any:
        if self.when == "call":
            raise RuntimeError("no")
        return "no outcome"


BROKEN = LayerFactory("broken", 50, Broken, BrokenLayer, problems=_broken_problems)


@pytest.mark.parametrize("when", ["check", "build"])
async def test_a_strangers_layer_that_cannot_be_made_is_a_problem(when: str) -> None:
    async with Host.in_memory() as host:
        host.layer(BROKEN)
        host.function("a")(same)
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(document({"a": {}}, step("a"), [{"use": "broken", "when": when}]))
    (problem,) = caught.value.problems
    assert (problem.code, problem.at) == ("layer.broken", "$.layers[0]")
    assert "RuntimeError: no" in problem.message


@pytest.mark.parametrize(("when", "why"), [("call", "RuntimeError: no"), ("end", "'no outcome'")])
async def test_a_strangers_layer_that_breaks_is_a_failure_that_names_it(
    when: str, why: str
) -> None:
    async with Host.in_memory() as host:
        host.layer(BROKEN)
        host.function("a")(same)
        made = document({"a": {}}, step("a"), [{"use": "broken", "when": when}])
        outcome = await (await host.start(await host.load(made), {"given": 1})).wait()
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "layer.failed"
    assert "layer 'broken' around 'a'" in outcome.error["message"]
    assert why in outcome.error["message"]


async def test_a_layer_of_another_distribution_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "stamps-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stamps\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[swarm.layers]\nstamped = stamps_layers:STAMPED\ngone = stamps_layers:NOTHING\n"
    )
    (tmp_path / "stamps_layers.py").write_text(
        "from tests.swarm.test_compiler_layering import Mark, MarkLayer\n"
        "from swarm.ports.layer import LayerFactory\n"
        "STAMPED = LayerFactory('stamped', 50, Mark, MarkLayer)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    bench = Bench()

    async def a(value: object) -> object:
        return value

    bench.functions["a"] = a
    outcome = await bench.run(["stamped"], flow=step("a"), input="v")
    assert outcome.ctx["out"] == "v m"
    with pytest.raises(BlueprintInvalid, match="layer 'gone' cannot be loaded"):
        await bench.run(["gone"], flow=step("a"))
    assert (await bench.run(["gone?"], flow=step("a"), input="v")).ctx["out"] == "v"


# -- the plan alone ------------------------------------------------------------------------


def _told_twice(params: Mark, site: Site) -> list[FieldProblem]:
    """Tell of the text's second line, and of the layer itself."""
    return [
        FieldProblem("odd.text", "text", "expected words", "write some", 2),
        FieldProblem("odd.layer", "", "expected another layer", None, 2),
        FieldProblem("odd.agents", "agents", "expected nobody", None, 1),
    ]


def _all_of_them(params: Mark, site: Site) -> set[str]:
    return set(site.agents)


PATIENT = LayerFactory("patient", 30, Mark, MarkLayer, for_work=True)
CALLING = LayerFactory("calling", 40, Mark, MarkLayer, calls=_all_of_them)
ODD = LayerFactory("odd", 50, Mark, MarkLayer, problems=_told_twice)


def planned(
    layers: Any = (),
    *,
    base: Any = (),
    mine: Any = (),
    kind: str = "lua",
    factories: tuple[LayerFactory[Any], ...] = (),
) -> tuple[LayerPlan, list[tuple[str, str, bool, bool]]]:
    """Plan for one agent, `a`; tell its layers: key, origin, whether trusted and the host's own."""
    host = LayerHost(FakeClock())
    layering = Layering(host, [PATIENT, CALLING, ODD, INNER], base, plugins=False)
    for factory in factories:
        layering.register(factory)
    settings = {"layers": list(mine)} if mine else {}
    declared = {
        "$.agents[0]": AgentSpec("a", kind, settings),
        "$.agents[1]": AgentSpec("b", "lua", {}),
    }
    document = {"id": "layered", "layers": list(layers)}
    plan = plan_layers(document, declared, layering, Toolbox(InlineScripts(), {}))
    placed = plan.placed["a"]
    assert all(one.site.agent.name == "a" and one.site.host is host for one in placed)
    assert all(one.site.blueprint == "layered" for one in placed)
    assert [(use.key, use.origin) for use in (one.use() for one in placed)] == [
        (one.factory.key, one.ask.origin) for one in placed
    ]
    told = [(one.factory.key, one.ask.origin, one.site.trusted, one.is_own) for one in placed]
    return plan, told


def test_what_the_host_asks_for_is_trusted_and_what_it_came_with_is_its_own() -> None:
    _, told = planned(["inner"], base=["outer"], mine=["calling"], factories=(OUTER,))
    assert told == [
        ("outer", "host", True, False),
        ("calling", "agent", False, True),
        ("inner", "blueprint", False, True),
    ]


@pytest.mark.parametrize("kind", ["flow", "human", "sleep"])
def test_a_layer_for_work_stands_around_who_only_waits_where_it_is_meant(kind: str) -> None:
    named = {"use": "patient", "agents": ["a"]}
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"layers": ["patient"]}, False),
        ({"base": ["patient"]}, False),
        ({"layers": [named]}, True),
        ({"base": [named]}, True),
        ({"mine": ["patient"]}, True),
        ({"layers": ["calling"]}, True),
    ]
    for asked, stands in cases:
        assert bool(planned(**asked, kind=kind)[1]) is stands
        assert planned(**asked, kind="lua")[1] != []


def test_a_layer_may_call_all_agents_but_the_one_it_stands_around() -> None:
    assert planned(mine=["calling"])[0].called == {"b"}
    assert planned(["calling"])[0].called == {"a", "b"}
    assert planned(["patient"])[0].called == set()


def test_what_a_layer_finds_is_told_at_its_field_and_on_its_line() -> None:
    plan, _ = planned(mine=[{"use": "odd", "text": "one\ntwo"}])
    text, whole, agents = plan.problems
    at = "$.agents[0].layers[0]"
    assert text == LineFinding(
        "odd.text", f"{at}.text", "expected words", "write some", "one\ntwo", 2
    )
    # Where there is no such text, it is the place alone.
    assert whole == Problem("odd.layer", at, "expected another layer")
    assert agents == Problem("odd.agents", f"{at}.agents", "expected nobody")


def test_what_stands_around_nobody_is_judged_as_well() -> None:
    wrong = {"use": "inner", "txt": "m"}
    sentence = "expected a field of the layer, got 'txt' — did you mean 'text'?"
    with pytest.raises(Refused) as caught:
        planned(base=[{**wrong, "blueprints": ["other"]}])
    assert (caught.value.code, caught.value.values["at"]) == (
        "layer.field_unknown",
        "host.layers[0].txt",
    )
    assert str(caught.value) == f"host.layers[0].txt: {sentence}"
    plan, _ = planned([{**wrong, "agents": ["c"]}])
    assert [str(problem) for problem in plan.problems] == [
        "$.layers[0].agents: expected an agent of this blueprint, got 'c' — known are 'a', 'b'",
        f"$.layers[0].txt: {sentence}",
    ]


def test_without_any_layering_every_layer_is_unknown() -> None:
    declared = {"$.agents[0]": AgentSpec("a", "lua", {})}
    toolbox = Toolbox(InlineScripts(), {})
    plan = plan_layers({"id": "x", "layers": ["inner", "inner?"]}, declared, None, toolbox)
    assert plan.placed == {"a": ()}
    assert [str(problem) for problem in plan.problems] == [
        "$.layers[0]: expected the key of a layer, got 'inner'"
    ]
    assert plan_layers("odd", {}, None, toolbox).problems == []


def test_of_three_the_nearest_to_the_agent_stays() -> None:
    plan, told = planned(["inner"], base=["inner"], mine=["inner"])
    assert told == [("inner", "agent", False, True)]
    assert plan.problems == []
    plan, told = planned(mine=["inner", "calling", "inner"])
    assert [key for key, *_ in told] == ["calling", "inner"]
    assert [str(problem) for problem in plan.problems] == [
        "$.agents[0].layers[2]: expected layer 'inner' once, got it again"
    ]


LUA = """
local flow = require "flow"
local a = flow.lua "a" { source = "return input", layers = { { use = "timeout", seconds = 2 } } }
return flow.blueprint {
  id = "l", agents = { a }, layers = { "retry?", "zork?" },
  flow = flow.step { agent = a, input = "1", out = "ctx.x" },
}
"""


def test_check_prints_the_layers_of_a_blueprint_and_of_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "l.lua").write_text(LUA)
    (tmp_path / "swarm.toml").write_text("[layers]\naudit = {}\n")
    monkeypatch.chdir(tmp_path)
    assert invoke(["check", "--layers", "l.lua"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["BLUEPRINT", "AGENT", "SHELF", "LAYER", "FROM", "PARAMETERS"],
        ["l", "a", "10", "audit", "host", "{}"],
        ["l", "a", "70", "retry", "blueprint", "{}"],
        ["l", "a", "90", "timeout", "agent", '{"seconds":', "2}"],
    ]


def test_the_layers_of_a_project_stand_around_what_run_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lua = 'local flow = require "flow"\nlocal a = flow.lua "a" [[ swarm.fail("no.way", "no") ]]\n'
    lua += 'return flow.blueprint { id = "l", agents = { a }, flow = flow.step { agent = a } }'
    (tmp_path / "l.lua").write_text(lua)
    monkeypatch.chdir(tmp_path)
    for layers, tries in (("", 0), ("[layers]\nretry = { delay_s = 0 }\n", 2)):
        (tmp_path / "swarm.toml").write_text(layers)
        code = invoke(["run", "./l.lua", "--store", ":memory:"])
        assert code == 1
        assert capsys.readouterr().err.count("retry: try") == tries


def test_a_rerun_has_the_layers_that_its_project_has_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lua = 'local flow = require "flow"\nlocal a = flow.lua "a" [[ swarm.fail("no.way", "no") ]]\n'
    lua += 'return flow.blueprint { id = "l", agents = { a }, flow = flow.step { agent = a } }'
    (tmp_path / "l.lua").write_text(lua)
    monkeypatch.chdir(tmp_path)
    assert invoke(["run", "./l.lua", "--run-id", "first"]) == 1
    assert "retry: try" not in capsys.readouterr().err
    (tmp_path / "swarm.toml").write_text("[layers]\nretry = { delay_s = 0 }\n")
    assert invoke(["runs", "rerun", "first", "--from", "$"]) == 1
    assert capsys.readouterr().err.count("retry: try") == 2
