"""Documents as they are written on the wire, in few words; and a machine that begins one."""

from __future__ import annotations

from typing import Any

import flowir
from flowir import Cancel, Dispatch, Machine

__all__ = (
    "LANE",
    "NONE",
    "Effects",
    "answer_nothing",
    "asked",
    "assign",
    "begin",
    "branch",
    "call",
    "deep",
    "fanout",
    "guarded",
    "keys",
    "lit",
    "loop",
    "path",
    "seq",
    "step",
    "told",
)

JSON = Any
Effects = tuple[Dispatch | Cancel, ...]
NONE: JSON = {"op": "lit", "value": None}


def lit(value: JSON) -> JSON:
    return {"op": "lit", "value": value}


def path(at: str) -> JSON:
    return {"op": "path", "at": at}


def step(ref: str = "w", value: JSON = NONE, **fields: JSON) -> JSON:
    return {"kind": "step", "ref": ref, "in": value, **fields}


def seq(*children: JSON) -> JSON:
    return {"kind": "seq", "children": list(children)}


def assign(at: str, value: JSON) -> JSON:
    return {"kind": "assign", "at": at, "value": value}


def fanout(items: JSON, body: JSON, join: str = "all", **fields: JSON) -> JSON:
    head = {"kind": "fanout", "items": items, "bind": "$.x", "body": body, "join": join}
    return {**head, "out": "$.r", "collect": path("$.y"), **fields}


def loop(body: JSON, times: int) -> JSON:
    return {"kind": "loop", "counter": "$.i", "cond": lit(True), "body": body, "max": times}


def guarded(body: JSON, **fields: JSON) -> JSON:
    return {"kind": "try", "body": body, "catch": seq(), **fields}


LANE = step("w", path("$.x"), out="$.y")


def begin(document: JSON, ctx: JSON = None, **options: Any) -> tuple[Machine, Effects]:
    machine = Machine(flowir.load(document), {} if ctx is None else ctx, **options)
    return machine, machine.start()


def keys(effects: Effects) -> list[tuple[str, str]]:
    return [(type(effect).__name__, effect.key) for effect in effects]


def answer_nothing(ref: str, input: JSON) -> None:
    """Answer null, whatever is asked."""


def asked(effects: Effects) -> Dispatch:
    (effect,) = effects
    assert isinstance(effect, Dispatch)
    return effect


def branch(cond: JSON, then: JSON, **fields: JSON) -> JSON:
    return {"kind": "branch", "cond": cond, "then": then, **fields}


def call(ref: str, *args: JSON) -> JSON:
    return {"op": "call_extern", "ref": ref, "args": list(args)}


def deep(levels: int, leaf: JSON = 1) -> JSON:
    """Nest *leaf* in so many containers, arrays and objects in turn."""
    for level in range(levels):
        leaf = {"d": leaf} if level % 2 else [leaf]
    return leaf


def told(machine: Machine) -> JSON:
    """Return the result, or the code of the error that ended the run."""
    try:
        return machine.result
    except flowir.FlowError as error:
        return error.code
