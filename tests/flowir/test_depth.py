"""The deepest of everything, also where the caller stands deep in his own stack."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import flowir
import flowir.wire
from flowir import Machine, Success
from tests.flowir.written import (
    assign,
    begin,
    branch,
    deep,
    fanout,
    guarded,
    lit,
    loop,
    path,
    seq,
    step,
)

JSON = Any
CALLERS = 450  # of Python's 1,000 frames


def far_below(act: Callable[[], JSON], frames: int = CALLERS) -> JSON:
    return far_below(act, frames - 1) if frames else act()


_AROUND: list[Callable[[JSON], JSON]] = [
    seq,
    guarded,
    lambda node: branch(lit(True), node),
    lambda node: loop(node, 1),
    lambda node: guarded(seq(), **{"finally": node}),
    lambda node: {**fanout(lit([1]), node), "collect": path("$.o"), "out": "$.o"},
]


def nested(count: int, around: Callable[[JSON], JSON] | None = None) -> JSON:
    node: JSON = step("w", path("$.v"), out="$.o")
    for n in range(count - 1):
        node = (around or _AROUND[n % len(_AROUND)])(node)
    return node


@pytest.mark.parametrize("around", [None, *_AROUND])
def test_a_flow_as_deep_as_its_limit_runs(around: Callable[[JSON], JSON] | None) -> None:
    def act() -> JSON:
        machine, (effect,) = begin(nested(128, around), {"v": deep(100), "o": 0})
        machine = Machine.restore(machine.program.flow, json.loads(json.dumps(machine.snapshot())))
        machine.resolve(effect.key, Success("done"))
        return machine.result["o"]

    found = far_below(act)
    while isinstance(found, list):  # a fanout gives its lanes' values in a list
        (found,) = found
    assert found == "done"


def test_a_cancel_unwinds_the_deepest_flow() -> None:
    def act() -> JSON:
        machine, _ = begin(nested(128), {"v": 1, "o": 0})
        machine.cancel("stop")
        while machine.pending:
            machine.resolve(next(iter(machine.pending)), Success(None))
        return machine.done

    assert far_below(act)


_DEEPER: list[Callable[[JSON], JSON]] = [
    lambda e: {"op": "array", "items": [e]},
    lambda e: {"op": "not", "arg": e},
    lambda e: {"op": "default", "arg": e, "fallback": lit(0)},
    lambda e: {"op": "if", "cond": lit(False), "then": lit(0), "else": e},
    lambda e: {"op": "map", "over": lit([1]), "bind": "r", "body": e},
    lambda e: {"op": "or", "args": [lit(False), e]},
    lambda e: {"op": "eq", "lhs": e, "rhs": lit(1)},
]


@pytest.mark.parametrize("around", _DEEPER)
def test_an_expression_as_deep_as_its_limit_is_evaluated(around: Callable[[JSON], JSON]) -> None:
    expr = lit(1)
    for _ in range(63):
        expr = around(expr)
    far_below(lambda: flowir.evaluate(expr, None))
    with pytest.raises(flowir.Malformed):
        flowir.evaluate(around(expr), None)


def test_values_as_deep_as_their_limit_go_everywhere() -> None:
    ops = seq(
        assign("$.same", {"op": "eq", "lhs": path("$.a"), "rhs": path("$.b")}),
        assign("$.c", path("$.a")),
        assign("$.l", {"op": "in", "needle": path("$.a"), "haystack": path("$.all")}),
        step("w", path("$.a"), out="$.c"),
    )

    def act() -> JSON:
        machine, (effect,) = begin(ops, {"a": deep(127), "b": deep(127), "all": [deep(126)]})
        machine.resolve(effect.key, Success(deep(127)))
        return machine.result

    found = far_below(act)
    assert (found["same"], found["l"], found["c"]) == (True, False, deep(127))


def test_a_document_that_fits_on_no_stack_is_malformed() -> None:
    """However deep the caller stands, he gets a flow or a sentence."""
    text = json.dumps({"kind": "assign", "at": "$", "value": lit(deep(120))})
    outcomes = [far_below(lambda: _loaded(text), frames) for frames in range(700, 900)]
    assert {outcomes[0], outcomes[-1]} == {"loaded", "malformed"}


def _loaded(text: str) -> str:
    try:
        flowir.wire.parse_document(text)
    except flowir.Malformed:
        return "malformed"
    return "loaded"
