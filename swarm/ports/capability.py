"""What the host needs to remember of tokens: revocations, uses, and the latest time seen."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

__all__ = ("Ledger", "Revoked")

# token: one, by its fingerprint. subject, run: all that were minted before, for that
# subject or bound to that run. all: every token that was minted before.
Revoked: TypeAlias = Literal["token", "subject", "run", "all"]


class Ledger(Protocol):
    """Remembers what must outlive the process, and answers from memory.

    What is written becomes durable with the journal's next commit, in one transaction with
    the rows that are appended in the same turn: a use is counted with its effect, or
    neither happened. Nothing here awaits.
    """

    @property
    def epoch(self) -> int:
        """How many revocations there have been."""
        ...

    @property
    def high_s(self) -> int:
        """The latest time that was noted, in UTC seconds since 1970."""
        ...

    def revoke(self, kind: Revoked, name: str, epoch: int, until_s: int) -> None:
        """Void tokens: those of this name that were minted before *epoch*, until they expire."""
        ...

    def revoked(self, kind: Revoked, name: str) -> int:
        """Return the epoch before which such tokens are void; 0: none was revoked."""
        ...

    def used(self, counter: str) -> int:
        """Return how often this was used."""
        ...

    def use(self, counter: str, until_s: int) -> None:
        """Count one use more."""
        ...

    def note_time(self, now_s: int) -> None:
        """Remember that it is this late, and forget what has expired by now."""
        ...
