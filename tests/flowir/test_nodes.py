"""The nodes of a flow by their names."""

from __future__ import annotations

from typing import Any

from flowir.nodes import places_of
from flowir.wire import load
from tests.flowir.written import assign, lit, seq


def named(name: str, **node: Any) -> dict[str, Any]:
    return {**assign("$.x", lit(1)), "id": name, **node}


def test_a_node_with_an_id_is_found_at_its_place() -> None:
    inner = {"kind": "try", "body": named("body"), "catch": named("catch"), "finally": named("end")}
    flow = load({**seq(named("first"), seq(), inner), "id": "all"})
    assert places_of(flow) == {
        "all": "$",
        "first": "$.children[0]",
        "body": "$.children[2].body",
        "catch": "$.children[2].catch",
        "end": "$.children[2].finally",
    }


def test_nodes_without_an_id_are_not_named() -> None:
    assert places_of(load(seq(seq(), assign("$.x", lit(1))))) == {}
