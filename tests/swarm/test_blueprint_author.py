from __future__ import annotations

from typing import Any

import pytest

from flowir.nodes import NODE_FIELDS, OP_FIELDS
from flowir.wire import load
from swarm.blueprint.author import Lowered, lower
from swarm.blueprint.builders import BUILDERS
from swarm.errors import Place


def made(builder: str, line: int = 1, **fields: Any) -> dict[str, Any]:
    """Build what the Lua builder of that name returns."""
    return {"__swarm": builder, "__file": "a.lua", "__line": line, **fields}


def seq(*children: Any, **fields: Any) -> dict[str, Any]:
    return made("seq", **fields) | ({"__list": list(children)} if children else {})


def lowered(node: Any, **fields: Any) -> Lowered:
    return lower(made("blueprint", id="a", flow=node, **fields), file="a.lua")


def flow_of(node: Any) -> Any:
    result = lowered(node)
    assert result.problems == ()
    assert result.document is not None
    load(result.document["flow"])
    return result.document["flow"]


ASSIGN = made("assign", at="ctx.x", value=1)
WIRE_ASSIGN = {"kind": "assign", "at": "$.x", "value": {"op": "lit", "value": 1}}


def test_the_document_has_the_author_s_fields_and_a_version() -> None:
    result = lowered(ASSIGN, agents=[made("agent", name="w", kind="lua", source="")], limits={})
    assert result.document == {
        "swarm": 1,
        "id": "a",
        "agents": [{"name": "w", "kind": "lua", "source": ""}],
        "flow": WIRE_ASSIGN,
        "limits": {},
    }


def test_a_step() -> None:
    node = made(
        "step", agent="w", input={"a": "ctx.a"}, out="ctx.b", timeout_s=2, retry={}, id="one"
    )
    assert flow_of(node) == {
        "kind": "step",
        "ref": "w",
        "in": {"op": "object", "fields": {"a": {"op": "path", "at": "$.a"}}},
        "out": "$.b",
        "timeout_s": 2,
        "retry": {},
        "id": "one",
    }


def test_a_step_without_input_gets_null() -> None:
    assert flow_of(made("step", agent="w"))["in"] == {"op": "lit", "value": None}


def test_a_seq_of_nothing_and_of_two() -> None:
    assert flow_of(seq()) == {"kind": "seq", "children": []}
    assert flow_of(seq(ASSIGN, ASSIGN))["children"] == [WIRE_ASSIGN, WIRE_ASSIGN]


def test_a_branch() -> None:
    wire = flow_of(made("branch", when="ctx.ok", run=ASSIGN, otherwise=seq()))
    assert wire["cond"] == {"op": "path", "at": "$.ok"}
    assert (wire["then"], wire["else"]) == (WIRE_ASSIGN, {"kind": "seq", "children": []})


def test_a_loop_without_a_condition_runs_to_its_maximum() -> None:
    wire = flow_of(made("loop", counter="ctx.n", max=3, run=ASSIGN))
    assert wire["cond"] == {"op": "lit", "value": True}
    assert (wire["counter"], wire["max"], wire["body"]) == ("$.n", 3, WIRE_ASSIGN)


def test_a_fanout_joins_all_unless_told() -> None:
    node = made(
        "fanout", over="ctx.l", run=ASSIGN, out="ctx.o", limit=2, collect="ctx.x", index="ctx.i"
    ) | {"as": "ctx.f"}
    wire = flow_of(node)
    assert (wire["join"], wire["bind"], wire["limit"]) == ("all", "$.f", 2)
    assert wire["items"] == {"op": "path", "at": "$.l"}


def test_limit_and_quorum_may_be_expressions() -> None:
    node = made("fanout", over="ctx.l", run=ASSIGN, out="ctx.o", join="quorum", quorum="#ctx.l")
    assert flow_of(node | {"as": "ctx.f"})["quorum"]["op"] == "len"


def test_a_try_with_a_catch() -> None:
    node = made("try", run=ASSIGN, catch=seq(), error_at="ctx.e", on=["a.*"], restore=False)
    wire = flow_of(node | {"finally": ASSIGN})
    assert (wire["catch"], wire["on"]) == ({"kind": "seq", "children": []}, ["a.*"])
    assert (wire["error_at"], wire["restore"], wire["finally"]) == ("$.e", False, WIRE_ASSIGN)


def test_a_try_that_handles_nothing_lets_errors_pass() -> None:
    wire = flow_of(made("try", run=ASSIGN) | {"finally": ASSIGN})
    assert wire["on"] == []
    assert wire["catch"] == {"kind": "seq", "children": [], "implicit": True}


@pytest.mark.parametrize("handling", [{"error_at": "ctx.e"}, {"err_at": "ctx.e"}])
def test_a_try_that_records_the_error_handles_it(handling: dict[str, Any]) -> None:
    assert "on" not in flow_of(made("try", run=ASSIGN, **handling))


def test_a_sleep_is_a_step_of_the_built_in_agent() -> None:
    assert flow_of(made("sleep", seconds=5)) == {
        "kind": "step",
        "ref": "swarm.sleep",
        "in": {"op": "lit", "value": 5},
    }


def test_a_fail_assigns_what_never_comes() -> None:
    node = made("fail", code="a.b", message="'no'", data={"n": 1}, id="end")
    assert flow_of(node) == {
        "kind": "assign",
        "at": "$",
        "value": {
            "op": "fail",
            "code": "a.b",
            "message": {"op": "lit", "value": "no"},
            "data": {"op": "object", "fields": {"n": {"op": "lit", "value": 1}}},
        },
        "id": "end",
    }


@pytest.mark.parametrize(
    ("authored", "wire"),
    [
        ("ctx.a", {"op": "path", "at": "$.a"}),
        (5, {"op": "lit", "value": 5}),
        (2.5, {"op": "lit", "value": 2.5}),
        (False, {"op": "lit", "value": False}),
        (None, {"op": "lit", "value": None}),
        (made("lit", value="ctx.a"), {"op": "lit", "value": "ctx.a"}),
        (made("lit"), {"op": "lit", "value": None}),
        ({}, {"op": "object", "fields": {}}),
        ([], {"op": "array", "items": []}),
        (["ctx.a", [1]], None),
    ],
)
def test_what_may_stand_where_an_expression_is_due(authored: Any, wire: Any) -> None:
    value = flow_of(made("assign", at="ctx.x", value=authored))["value"]
    if wire is None:
        assert [item["op"] for item in value["items"]] == ["path", "array"]
    else:
        assert value == wire


def test_the_lines_of_nodes_and_agents_are_kept() -> None:
    node = seq(made("branch", 4, when="ctx.a", run=made("assign", 5, at="ctx.x", value=1)), line=3)
    agent = made("agent", 2, name="w", kind="lua", __file="lib.lua")
    result = lowered(node, agents=[agent])
    assert result.places == {
        "$": Place("a.lua", 1),
        "$.agents[0]": Place("lib.lua", 2),
        "$.flow": Place("a.lua", 3),
        "$.flow.children[0]": Place("a.lua", 4),
        "$.flow.children[0].then": Place("a.lua", 5),
    }
    assert result.builders["$.flow.children[0]"] == "branch"


def _found(node: Any) -> list[tuple[str, str]]:
    return [(problem.at, problem.message) for problem in lowered(node).problems]


def test_a_misspelt_field_is_one_problem_and_read_as_it_was_meant() -> None:
    result = lowered(made("step", agnet="w"))
    (problem,) = result.problems
    assert (problem.at, problem.hint) == ("$.flow.agnet", "did you mean 'agent'?")
    assert result.document is not None
    assert result.document["flow"]["ref"] == "w"


def test_a_missing_field_is_named_in_the_author_s_words() -> None:
    assert _found(made("branch", run=ASSIGN)) == [("$.flow", "expected a field 'when', got none")]


@pytest.mark.parametrize(
    ("node", "at", "message"),
    [
        ("review", "$.flow", "expected a node (flow.step, flow.seq, …), got 'review'"),
        (
            {"__swarm": "function", "__line": 1},
            "$.flow",
            "expected a node (flow.step, flow.seq, …), got a flow.function",
        ),
        (
            seq({"kind": "seq"}),
            "$.flow.children[0]",
            "expected a node (flow.step, flow.seq, …), got {'kind': 'seq'}",
        ),
        (made("assign", at=3, value=1), "$.flow.at", "expected a path, got 3"),
        (
            made("assign", at="ctx.x", value=ASSIGN),
            "$.flow.value",
            "expected an expression, got a flow.assign",
        ),
        (
            made("assign", at="ctx.x", value={"a": made("agent", name="w")}),
            "$.flow.value.fields.a",
            "expected an expression, got a flow.agent",
        ),
    ],
)
def test_what_may_not_stand_there(node: Any, at: str, message: str) -> None:
    assert _found(node) == [(at, message)]


def test_every_mistake_is_found_and_what_is_left_still_loads() -> None:
    node = seq(
        made("step", agnet="w", input="ctx.a +"),
        made("branch", when="ctx.a", run="nothing"),
        made("assign", at="ctx[", value=1),
        made("loop", counter="ctx.n", max=1),
    )
    result = lowered(node)
    assert len(result.problems) == 5
    assert result.document is not None
    load(result.document["flow"])


@pytest.mark.parametrize("authored", [None, "x", 3, [], {}, ASSIGN])
def test_what_is_no_blueprint_has_no_document(authored: Any) -> None:
    result = lower(authored, file="a.lua")
    assert result.document is None
    assert [problem.code for problem in result.problems] == ["script.result"]


def test_too_many_levels_are_one_problem() -> None:
    node: Any = ASSIGN
    for _ in range(300):
        node = seq(node)
    result = lowered(node)
    assert len(result.problems) == 1
    assert "at most 128 nodes" in result.problems[0].message


def test_as_many_levels_as_are_allowed_are_none() -> None:
    node: Any = ASSIGN
    for _ in range(127):
        node = seq(node)
    flow_of(node)


def test_an_expression_that_is_nested_too_deep_is_one_problem() -> None:
    value: Any = 1
    for _ in range(100):
        value = [value]
    assert len(lowered(made("assign", at="ctx.x", value=value)).problems) == 1


def test_an_empty_list_of_lua_is_a_list_where_a_list_is_due() -> None:
    result = lowered(ASSIGN, agents={})
    assert result.document is not None
    assert result.document["agents"] == []


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_builders_make_fields_that_the_wire_has(name: str) -> None:
    builder = BUILDERS[name]
    wire = NODE_FIELDS.get(builder.kind) or OP_FIELDS[builder.kind]
    made_fields = (
        {spec.wire for spec in builder.fields.values()} | set(builder.fixed) | {"children"}
    )
    assert made_fields <= {*wire, "id", "implicit", "op", "children"}
    required = {field for field, spec in wire.items() if spec.required}
    assert required <= made_fields


def test_the_message_of_a_fail_may_be_plain_words() -> None:
    node = {"__swarm": "fail", "__file": "a.lua", "__line": 1, "code": "a.b", "message": "too long"}
    document = {"__swarm": "blueprint", "__file": "a.lua", "__line": 1, "id": "a", "flow": node}
    lowered = lower(document, file="a.lua")
    assert lowered.document is not None
    assert lowered.document["flow"]["value"]["message"] == {"op": "lit", "value": "too long"}
