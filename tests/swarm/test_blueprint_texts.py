from __future__ import annotations

from typing import Any

from flowir.errors import Problem
from swarm.blueprint.texts import PLACEHOLDER, expand_texts

PATH = {"op": "path", "at": "$.a"}


def _expanded(flow: Any) -> tuple[Any, list[Problem]]:
    found: list[Problem] = []
    return expand_texts(flow, "$.flow", found), found


def test_text_may_stand_for_any_expression() -> None:
    flow = {
        "kind": "seq",
        "children": [
            {
                "kind": "step",
                "ref": "a",
                "in": {
                    "op": "object",
                    "fields": {"x": "ctx.a", "y": {"op": "array", "items": ["ctx.a"]}},
                },
            },
            {"kind": "branch", "cond": "ctx.a", "then": {"kind": "let", "at": "$.b", "value": "1"}},
            {"kind": "fanout", "items": "ctx.a", "limit": "ctx.a", "body": None, "join": "ctx.a"},
        ],
    }
    (step, branch, fanout), found = _expanded(flow)[0]["children"], _expanded(flow)[1]
    assert found == []
    assert step["in"]["fields"] == {"x": PATH, "y": {"op": "array", "items": [PATH]}}
    assert branch["then"]["value"] == {"op": "lit", "value": 1}
    assert (fanout["limit"], fanout["join"]) == (PATH, "ctx.a")


def test_the_names_of_a_quantifier_are_known_in_its_body() -> None:
    value = {"op": "map", "over": "ctx.a", "bind": "r", "body": "r.name .. r_index"}
    expanded, found = _expanded({"kind": "assign", "at": "$.b", "value": value})
    assert found == []
    assert expanded["value"]["body"]["args"][0] == {"op": "path", "at": "@r.name"}


def test_literals_are_left_alone() -> None:
    value = {"op": "lit", "value": {"op": "not", "arg": "ctx.a"}}
    flow = {"kind": "assign", "at": "$.b", "value": value}
    assert _expanded(flow)[0] == flow


def test_a_text_that_does_not_parse_is_one_problem_at_its_place() -> None:
    flow = {"kind": "seq", "children": [{"kind": "assign", "at": "$.b", "value": "ctx.a +"}]}
    expanded, (problem,) = _expanded(flow)
    assert problem.at == "$.flow.children[0].value"
    assert "column 8 of 'ctx.a +'" in problem.message
    assert expanded["children"][0]["value"] == PLACEHOLDER


def test_a_text_of_several_lines_is_blamed_by_line_and_column() -> None:
    _, (problem,) = _expanded({"kind": "assign", "at": "$.b", "value": "ctx.a +\n  )"})
    assert "line 2, column 3" in problem.message


def test_what_is_no_flow_stays_as_it_is() -> None:
    flows: list[Any] = [None, 3, [], {"kind": 3}, {"kind": "nope", "cond": "ctx.a"}]
    for flow in flows:
        assert _expanded(flow) == (flow, [])


def test_what_is_nested_too_deep_stays_as_it_is() -> None:
    flow: Any = {"kind": "assign", "at": "$.b", "value": "ctx.a"}
    for _ in range(200):
        flow = {"kind": "loop", "body": flow}
    assert _expanded(flow) == (flow, [])
