"""What steps hand to agents, as far as it is known before a run, against what those take.

Of `writer { text = ctx.text, tone = "dry" }` the names are known, and the tone. Only what is
wrong whatever the rest will be is told: a run would fail there, each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowir.certain import constant
from flowir.errors import Problem
from flowir.nodes import Expr, Flow, Node, Step, children
from swarm.blueprint.builders import SLEEP
from swarm.blueprint.contract import Contract
from swarm.blueprint.delays import delay_fault
from swarm.blueprint.fitting import UNKNOWN

__all__ = ("given_problems",)


def given_problems(flow: Flow, contracts: Mapping[str, Contract]) -> Iterator[Problem]:
    """Find the steps that ask of an agent what it does not take; *contracts* by agent."""
    todo: list[tuple[str, Node]] = [("$", flow.root)]
    while todo:
        at, node = todo.pop()
        todo.extend((at + rest, child) for rest, child in children(node))
        if isinstance(node, Step):
            yield from _problems(node, f"{at}.in", contracts.get(node.ref))


def _problems(step: Step, at: str, contract: Contract | None) -> Iterator[Problem]:
    given = _known(step.in_)
    if given is UNKNOWN:
        return
    if step.ref == SLEEP:
        fault = delay_fault(given)
        if fault is not None:
            yield Problem("sleep.seconds", at, fault)
    elif contract is not None:
        breach = contract.input(given, partly=True)
        if breach is not None:
            yield Problem(breach.code, at, breach.message)


def _known(expr: Expr) -> Any:
    """Return the value of an expression, with `UNKNOWN` where a run will tell."""
    match expr["op"]:
        case "object":
            return {name: _known(member) for name, member in expr["fields"].items()}
        case "array":
            return [_known(item) for item in expr["items"]]
        case _:
            known = constant(expr)
            return known[0] if known else UNKNOWN
