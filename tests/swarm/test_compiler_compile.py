from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.canonical import canonical_bytes, digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.document import read_json
from swarm.blueprint.frozen import thawed
from swarm.blueprint.shapes import is_array, is_object
from swarm.compiler.compile import compile_document
from swarm.compiler.load import load_blueprint
from swarm.compiler.registry import Registry
from swarm.errors import BlueprintInvalid, Place
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox


class EchoFactory:
    """Workers that answer with their agent's greeting, and a factory that can fail."""

    kind = "echo"
    fields = frozenset({"greeting", "explode"})
    required = frozenset({"greeting"})

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        if agent.settings.get("explode"):
            raise RuntimeError("boom")
        if agent.settings["greeting"] == "":
            yield FieldProblem("echo.greeting", "greeting", "expected a greeting, got ''", "'hi'")

    def build(self, agent: AgentSpec, tools: Toolbox) -> Any:
        async def answer(call: Call, link: StepLink) -> Outcome:
            return Outcome(agent.settings["greeting"])

        return answer


REGISTRY = Registry([EchoFactory()], plugins=False)
TOOLS = Toolbox(InlineScripts(), {})
ECHO = {"name": "echo", "kind": "echo", "greeting": "hi"}


def compiled(document: Any) -> CompiledBlueprint:
    return compile_document(document, registry=REGISTRY, tools=TOOLS)


def document(flow: Any, *agents: Any, **fields: Any) -> dict[str, Any]:
    return {"swarm": 1, "id": "a", "agents": list(agents), "flow": flow, **fields}


def step(ref: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": "null", **fields}


def seq(*children: Any) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


def problems(of: Any) -> list[str]:
    with pytest.raises(BlueprintInvalid) as caught:
        compiled(of)
    return [f"{problem.code}: {problem.message}" for problem in caught.value.problems]


def test_a_compiled_blueprint_has_what_a_host_needs() -> None:
    found = compiled(document(step("echo"), ECHO, description="says hi"))
    assert (found.id, found.document["description"]) == ("a", "says hi")
    assert found.digest == digest_of(found.document)
    assert found.agents["echo"] == AgentSpec("echo", "echo", {"greeting": "hi"})
    assert list(found.workers) == ["echo"]


def test_the_agents_of_a_document_may_be_absent() -> None:
    flow = {"kind": "assign", "at": "$.a", "value": "1"}
    assert compiled({"swarm": 1, "id": "a", "flow": flow}).document["agents"] == []


def test_the_limits_of_a_document_are_those_of_its_flow() -> None:
    found = compiled(document(seq(), limits={"fuel": 100, "lanes": 5, "in_flight": 2}))
    assert (found.flow.limits.fuel, found.flow.limits.lanes) == (100, 5)
    assert found.flow.limits.in_flight == 2
    assert compiled(document(seq())).flow.limits.fuel == 10_000_000


def test_the_built_in_agent_needs_no_declaration() -> None:
    waits = {**step("swarm.sleep"), "in": {"op": "lit", "value": 3}}
    found = compiled(document(waits))
    assert found.agents["swarm.sleep"].kind == "sleep"
    assert "swarm.sleep" not in compiled(document(seq())).agents


def test_a_document_that_the_caller_changes_later_is_another_one() -> None:
    mine = document(step("echo"), dict(ECHO), inputs={"type": "object"})
    found = compiled(mine)
    mine["agents"][0]["greeting"] = "bye"
    mine["inputs"]["type"] = "array"
    assert found.digest == digest_of(found.document)
    assert found.agents["echo"].settings["greeting"] == "hi"


# Every way to change an object or an array: the method, and what it is called with.
OBJECT_CHANGES: list[tuple[str, tuple[Any, ...]]] = [
    ("update", ({"x": 1},)),
    ("__setitem__", ("x", 1)),
    ("__delitem__", ("name",)),
    ("__ior__", ({"x": 1},)),
    ("pop", ("name", None)),
    ("popitem", ()),
    ("clear", ()),
    ("setdefault", ("x", 1)),
]
ARRAY_CHANGES: list[tuple[str, tuple[Any, ...]]] = [
    ("append", (1,)),
    ("extend", ([1],)),
    ("insert", (0, 1)),
    ("__setitem__", (slice(None), [])),
    ("__delitem__", (slice(None),)),
    ("__iadd__", ([1],)),
    ("__imul__", (2,)),
    ("pop", ()),
    ("remove", ("a",)),
    ("clear", ()),
    ("sort", ()),
    ("reverse", ()),
]


def containers(value: Any) -> Iterator[tuple[Any, list[tuple[str, tuple[Any, ...]]]]]:
    """Yield every container of a value, with the ways to change it."""
    if is_object(value):
        yield value, OBJECT_CHANGES
        for member in value.values():
            yield from containers(member)
    elif is_array(value):
        yield value, ARRAY_CHANGES
        for item in value:
            yield from containers(item)


def test_a_compiled_blueprint_cannot_be_changed_at_any_depth() -> None:
    agent = ECHO | {"tags": ["a"], "extra": {"deep": [{"n": 1}]}}
    found = compiled(document(step("echo", retry={"max_attempts": 2}), agent))
    before = canonical_bytes(found.document)
    tried = 0
    for whole in (found.document, found.agents["echo"].settings):
        for container, changes in containers(whole):
            for method, arguments in changes:
                with pytest.raises(TypeError, match="cannot be changed"):
                    getattr(container, method)(*arguments)
                tried += 1
    for name in ("agents", "workers", "contracts", "places", "sources", "files"):
        with pytest.raises(TypeError):
            getattr(found, name)["x"] = 1
    with pytest.raises(AttributeError):
        setattr(found, "digest", "x")  # noqa: B010
    assert tried > 80
    assert canonical_bytes(found.document) == before


def test_every_method_that_changes_a_container_is_refused() -> None:
    """The control of the list above: nothing that Python's containers have is left out."""
    for kind, changes in ((dict, OBJECT_CHANGES), (list, ARRAY_CHANGES)):
        changing = {
            name
            for name in dir(kind)
            if name in {"append", "extend", "insert", "remove", "pop", "popitem", "clear"}
            or name in {"sort", "reverse", "update", "setdefault"}
            or (
                name.startswith("__i") and name not in ("__init__", "__init_subclass__", "__iter__")
            )
            or name in ("__setitem__", "__delitem__")
        }
        assert changing == {name for name, _ in changes}


def test_a_frozen_document_is_read_copied_and_loaded_like_any_other() -> None:
    found = compiled(document(step("echo"), ECHO | {"tags": ["a"]}))
    mine: Any = copy.deepcopy(found.document)
    mine["agents"][0]["tags"].append("b")
    assert found.agents["echo"].tags == ("a",)
    assert pickle.loads(pickle.dumps(found.document)) == found.document  # noqa: S301
    assert json.loads(json.dumps(found.document)) == found.document == thawed(found.document)
    tools = Toolbox(InlineScripts(), {})
    again = anyio.run(partial(load_blueprint, found.document, registry=REGISTRY, tools=tools))
    assert again == found


def test_what_the_caller_keeps_of_an_agent_is_not_what_is_asked() -> None:
    tags = ["a"]
    mine = document(step("echo"), ECHO | {"tags": tags})
    found = compiled(mine)
    tags.append("b")
    assert found.agents["echo"].tags == ("a",)


ASKED: Any = {"name": "echo", "kind": "echo", "greeting": "hi"}
MEANING = [
    ("id", {"id": "b"}),
    ("description", {"description": "x"}),
    ("limits", {"limits": {"fuel": 5}}),
    ("inputs", {"inputs": {"type": "object"}}),
    ("layers", {"layers": []}),
    ("the flow", {"flow": step("echo", timeout_s=1)}),
    *(
        (name, {"agents": [ASKED | {name: value}]})
        for name, value in {
            "greeting": "ho",
            "timeout_s": 1,
            "verdict": ["A"],
            "input_schema": {},
            "output_schema": True,
            "tags": ["t"],
            "tools": ["t"],
            "model": "m",
            "instructions": "i",
            "extra": {"x": 1},
            "reserve": {"tokens": 1},
            "concurrency": 1,
            "description": "d",
            "retry": {"max_attempts": 2},
        }.items()
    ),
]


@pytest.mark.parametrize(("name", "change"), MEANING, ids=[name for name, _ in MEANING])
def test_whatever_changes_the_meaning_changes_the_digest(name: str, change: Any) -> None:
    plain = compiled(document(step("echo"), ASKED))
    assert compiled(document(step("echo"), ASKED) | change).digest != plain.digest
    order = dict(reversed(document(step("echo"), dict(reversed(ASKED.items()))).items()))
    assert compiled(order).digest == plain.digest


def test_places_of_the_flow_lead_to_lines() -> None:
    places = {"$.flow": Place("a.lua", 3), "$.flow.children[0]": Place("a.lua", 4)}
    found = compile_document(document(seq(seq())), places, registry=REGISTRY, tools=TOOLS)
    assert found.place_of("$.children[0]") == Place("a.lua", 4)
    assert found.place_of("$.children[0].children[2]") == Place("a.lua", 4)
    assert found.place_of("$.children[1]") == Place("a.lua", 3)
    assert compiled(document(seq())).place_of("$") is None


def test_a_factory_tells_what_is_wrong_with_a_setting() -> None:
    assert problems(document(step("echo"), ECHO | {"greeting": ""})) == [
        "echo.greeting: agent 'echo': greeting: expected a greeting, got ''"
    ]


def test_a_factory_is_not_asked_while_a_required_field_is_missing() -> None:
    assert problems(document(step("echo"), {"name": "echo", "kind": "echo"})) == [
        "agent.field_missing: agent 'echo': expected a field 'greeting', got none"
    ]


def test_a_factory_that_fails_is_a_problem_of_its_kind() -> None:
    assert problems(document(step("echo"), ECHO | {"explode": True})) == [
        "agent.kind_broken: agent 'echo': kind: its factory failed: RuntimeError: boom"
    ]


def test_a_misspelt_required_field_is_one_problem() -> None:
    agent = {"name": "echo", "kind": "echo", "greetnig": "hi"}
    (problem,) = problems(document(step("echo"), agent))
    assert problem.startswith("agent.field_unknown: agent 'echo': greetnig")


def test_an_agent_that_is_only_misspelt_is_not_unused_as_well() -> None:
    (problem,) = problems(document(step("ehco"), ECHO))
    assert problem.startswith("agent.unknown")


def test_an_agent_that_another_one_s_script_names_is_used() -> None:
    caller = {"name": "caller", "kind": "echo", "greeting": "", "source": 'swarm.call("echo", 1)'}
    found = problems(document(step("caller"), caller, ECHO))
    assert not [problem for problem in found if "unused" in problem]


def test_a_script_that_names_itself_is_not_used_by_that() -> None:
    agent = ECHO | {"source": "'echo'"}
    assert any(problem.startswith("agent.unused") for problem in problems(document(seq(), agent)))


def test_problems_without_lines_name_their_places() -> None:
    with pytest.raises(BlueprintInvalid) as caught:
        compiled(document(seq(step("nobody"))))
    assert str(caught.value.problems[0]) == (
        "<document>: agent.unknown: $.flow.children[0].ref: expected an agent of this blueprint, "
        "got 'nobody' — add it to 'agents'"
    )


def test_the_problems_of_every_part_come_together() -> None:
    broken = {
        "swarm": 1,
        "id": "NO",
        "agents": [{"name": "x", "kind": "nope"}, 3],
        "flow": seq(step("y", out=3), {"kind": "assign", "at": "$.a", "value": "ctx.a +"}),
        "files": [1],
    }
    assert sorted(problem.partition(":")[0] for problem in problems(broken)) == [
        "agent.field_wrong",
        "agent.kind_unknown",
        "agent.unknown",
        "agent.unused",
        "blueprint.field_wrong",
        "blueprint.id",
        "malformed",
        "malformed",
    ]


def test_a_thousand_wrong_names_are_found_quickly() -> None:
    agents = [ECHO | {"name": f"agent_{i}"} for i in range(1_000)]
    flow = seq(*(step(f"agnet_{i}") for i in range(1_000)))
    found = problems(document(flow, *agents))
    assert len([problem for problem in found if problem.startswith("agent.unknown")]) == 1_000


_EXPRESSIONS = st.sampled_from(
    ["ctx.a", "1", "2.0", "'ü'", "ctx.a + 1", "{ a = ctx.b, b = { 1, 'x' } }", "default(ctx.a, 0)"]
)
_TARGETS = st.sampled_from(["$.a", "ctx.b", "$['a b'].c", "$"])


def assign(at: str, value: str) -> Any:
    return {"kind": "assign", "at": at, "value": value}


def asked(value: str) -> Any:
    return step("echo") | {"in": value}


def loop(body: Any, most: int) -> Any:
    return {"kind": "loop", "counter": "$.n", "cond": "ctx.a", "body": body, "max": most}


def tried(body: Any) -> Any:
    return {"kind": "try", "body": seq(step("echo"), body), "catch": seq()}


def _nested(inner: Any) -> Any:
    seqs: Any = st.lists(inner, max_size=3).map(lambda children: seq(*children))
    return seqs | st.builds(loop, inner, st.integers(1, 5)) | st.builds(tried, inner)


_LEAVES: Any = st.builds(assign, _TARGETS, _EXPRESSIONS) | st.builds(asked, _EXPRESSIONS)


@given(st.recursive(_LEAVES, _nested, max_leaves=8))
def test_a_canonical_document_compiles_to_itself(flow: Any) -> None:
    first = compiled(document(seq(flow, step("echo")), ECHO))
    spelled = canonical_bytes(first.document)
    second = compiled(read_json(spelled.decode()).document)
    assert canonical_bytes(second.document) == spelled
    assert second.digest == first.digest
    assert second == first
