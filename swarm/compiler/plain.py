"""A blueprint whose flow is a function: lowered to nodes beside what the builders made.

Most blueprints have none: the lowering, a fifth of all that a start reads, is imported
where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowir.limits import DEFAULT_LIMITS
from flowir.records import dataclass
from swarm.blueprint.author import Lowered
from swarm.blueprint.shapes import is_array, is_object
from swarm.errors import Place, Problem

if TYPE_CHECKING:
    from swarm.lua.lowering import PlainFlow

__all__ = ("Plain", "plain_of")

_ROOT = "$.flow"
# How many rounds a loop may go where it says nothing itself: a limit of plain flows only.
_ROUNDS = "rounds"


@dataclass(frozen=True, slots=True)
class Plain:
    """The function of a blueprint, as the author runtime tells of it.

    Shape: `authored` is the blueprint without it; `files` are those that it is written in.
    """

    authored: dict[str, Any]
    told: Mapping[str, Any]
    rounds: int | None
    faults: tuple[Problem, ...]

    @property
    def files(self) -> set[str]:
        """The files whose text the lowering needs."""
        return {function["file"] for function in self.told["functions"]}

    def lowered(self, sources: Mapping[str, str]) -> PlainFlow:
        """Lower the function."""
        from swarm.lua.lowering import ROUNDS, lower_plain

        listed = self.authored.get("agents")
        named = [one.get("name") for one in listed if is_object(one)] if is_array(listed) else []
        agents = [name for name in named if isinstance(name, str)]
        return lower_plain(self.told, sources, rounds=self.rounds or ROUNDS, agents=agents)

    def placed(self, flow: PlainFlow, lowered: Lowered) -> Lowered:
        """Put the flow, and the agents of its implicit steps, into the document."""
        if lowered.document is None:
            return lowered
        document = {**lowered.document, "flow": flow.node}
        agents = document.get("agents", [])
        if flow.agents and is_array(agents):
            document["agents"] = [*agents, *flow.agents]
        places = {**lowered.places, **flow.places}
        return replace(lowered, document=document, places=places)

    def problems(self, flow: PlainFlow) -> list[Problem]:
        """Return every reason why the function cannot be lowered, with its line."""
        refused = [
            Problem(one.code, one.message, where, _ROOT, one.hint) for where, one in flow.problems
        ]
        return [*self.faults, *refused]


def plain_of(authored: Any) -> Plain | None:
    """Return the function that an authored blueprint has for a flow, if it has one."""
    if not is_object(authored) or not is_object(authored.get("flow")):
        return None
    told: dict[str, Any] = authored["flow"]
    if told.get("__swarm") != "function":
        return None
    rest = {name: value for name, value in authored.items() if name != "flow"}
    limits = rest.get("limits")
    if not is_object(limits) or _ROUNDS not in limits:
        return Plain(rest, told, None, ())
    rounds = limits[_ROUNDS]
    others = {name: value for name, value in limits.items() if name != _ROUNDS}
    rest = {**rest, "limits": others}
    if type(rounds) is int and 1 <= rounds <= DEFAULT_LIMITS.iterations:
        return Plain(rest, told, rounds, ())
    message = f"limits.rounds: expected an integer from 1 on, got {rounds!r}"
    where = Place(authored["__file"], authored["__line"])
    return Plain(rest, told, None, (Problem("malformed", message, where, "$.limits.rounds"),))
