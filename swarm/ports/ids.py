"""What the host needs of names that nobody else has used."""

from __future__ import annotations

from typing import Protocol

from swarm.ids import RunId

__all__ = ("Ids",)


class Ids(Protocol):
    """Makes new ids: random ones for a host, counted ones for a test."""

    def run_id(self) -> RunId:
        """Return an id that no run of any store has had."""
        ...
