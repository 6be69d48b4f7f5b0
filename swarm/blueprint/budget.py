"""Budgets: what a run may use, as blueprints and callers say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flowir.errors import shorten
from swarm.errors import Refused

__all__ = ("Budget",)

_Count = Annotated[int, Field(ge=0)]
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Budget(BaseModel):
    """What a run may use, the runs within it included; None: as much as it likes.

    Units: `wall_s` in seconds from the run's start; `cost` in the host's one currency;
    `fuel` as the language counts it, of this run alone; `warn_at` is the share of a limit
    at which the run says so, once.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    steps: _Count | None = None
    attempts: _Count | None = None
    wall_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    tokens: _Count | None = None
    cost: _Amount | None = None
    fuel: Annotated[int, Field(ge=1)] | None = None
    warn_at: Annotated[float, Field(gt=0, le=1)] = 0.8

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
            words = ", ".join(map(repr, cls.model_fields))
            said = f"{where}: expected limits among {words}, got {shorten(first['input'])}"
            raise Refused("budget.malformed", f"{said} — {first['msg'].lower()}") from error

    def within(self, other: Budget | None) -> Budget:
        """Return the lower of each limit.

        >>> Budget(steps=3).within(Budget(steps=2, tokens=9)).to_wire()
        {'steps': 2, 'tokens': 9, 'warn_at': 0.8}
        """
        if other is None:
            return self
        both = (self.to_wire(), other.to_wire())
        return Budget(
            **{name: min(b[name] for b in both if name in b) for name in both[0] | both[1]}
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the limits there are, as JSON."""
        return self.model_dump(exclude_none=True)
