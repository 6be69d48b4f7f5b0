"""Budgets: what a run may use, as blueprints and callers say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flowir.errors import shorten
from flowir.report import nearest
from swarm.errors import Refused

__all__ = ("Budget", "Slice", "unknown_slices")

_Count = Annotated[int, Field(ge=0)]
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Slice(BaseModel):
    """What a part of a run may use: an agent's steps, or those in a part of the flow.

    Units: `cost` in the host's one currency; `warn_at` is the share of a limit at which
    the run says so, once.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    steps: _Count | None = None
    attempts: _Count | None = None
    tokens: _Count | None = None
    cost: _Amount | None = None
    warn_at: Annotated[float, Field(gt=0, le=1)] = 0.8

    def within(self, other: Self | None) -> Self:
        """Return the lower of each limit.

        >>> Budget(steps=3).within(Budget(steps=2, tokens=9)).to_wire()
        {'steps': 2, 'tokens': 9, 'warn_at': 0.8}
        """
        return self if other is None else type(self).model_validate(_lower(self, other))

    def to_wire(self) -> dict[str, Any]:
        """Return the limits there are, as JSON."""
        wire = self.model_dump(exclude_none=True)
        return {name: limit for name, limit in wire.items() if limit != {}}


class Budget(Slice):
    """What a run may use, the runs within it included; None: as much as it likes.

    Shape: `agents` gives a slice to an agent by its name, `nodes` to a part of the flow by
    the id of its node: what they use counts for the run as well.
    Units: `wall_s` in seconds from the run's start; `fuel` as the language counts it, of
    this run alone.
    """

    wall_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    fuel: Annotated[int, Field(ge=1)] | None = None
    agents: dict[str, Slice] = {}
    nodes: dict[str, Slice] = {}

    @classmethod
    def of(cls, value: Budget | Mapping[str, Any]) -> Budget:
        """Read a budget that a caller hands over.

        >>> Budget.of({"steps": 3}).steps
        3

        Raises: Refused (budget.malformed).
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(("budget", *map(str, first["loc"])))
            model = Slice if len(first["loc"]) > 2 else cls
            words = ", ".join(map(repr, model.model_fields))
            got, hint = first["input"], first["msg"].lower()
            if first["type"] == "extra_forbidden":
                got = where.rpartition(".")[2]
                hint = nearest(got, model.model_fields) or "there is no such limit"
            said = f"{where}: expected limits among {words}, got {shorten(got)} — {hint}"
            raise Refused("budget.malformed", said) from error


def unknown_slices(
    budget: Mapping[str, Any], agents: Iterable[str], nodes: Iterable[str]
) -> Iterator[tuple[str, str, str, str | None]]:
    """Yield kind, name, sentence and hint for each slice of what the blueprint does not have.

    >>> [*unknown_slices({"nodes": {"reserch": {}}}, [], ["research"])][0][2:]
    ("expected the id of a node of the flow, got 'reserch'", "did you mean 'research'?")
    """
    for what, names, expected in (
        ("agents", agents, "an agent of the blueprint"),
        ("nodes", nodes, "the id of a node of the flow"),
    ):
        known = set(names)
        for name in budget.get(what, {}):
            if name not in known:
                said = f"expected {expected}, got {shorten(name)}"
                yield what, name, said, nearest(name, known)


def _lower(one: Slice, other: Slice) -> dict[str, Any]:
    """Return each limit of either, the lower where both have it."""
    lower: dict[str, Any] = {}
    for name in type(one).model_fields:
        both = (getattr(one, name), getattr(other, name))
        if isinstance(both[0], dict):
            lower[name] = {
                key: both[0][key].within(both[1].get(key)) if key in both[0] else both[1][key]
                for key in both[0] | both[1]
            }
        else:
            there = [limit for limit in both if limit is not None]
            lower[name] = min(there) if there else None
    return lower
