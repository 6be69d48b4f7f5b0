"""What a bearer may do, as data; and the one way in which it changes: it becomes less.

A grant comes of a token, or is made in process where no token is needed: for the owner of
a host, and for the worker of an attempt.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from flowir.records import dataclass
from swarm.core.capability.verbs import MAX_DEPTH, VERBS

__all__ = ("OWNER", "Caveat", "Grant", "worker_grant")


@dataclass(frozen=True, slots=True)
class Caveat:
    """One restriction; None leaves a matter as it is.

    Shape: `counter` names the count that `uses` is held against.
    """

    verbs: frozenset[str] | None = None
    run: str | None = None
    step: str | None = None
    attempt: int | None = None
    expires_s: int | None = None
    uses: int | None = None
    depth: int | None = None
    counter: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """What *subject* may do, as *role*, until `expires_s`.

    Shape: None of `run`, `step`, `attempt` means any; `counters` are counts with the most
    that each may reach; `token` is the fingerprint of the token it came of; `void` where
    caveats contradict each other: such a grant covers nothing. `verbs` None: all that the
    role has. Units: UTC seconds since 1970.
    """

    subject: str
    role: str
    verbs: frozenset[str] | None = None
    run: str | None = None
    step: str | None = None
    attempt: int | None = None
    expires_s: int | None = None
    counters: tuple[tuple[str, int], ...] = ()
    depth: int = MAX_DEPTH
    token: str | None = None
    void: bool = False

    def narrowed(self, caveat: Caveat) -> Grant:
        """Return the grant with less: verbs meet, the earlier end and the lower counts hold."""
        run, a = _one(self.run, caveat.run)
        step, b = _one(self.step, caveat.step)
        attempt, c = _one(self.attempt, caveat.attempt)
        verbs = self.verbs
        if caveat.verbs is not None:
            verbs = caveat.verbs if verbs is None else verbs & caveat.verbs
        expires_s = self.expires_s
        if caveat.expires_s is not None:
            later = expires_s is None or caveat.expires_s < expires_s
            expires_s = caveat.expires_s if later else expires_s
        counters = self.counters
        if caveat.uses is not None:
            counters = (*counters, (caveat.counter, caveat.uses))
        depth = self.depth if caveat.depth is None else min(self.depth, caveat.depth)
        return replace(
            self,
            verbs=verbs,
            run=run,
            step=step,
            attempt=attempt,
            expires_s=expires_s,
            counters=counters,
            depth=depth,
            void=self.void or a or b or c,
        )

    def child(self) -> Grant:
        """Return what whoever is called from here may do: the same, one less deep."""
        return replace(self, depth=self.depth - 1)


# Who has the process, or the store's folder, needs no token: all roles are his.
OWNER: Final = Grant("owner", "owner", frozenset(VERBS))


def worker_grant(agent: str, run: str, step: str, attempt: int, depth: int = MAX_DEPTH) -> Grant:
    """Return what the worker of an attempt may do through the host that called him."""
    return Grant(f"agent:{agent}", "worker", None, run, step, attempt, depth=depth)


def _one(mine: str | int | None, asked: str | int | None) -> tuple[Any, bool]:
    """Return what both allow, and whether that is nothing."""
    if asked is None or asked == mine:
        return mine, False
    return (asked, False) if mine is None else (mine, True)
