from __future__ import annotations

from typing import Any

import pytest

from flowir.errors import Malformed
from flowir.wire import load
from swarm.compiler.flow import flow_problems, refs_of
from swarm.compiler.repair import repaired

GOOD: Any = {"kind": "assign", "at": "$.x", "value": {"op": "path", "at": "$.y"}}


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "text",
        {},
        {"kind": "nope"},
        {"kind": "assign"},
        {"kind": "assign", "at": 3, "value": 4},
        {"kind": "assign", "at": "$.x", "value": {"op": "lit"}, "id": "no good", "more": 1},
        {"kind": "let", "at": "$.x", "value": {"op": "not"}},
        {"kind": "step", "ref": "", "in": None, "retry": {"on": 3}, "timeout_s": -1},
        {"kind": "branch", "cond": {"op": "and", "args": [1]}, "then": [], "else": 3},
        {"kind": "loop", "counter": "x", "cond": None, "body": None, "max": -1},
        {
            "kind": "fanout",
            "items": 1,
            "bind": "",
            "body": 2,
            "join": "first",
            "out": 3,
            "limit": 0,
        },
        {"kind": "fanout", "join": "quorum"},
        {"kind": "try", "body": {"kind": "seq", "children": 3}, "catch": 1, "on": "x"},
    ],
)
def test_what_is_left_loads(broken: Any) -> None:
    flow = {"kind": "seq", "children": [GOOD, broken, GOOD]}
    with pytest.raises(Malformed) as caught:
        load(flow)
    mended = repaired(flow, caught.value.problems)
    load(mended)
    assert mended["children"][0] == mended["children"][2] == GOOD


def test_the_flow_itself_is_left_alone() -> None:
    flow = {"kind": "seq", "children": [{"kind": "assign"}]}
    with pytest.raises(Malformed) as caught:
        load(flow)
    repaired(flow, caught.value.problems)
    assert flow == {"kind": "seq", "children": [{"kind": "assign"}]}


def test_a_malformed_node_hides_no_other_problem() -> None:
    unknown: Any = {"op": "call_extern", "ref": "nope", "args": []}
    flow: Any = {
        "kind": "seq",
        "children": [
            {"kind": "step", "in": unknown},
            {"kind": "step", "ref": "a", "in": unknown, "out": 3, "id": "a b"},
            {"kind": "assign", "at": "$.x", "value": unknown},
        ],
    }
    found = [(problem.code, problem.at) for problem in flow_problems(flow, inputs=None)]
    assert sorted(found) == [
        ("extern.unknown", "$.flow.children[0].in.ref"),
        ("extern.unknown", "$.flow.children[1].in.ref"),
        ("extern.unknown", "$.flow.children[2].value.ref"),
        ("malformed", "$.flow.children[0]"),
        ("malformed", "$.flow.children[1].id"),
        ("malformed", "$.flow.children[1].out"),
    ]


def test_what_a_malformed_node_might_have_written_is_not_missed() -> None:
    flow = {"kind": "seq", "children": [{"kind": "assign", "at": 3, "value": GOOD["value"]}, GOOD]}
    found = flow_problems(flow, inputs={"type": "object", "additionalProperties": False})
    assert "path.unwritten" not in {p.code for p in found if p.at.startswith("$.flow.children[1]")}


def test_refs_are_found_in_document_order_whatever_else_is_wrong() -> None:
    flow: Any = {
        "kind": "seq",
        "children": [
            {"kind": "step", "ref": "a"},
            3,
            {"kind": "step"},
            {"kind": "try", "body": {"kind": "step", "ref": "b"}, "catch": {"kind": 3}},
            {"kind": "seq", "children": {"kind": "step", "ref": "no"}},
            {"kind": "step", "ref": "c"},
        ],
    }
    assert list(refs_of(flow)) == [
        ("$.flow.children[0].ref", "a"),
        ("$.flow.children[3].body.ref", "b"),
        ("$.flow.children[5].ref", "c"),
    ]
