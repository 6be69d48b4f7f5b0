"""A token that is shown for many acts: read once, and anew whenever it could end otherwise.

Reading is what costs: a MAC, and strict parsing. What it depends on is the signing keys and
what was revoked, so it is done again as soon as one of them is another; the time, and what
the act needs, are looked at for each act.
"""

from __future__ import annotations

from swarm.core.capability.guard import Guard
from swarm.core.capability.keys import Keyring
from swarm.core.capability.rules import Decision, covers

__all__ = ("Standing",)


class Standing:
    """One token before one guard, as an entry for people and their programs takes it."""

    __slots__ = ("_epoch", "_found", "_guard", "_keyring", "_token")

    def __init__(self, guard: Guard, token: str) -> None:
        self._guard = guard
        self._token = token
        self._epoch = -1
        self._keyring: Keyring | None = None
        self._found = Decision(False, "form", "", outsider=True)

    def look(
        self,
        verb: str,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
    ) -> Decision:
        """Decide as `Guard.look` does over the token."""
        guard = self._guard
        epoch, keyring = guard.ledger.epoch, guard.keyring()
        if epoch != self._epoch or keyring is not self._keyring:
            self._epoch, self._keyring = epoch, keyring
            self._found = guard.admit(self._token)
        grant = self._found.grant
        if grant is None:
            return self._found._replace(verb=verb)
        if grant.expires_s is not None and guard.now_s() >= grant.expires_s:
            return Decision(False, "expired", verb, outsider=True)
        return covers(grant, verb, guard.table, run=run, step=step, attempt=attempt)
