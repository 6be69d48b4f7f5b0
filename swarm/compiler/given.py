"""What steps hand to agents, as far as it is known before a run, against what those take.

Of `writer { text = ctx.text, tone = "dry" }` the names are known, and the tone. Only what is
wrong whatever the rest will be is told: a run would fail there, each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

from flowir.certain import constant
from flowir.errors import Problem
from flowir.nodes import Expr, Flow, Node, Step, children
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.contract import Contract
from swarm.blueprint.fitting import UNKNOWN
from swarm.compiler.registry import Registry
from swarm.ports.worker import JudgingFactory

__all__ = ("Judge", "given_problems", "judges_of")

# What all inputs of a flow may cost together, in about microseconds: what is beyond is left to
# the run.
_WORK: Final = 1_000_000
_LEAST: Final = 20


class Judge:
    """Holds what is handed to one agent against its contract, and against what its kind takes."""

    def __init__(self, agent: AgentSpec, factory: JudgingFactory | None) -> None:
        self._agent = agent
        self._factory = factory
        self._contract = Contract(agent) if "input_schema" in agent.settings else None

    def problem(self, given: Any, at: str, purse: list[int]) -> Problem | None:
        """Return what is wrong with *given*, which stands at this place of a flow."""
        breach = None if self._contract is None else self._contract.input(given, purse=purse)
        if breach is not None:
            return Problem(breach.code, at, breach.message)
        found = None if self._factory is None else self._asked(self._factory, given, purse)
        if found is None:
            return None
        place = "" if found.at == "$" else f" at {found.at}"
        said = f"the input of {self._agent.name!r}{place}: {found.message}"
        return Problem(found.code, at, said, found.hint)

    def _asked(self, factory: JudgingFactory, given: Any, purse: list[int]) -> Problem | None:
        try:
            return factory.misfit(self._agent, given, purse)
        except Exception as e:  # noqa: BLE001 - a stranger's factory may raise anything
            return Problem("agent.kind_broken", "$", f"its factory failed: {type(e).__name__}: {e}")


def judges_of(
    agents: Iterable[AgentSpec], registry: Registry, is_changed: Callable[[str], bool]
) -> dict[str, Judge]:
    """Return who judges what is handed to the agents that do not take just anything.

    Shape: nothing is wrong with the *agents* themselves; *is_changed* tells of one whether its
    worker may be given something else than its steps say.
    """
    found: dict[str, Judge] = {}
    for agent in agents:
        factory = None if is_changed(agent.name) else registry.get(agent.kind)
        if not hasattr(factory, "misfit"):
            factory = None
        if factory is not None or "input_schema" in agent.settings:
            found[agent.name] = Judge(agent, cast("JudgingFactory | None", factory))
    return found


def given_problems(flow: Flow, judges: Mapping[str, Judge]) -> Iterator[Problem]:
    """Find the steps that hand to an agent what it does not take."""
    todo: list[tuple[str, Node]] = [("$", flow.root)]
    purse = [_WORK]
    while todo and purse[0] > 0:
        at, node = todo.pop()
        todo += [(at + rest, child) for rest, child in children(node)][::-1]
        if isinstance(node, Step) and node.ref in judges:
            given = _known(node.in_)
            if given is not UNKNOWN:
                purse[0] -= _LEAST
                found = judges[node.ref].problem(given, f"{at}.in", purse)
                yield from () if found is None else (found,)


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
