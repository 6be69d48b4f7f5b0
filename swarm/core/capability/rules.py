"""Whether a grant covers an act: the one place that knows.

Every way into the host comes here, with a grant that a token was read into, or with one
that was made in process.
"""

from __future__ import annotations

from typing import NamedTuple

from swarm.core.capability.grant import OWNER, Grant
from swarm.core.capability.verbs import VERBS, Table
from swarm.errors import Denied

__all__ = ("Decision", "Reason", "covers")

Reason = str


class Decision(NamedTuple):
    """Yes, or no and why.

    Shape: `reason` is `ok` or a word for the records. `outsider`: whoever asked has shown
    nothing that holds; he is told nothing but no.
    """

    allowed: bool
    reason: Reason
    verb: str
    grant: Grant | None = None
    outsider: bool = False

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def actor(self) -> str:
        """Who asked, as far as that is known."""
        return "unknown" if self.grant is None else self.grant.subject

    def unwrap(self) -> Grant:
        """Return the grant.

        Raises: Denied (capability.unauthenticated), the same for every outsider; Denied
        (capability.denied), with the reason, for a bearer who may do other things.
        """
        if self.allowed and self.grant is not None:
            return self.grant
        if self.outsider or self.grant is None:
            raise Denied("capability.unauthenticated", "expected a token that holds, got none")
        who = f"{self.grant.subject!r} ({self.grant.role})"
        raise Denied(
            "capability.denied",
            f"{self.verb}: expected a token that covers this, got that of {who}: {self.reason}"
            " — swarm token verbs",
            verb=self.verb,
            reason=self.reason,
        )


def covers(
    grant: Grant,
    verb: str,
    table: Table,
    *,
    run: str | None = None,
    step: str | None = None,
    attempt: int | None = None,
    depth: int = 0,
) -> Decision:
    """Hold an act against a grant.

    Shape: *depth* is how many more levels the act needs below it.
    """
    if grant is OWNER:
        return Decision(verb in VERBS, "ok" if verb in VERBS else "verb", verb, grant)
    reason = _fault(grant, verb, table, run, step, attempt, depth)
    return Decision(reason is None, reason or "ok", verb, grant)


def _fault(
    grant: Grant,
    verb: str,
    table: Table,
    run: str | None,
    step: str | None,
    attempt: int | None,
    depth: int,
) -> Reason | None:
    row = table.get(grant.role)
    if row is None or verb not in row:
        return "role"
    if grant.verbs is not None and verb not in grant.verbs:
        return "verb"
    if grant.void:
        return "void"
    if grant.run is not None and run != grant.run:
        return "run"
    if grant.step is not None and step != grant.step:
        return "step"
    if grant.attempt is not None and attempt != grant.attempt:
        return "stale_attempt"
    if grant.depth < depth:
        return "spawn_depth"
    return None
