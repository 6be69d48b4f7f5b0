"""Ids that a test can write down beforehand."""

from __future__ import annotations

from itertools import count

from swarm.ids import RunId

__all__ = ("CountedIds",)


class CountedIds:
    """Makes `r_1`, `r_2`, `r_3`, and so on."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def run_id(self) -> RunId:
        """Return the next id."""
        return RunId(f"r_{next(self._numbers)}")
