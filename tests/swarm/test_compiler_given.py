"""What a step hands over that its agent cannot take is told before a run, and only then."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowir.errors import Problem
from swarm import BlueprintInvalid, Host, Outcome, RunFailed
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.fitting import UNKNOWN
from swarm.blueprint.schemas import schema_problems
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import Call, FieldProblem, StepLink, Toolbox, Worker
from tests.swarm.layered import document, seq

pytestmark = pytest.mark.anyio

TOPIC = {
    "type": "object",
    "properties": {"topic": {"type": "string"}, "depth": {"type": "integer", "default": 3}},
    "required": ["topic", "depth"],
    "additionalProperties": False,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def same(value: object) -> object:
    return value


def asks(agent: str, input: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": agent, "in": input, "out": "$.out"}


def lit(value: Any) -> dict[str, Any]:
    return {"op": "lit", "value": value}


async def told(host: Host, blueprint: Any) -> list[str]:
    try:
        await host.load(blueprint)
    except BlueprintInvalid as error:
        return [problem.code for problem in error.problems]
    return []


# -- blueprints within blueprints ---------------------------------------------------------


def parent(folder: Path, *inputs: str, agent: Mapping[str, Any] = {}, layers: Any = None) -> Path:
    """Write a blueprint that runs another on each of these texts."""
    child = {"swarm": 1, "id": "child", "agents": [], "inputs": TOPIC, "flow": seq()}
    (folder / "child.json").write_text(json.dumps(child))
    research = {"kind": "flow", "blueprint": "child.json", **agent}
    flow = seq(*(asks("research", text) for text in inputs))
    path = folder / "parent.json"
    path.write_text(json.dumps(document({"research": research}, flow, layers)))
    return path


async def test_the_first_context_of_a_child_is_held_against_its_inputs(tmp_path: Path) -> None:
    path = parent(
        tmp_path,
        "{ topic = ctx.t }",
        "{ topc = ctx.t }",
        "{ topic = ctx.t, depth = 'deep' }",
        "null",
        "ctx.t",
    )
    async with Host.in_memory() as host:
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(path)
        assert [(problem.code, problem.message) for problem in caught.value.problems] == [
            ("run.input", f"$.flow.children[{lane}].in: the input of 'research'{said}")
            for lane, said in (
                (1, ": expected a field 'topic', got none"),
                (2, " at $.depth: expected an integer, got 'deep'"),
                (3, ": expected a field 'topic', got none"),
            )
        ]


async def test_defaults_of_a_child_are_there_as_they_are_in_a_run(tmp_path: Path) -> None:
    async with Host.in_memory() as host:
        run = await host.start(parent(tmp_path, "{ topic = ctx.t }"), {"t": "bees"})
        assert (await run.result())["out"] == {"topic": "bees", "depth": 3}


async def test_a_childs_own_contract_comes_before_its_inputs(tmp_path: Path) -> None:
    path = parent(tmp_path, "{ topc = 1 }", agent={"input_schema": {"type": "null"}})
    async with Host.in_memory() as host:
        assert await told(host, path) == ["agent.input"]


class Adds:
    """Puts something into the input that its author did not write."""

    def __init__(self, _params: LayerParams, _site: Site) -> None:
        pass

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        return await next(call.with_input({**call.input, "topic": "bees"}))


async def test_what_a_strangers_layer_may_add_is_not_missed(tmp_path: Path) -> None:
    async with Host.in_memory() as host:
        host.layer(LayerFactory("adds", 50, LayerParams, Adds))
        assert len(await told(host, parent(tmp_path, "{ depth = 1 }"))) == 1
        layered = parent(tmp_path, "{ depth = 1 }", agent={"layers": ["adds"]})
        run = await host.start(layered, {})
        assert (await run.result())["out"] == {"topic": "bees", "depth": 1}


# -- kinds that judge for themselves ------------------------------------------------------


class Dice:
    """A kind whose workers roll so many dice."""

    kind = "dice"
    fields = frozenset[str]()
    required = frozenset[str]()

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        return ()

    def build(self, agent: AgentSpec, tools: Toolbox) -> Worker:
        async def roll(call: Call, link: StepLink) -> Outcome:
            return Outcome([4] * call.input["number"])

        return roll

    def misfit(self, agent: AgentSpec, given: Any, purse: list[int]) -> Problem | None:
        purse[0] -= 1
        number = given["number"]
        if number is UNKNOWN or number > 0:
            return None
        return Problem("dice.number", "$.number", "expected a die or more", "two are usual")


async def test_a_kind_of_ones_own_may_judge_what_its_agents_are_given() -> None:
    async with Host.in_memory() as host:
        host.registry.register(Dice())
        for given, found in (
            ("{ number = ctx.n }", None),
            ("{ number = 2 }", None),
            (
                "{ number = 0 }",
                "dice.number: $.flow.in: the input of 'd' at $.number: expected a die or more",
            ),
            ("{}", "agent.kind_broken: $.flow.in: the input of 'd': its factory failed: KeyError"),
        ):
            made = document({"d": {"kind": "dice"}}, asks("d", given))
            if found is None:
                ctx = await (await host.start(made, {"n": 3})).result()
                assert ctx["out"] in ([4, 4], [4, 4, 4])
            else:
                with pytest.raises(BlueprintInvalid, match=re.escape(found)):
                    await host.load(made)


# -- agents that are named twice, or whose schema is none ---------------------------------


async def test_only_the_mistake_itself_is_told() -> None:
    none = {"a": {"input_schema": {"type": "strin"}}}
    async with Host.in_memory() as host:
        host.function("a")(same)
        assert await told(host, document(none, asks("a", lit(1)))) == ["agent.schema"]
        twice = document({"a": {"input_schema": {"type": "string"}}}, asks("a", lit(1)))
        twice["agents"].append({**twice["agents"][0], "input_schema": {"type": "integer"}})
        assert await told(host, twice) == ["agent.duplicate"]


async def test_inputs_are_judged_only_as_long_as_that_is_cheap(tmp_path: Path) -> None:
    some = [lit(list(range(100))) for _ in range(2_000)]
    schema = {"items": {"allOf": [{"type": "number"}, {"minimum": 0}]}, "maxItems": 10}
    async with Host.in_memory() as host:
        host.function("a")(same)
        for steps in (10, 2_000):
            flow = seq(*(asks("a", given) for given in some[:steps]))
            found = await told(host, document({"a": {"input_schema": schema}}, flow))
            assert set(found) == {"agent.input"}
            assert (len(found) == 10) if steps == 10 else (100 < len(found) < steps)
        (tmp_path / "child.json").write_text(
            json.dumps({"swarm": 1, "id": "c", "agents": [], "inputs": large(), "flow": seq()})
        )
        flow = seq(*(asks("c", lit({})) for _ in range(2_000)))
        path = tmp_path / "parent.json"
        path.write_text(
            json.dumps(document({"c": {"kind": "flow", "blueprint": "child.json"}}, flow))
        )
        assert 10 < len(await told(host, path)) < 2_000
        cat = {"kind": "process", "argv": ["cat", *("a long word" for _ in range(2_000))]}
        flow = seq(*(asks("c", lit({})) for _ in range(2_000)))
        assert 10 < len(await told(host, document({"c": cat}, flow))) < 2_000


def large() -> dict[str, Any]:
    """Make a schema that is long to walk for the defaults in it, which fits no object."""
    many = {f"name{n}": {"default": n} for n in range(1_000)}
    return {"type": "object", "properties": many, "maxProperties": 1}


# -- what is told comes true ---------------------------------------------------------------

_NAMES = st.sampled_from(["a", "b"])
_SCALARS = st.sampled_from([None, True, 0, 1.5, "", "a"])
_VALUES = st.recursive(
    _SCALARS, lambda of: st.lists(of, max_size=2) | st.dictionaries(_NAMES, of, max_size=2)
)
_GIVEN = st.recursive(
    _VALUES.map(lit) | _NAMES.map(lambda name: {"op": "path", "at": f"$.{name}"}),
    lambda of: (
        st.dictionaries(_NAMES, of, max_size=2).map(lambda m: {"op": "object", "fields": m})
        | st.lists(of, max_size=2).map(lambda items: {"op": "array", "items": items})
    ),
)
_TYPES = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])
_SCHEMAS = st.recursive(
    st.fixed_dictionaries({"type": _TYPES}),
    lambda of: st.fixed_dictionaries(
        {},
        optional={
            "type": _TYPES,
            "enum": st.lists(_VALUES, min_size=1, max_size=2),
            "required": st.lists(_NAMES, unique=True, max_size=2),
            "properties": st.dictionaries(_NAMES, of, max_size=2),
            "additionalProperties": of | st.booleans(),
            "items": of,
            "minItems": st.integers(0, 2),
            "anyOf": st.lists(of, min_size=1, max_size=2),
            "not": of,
        },
    ),
    max_leaves=4,
)


async def _run(schema: Any, input: Any, ctx: Any) -> tuple[bool, str | None]:
    """Return whether the compiler finds the input wrong, and how a run of it fails."""
    async with Host.in_memory(scripts="inline") as host:
        host.function("a")(same)
        made = document({"a": {"input_schema": schema}}, asks("a", input))
        is_told = await told(host, made) == ["agent.input"]
        if is_told:
            made["allow"] = {"$.flow": ["agent.input"]}
        try:
            await (await host.start(made, ctx)).result()
        except RunFailed as failed:
            return is_told, failed.error["code"]
        return is_told, None


@settings(max_examples=60, deadline=None)
@given(_SCHEMAS, _GIVEN, _VALUES, _VALUES)
def test_a_run_fails_where_the_compiler_said_so(schema: Any, input: Any, a: Any, b: Any) -> None:
    assume(not schema_problems(schema))
    is_told, code = anyio.run(_run, schema, input, {"a": a, "b": b})
    # What has no unknown parts is told exactly when it fails.
    known = "path" not in json.dumps(input)
    assert code in (None, "step.failed")
    assert (code == "step.failed") if is_told else (code is None or not known)
