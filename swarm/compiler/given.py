"""What steps hand to agents, as far as it is known before a run, against what those take.

Of `writer { text = ctx.text, tone = "dry" }` the names are known, and the tone. Only what is
wrong whatever the rest will be is told: a run would fail there, each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from flowir.certain import constant
from flowir.errors import Problem
from flowir.nodes import Expr, Flow, Node, Step, children
from flowir.values import measure
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.builders import SLEEP
from swarm.blueprint.contract import Contract
from swarm.blueprint.delays import delay_fault
from swarm.blueprint.fitting import UNKNOWN, Fitter
from swarm.blueprint.inputs import with_defaults
from swarm.blueprint.schemas import schema_problems
from swarm.blueprint.shapes import is_object

__all__ = ("Judge", "given_problems", "judges_of")

# What all inputs of a flow may cost together, in about microseconds: what is beyond is left to
# the run.
_WORK: Final = 1_000_000
# Bytes of values and schemas that are walked for one of them, to put defaults in.
_FILLED: Final = 16

# Holds an input, at its place, against what its agent takes, with what work is left.
Judge: TypeAlias = Callable[[Any, str, list[int]], Problem | None]


def judges_of(agents: Iterable[AgentSpec], unsure: Callable[[str], bool]) -> dict[str, Judge]:
    """Return who judges what is asked of the agents that do not take just anything.

    Shape: *unsure* tells of an agent whether its worker may be given something else than its
    step says.
    """
    found: dict[str, Judge] = {SLEEP: _delay}
    for agent in agents:
        inputs = _inputs(agent)
        if _is_schema(agent.settings.get("input_schema")):
            found[agent.name] = partial(_contracted, Contract(agent))
        elif _is_schema(inputs) and not unsure(agent.name):
            found[agent.name] = partial(_first_context, agent.name, Fitter(inputs), inputs)
    return found


def given_problems(flow: Flow, judges: Mapping[str, Judge]) -> Iterator[Problem]:
    """Find the steps that ask of an agent what it does not take."""
    todo: list[tuple[str, Node]] = [("$", flow.root)]
    purse = [_WORK]
    while todo and purse[0] > 0:
        at, node = todo.pop()
        todo += [(at + rest, child) for rest, child in children(node)][::-1]
        if isinstance(node, Step) and node.ref in judges:
            given = _known(node.in_)
            found = None if given is UNKNOWN else judges[node.ref](given, f"{at}.in", purse)
            if found is not None:
                yield found


def _delay(given: Any, at: str, _purse: list[int]) -> Problem | None:
    fault = delay_fault(given)
    return None if fault is None else Problem("sleep.seconds", at, fault)


def _contracted(contract: Contract, given: Any, at: str, purse: list[int]) -> Problem | None:
    breach = contract.input(given, purse=purse)
    return None if breach is None else Problem(breach.code, at, breach.message)


def _first_context(
    name: str, fitter: Fitter, inputs: Any, given: Any, at: str, purse: list[int]
) -> Problem | None:
    """Hold what becomes the first context of another blueprint's run against its `inputs`."""
    purse[0] -= (measure(inputs)[0] + measure(given)[0]) // _FILLED
    found = fitter.misfit(with_defaults(inputs, {} if given is None else given), purse=purse)
    if found is None:
        return None
    place = "" if found.at == "$" else f" at {found.at}"
    return Problem("run.input", at, f"the input of {name!r}{place}: {found.message}", found.hint)


def _inputs(agent: AgentSpec) -> Any:
    """Return the schema of the first context of the blueprint that an agent runs."""
    document = agent.settings.get("document") if agent.kind == "flow" else None
    return document.get("inputs") if is_object(document) else None


def _is_schema(schema: Any) -> bool:
    return schema is not None and not schema_problems(schema)


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
