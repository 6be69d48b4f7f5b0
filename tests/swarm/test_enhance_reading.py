"""What the gates read of a document: nodes and what encloses them, paths and where they meet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swarm.enhance.reading import (
    agents_of,
    below,
    encloses,
    located,
    overlap,
    paths_in,
    said,
    target,
)

LEAF: dict[str, Any] = {"kind": "assign", "at": "$.a", "value": {"op": "lit", "value": 1}}
LOOP: dict[str, Any] = {
    "kind": "loop", "cond": {"op": "path", "at": "$.more"}, "max": 3, "id": "round",
    "counter": "$.n", "body": LEAF,
}  # fmt: skip
SEQ: dict[str, Any] = {"kind": "seq", "implicit": True, "children": [LEAF, LOOP]}
TRY: dict[str, Any] = {
    "kind": "try", "body": SEQ, "catch": LEAF, "finally": LEAF, "error_at": "$.e",
}  # fmt: skip
BRANCH: dict[str, Any] = {
    "kind": "branch", "cond": {"op": "lit", "value": True}, "then": LEAF, "else": LEAF,
}  # fmt: skip


def test_agents_are_known_by_their_names() -> None:
    one, other = {"name": "a", "kind": "lua"}, {"name": "b", "kind": "human"}
    assert agents_of({"agents": [one, other]}) == {"a": one, "b": other}
    assert agents_of({}) == {}


def test_what_is_directly_within_a_node_is_told_by_its_part() -> None:
    assert list(below(SEQ)) == [("children[0]", LEAF), ("children[1]", LOOP)]
    assert list(below(TRY)) == [("body", SEQ), ("catch", LEAF), ("finally", LEAF)]
    assert list(below(BRANCH)) == [("then", LEAF), ("else", LEAF)]
    assert list(below(LEAF)) == []


def test_every_node_has_its_place_and_what_decides_whether_it_is_done() -> None:
    found = list(located({"flow": TRY}))
    assert [(one.place, one.node["kind"]) for one in found] == [
        ("$", "try"),
        ("$.body", "seq"),
        ("$.body.children[0]", "assign"),
        ("$.body.children[1]", "loop"),
        ("$.body.children[1].body", "assign"),
        ("$.catch", "assign"),
        ("$.finally", "assign"),
    ]
    around = [[json.loads(words)[0] for words in one.within] for one in found]
    # A seq decides nothing.
    assert around == [[], ["body"], ["body"], ["body"], ["body", "body"], ["catch"], ["finally"]]
    assert found[4].within == (encloses(TRY, "body"), encloses(LOOP, "body"))


def test_a_node_says_what_is_its_own_without_bounds_and_without_what_is_within() -> None:
    own = {"kind": "loop", "cond": {"op": "path", "at": "$.more"}, "counter": "$.n"}
    assert json.loads(said(LOOP)) == own
    assert json.loads(encloses(LOOP, "body")) == ["body", own]
    assert json.loads(said(SEQ)) == {"kind": "seq"}
    assert json.loads(said(TRY)) == {"kind": "try", "error_at": "$.e"}
    assert json.loads(said(BRANCH)) == {"kind": "branch", "cond": {"op": "lit", "value": True}}
    assert json.loads(said(LEAF)) == LEAF
    step = {"kind": "step", "ref": "a", "timeout_s": 1, "retry": {}, "quorum": 1, "limit": 2}
    assert json.loads(said(step)) == {"kind": "step", "ref": "a"}


@pytest.mark.parametrize(
    ("value", "path"),
    [("$.a", "$.a"), ({"op": "path", "at": "$.b"}, "$.b"), ({}, None), (None, None), (5, None)],
)
def test_where_a_node_writes_is_a_path(value: Any, path: str | None) -> None:
    assert target(value) == path


def test_the_paths_that_an_expression_reads_are_found_wherever_they_stand() -> None:
    a, b, c = ({"op": "path", "at": f"$.{name}"} for name in "abc")
    expr = {
        "op": "and",
        "args": [a, {"op": "object", "fields": {"x": b, "y": [[c]]}}],
        "note": {"op": "lit", "value": {"op": "path", "at": "$.never"}},
    }
    assert list(paths_in(expr)) == ["$.a", "$.b", "$.c"]
    assert list(paths_in(5)) == list(paths_in("$.a")) == []
    # What is within a path is no other.
    assert list(paths_in({**a, "more": b})) == ["$.a"]


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("$.a", "$.a", True),
        ("$.a", "$.a.b", True),
        ("$.a", "$.a[0]", True),
        ("$.a", "$.ab", False),
        ("$.a", "$.b", False),
        ("$", "$.a", True),
        ("$.a.b", "$.a.c", False),
    ],
)
def test_paths_meet_where_one_is_within_the_other(one: str, other: str, meet: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is meet
