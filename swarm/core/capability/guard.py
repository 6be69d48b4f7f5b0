"""The guard: every act on a host passes `check`, with a token or a grant.

    form → signing key → tag → what it says → whose → when → revoked? → covers? → uses left?

A token that is not what it should be is a `no`, never an exception. Those of the first
line are outsiders, and all are told the same; whoever holds a token that is good for
something learns why this is not it.

Uses are taken in two steps: `check` reserves one, in memory, so that of many who come at
once one gets it; `Pass.spend` writes it down beside the rows of its effect; `Pass.release`
gives it back where the effect did not happen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from swarm.core.capability import chain
from swarm.core.capability.claims import Claims, Unread, read_caveat, read_claims
from swarm.core.capability.grant import Grant
from swarm.core.capability.keys import KEY_BYTES, Keyring, derived
from swarm.core.capability.rules import Decision, covers
from swarm.core.capability.verbs import PURPOSE_OF, PURPOSES, SKEW_S, TABLE, Purpose, Table
from swarm.ports.capability import Ledger

__all__ = ("BACK_S", "DESK", "WORK", "Guard", "KeyStore", "Pass")

# Which purposes an entry point takes: one for people and their programs, one for steps.
DESK: frozenset[Purpose] = frozenset({"operator", "approve"})
WORK: frozenset[Purpose] = frozenset({"worker"})

# A clock that goes back by more than this is not believed.
BACK_S = 60
# How far time moves on before that is written down.
_NOTE_S = 30
_NO_KEY = bytes(KEY_BYTES)


class KeyStore(Protocol):
    """Where the signing keys are."""

    def keyring(self) -> Keyring:
        """Return the keys as they are now."""
        ...

    def change(self, act: Callable[[Keyring], Keyring]) -> Keyring:
        """Replace the keys by what *act* makes of them."""
        ...


class Pass(NamedTuple):
    """A decision, and the use that it reserved."""

    decision: Decision
    counters: tuple[str, ...]
    guard: Guard
    until_s: int

    def __bool__(self) -> bool:
        return self.decision.allowed

    def spend(self) -> None:
        """Write the use down; it lasts with the rows that are appended in the same turn."""
        if self.counters:
            self.guard.spend(self.counters, self.until_s)

    def release(self) -> None:
        """Give the use back: nothing happened."""
        self.guard.release(self.counters)


class Guard:
    """Decides over acts on one host.

    Shape: *wall* gives UTC seconds since 1970; *table* who may do what.
    """

    def __init__(
        self, keys: KeyStore, ledger: Ledger, wall: Callable[[], float], table: Table = TABLE
    ) -> None:
        self.table = table
        self.ledger = ledger
        self._keys = keys
        self._wall = wall
        self._noted_s = 0
        self._reserved: dict[str, int] = {}

    def keyring(self) -> Keyring:
        """Return the keys as they are now: others, as soon as one was added or taken away."""
        return self._keys.keyring()

    def now_s(self) -> float:
        """Return the time, which does not go back by more than a minute, over restarts too."""
        wall_s, high_s = self._wall(), max(self.ledger.high_s, self._keys.keyring().high_s)
        if wall_s < high_s - BACK_S:
            return float(high_s)
        if wall_s > max(self._noted_s, high_s) + _NOTE_S:
            self._noted_s = int(wall_s)
            self.ledger.note_time(self._noted_s)
        return wall_s

    def check(
        self,
        bearer: str | Grant,
        verb: str,
        *,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
        depth: int = 0,
        purposes: Collection[Purpose] = DESK,
    ) -> Pass:
        """Decide over one act, and reserve the use that it takes.

        Shape: *bearer* is a token as it was received, or a grant made in process.
        """
        return self._passed(self.look(bearer, verb, run, step, attempt, depth, purposes))

    def look(
        self,
        bearer: str | Grant,
        verb: str,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
        depth: int = 0,
        purposes: Collection[Purpose] = DESK,
    ) -> Decision:
        """Decide as `check` does, of an act that is part of one: no use is asked for."""
        grant: Grant | None
        if isinstance(bearer, Grant):
            grant = bearer
            if grant.expires_s is not None and self.now_s() >= grant.expires_s:
                return Decision(False, "expired", verb, grant)
        else:
            found = self.admit(bearer, purposes)
            grant = found.grant
            if grant is None:
                return found._replace(verb=verb)
        return covers(grant, verb, self.table, run=run, step=step, attempt=attempt, depth=depth)

    def admit(self, token: str, purposes: Collection[Purpose] = DESK) -> Decision:
        """Read a token into a grant, if it holds."""
        now_s, keyring = self.now_s(), self._keys.keyring()
        pieces = chain.split(token)
        if pieces is None:
            # As much work as for a token, so that the time it takes tells nothing.
            chain.holds(_NOTHING, _NO_KEY)
            return _outsider("form")
        key = keyring.find(pieces.kid, now_s)
        tags: tuple[bytes, ...] | None = None
        purpose: Purpose | None = None
        for one in PURPOSES:
            if one in purposes:
                made = _NO_KEY if key is None else derived(key.secret, f"cap/{one}")
                found = chain.holds(pieces, made)
                if found is not None and key is not None:
                    tags, purpose = found, one
        if tags is None:
            return _outsider("tag")
        return self._read(pieces, tags, purpose, keyring, now_s)

    def _read(
        self,
        pieces: chain.Pieces,
        tags: tuple[bytes, ...],
        purpose: Purpose | None,
        keyring: Keyring,
        now_s: float,
    ) -> Decision:
        raw = [chain.decoded(part) for part in pieces.body]
        try:
            claims = read_claims(raw[0] or b"")
            grant = claims.grant(chain.fingerprint(claims.jti), _counter(tags[0]))
            for part, tag in zip(raw[1:], tags[1:], strict=True):
                grant = grant.narrowed(read_caveat(part or b"", _counter(tag)))
        except Unread as e:
            return _outsider(f"said.{e}")
        fault = self._fault(claims, grant, purpose, keyring, now_s)
        return Decision(True, "ok", "", grant) if fault is None else _outsider(fault)

    def _fault(
        self, claims: Claims, grant: Grant, purpose: Purpose | None, keyring: Keyring, now_s: float
    ) -> str | None:
        if claims.aud != keyring.host:
            return "audience"
        if PURPOSE_OF[claims.role] != purpose:
            return "purpose"
        when = claims.time_fault(now_s)
        if when is not None:
            return when
        if grant.expires_s is not None and now_s >= grant.expires_s:
            return "expired"
        return self._revoked(claims, grant)

    def _revoked(self, claims: Claims, grant: Grant) -> str | None:
        ledger, epoch = self.ledger, claims.epoch
        if grant.token is not None and ledger.revoked("token", grant.token):
            return "revoked"
        if epoch < ledger.revoked("subject", claims.sub) or epoch < ledger.revoked("all", ""):
            return "revoked"
        if grant.run is not None and epoch < ledger.revoked("run", grant.run):
            return "revoked"
        return None

    # -- uses --------------------------------------------------------------------------

    def _passed(self, decision: Decision) -> Pass:
        grant = decision.grant
        if not decision.allowed or grant is None or not grant.counters:
            return Pass(decision, (), self, 0)
        for counter, most in grant.counters:
            if self.ledger.used(counter) + self._reserved.get(counter, 0) >= most:
                return Pass(decision._replace(allowed=False, reason="used"), (), self, 0)
        names = tuple(counter for counter, _ in grant.counters)
        for name in names:
            self._reserved[name] = self._reserved.get(name, 0) + 1
        return Pass(decision, names, self, (grant.expires_s or 0) + SKEW_S)

    def spend(self, counters: tuple[str, ...], until_s: int) -> None:
        """Turn reserved uses into counted ones."""
        for name in counters:
            self.ledger.use(name, until_s)
        self.release(counters)

    def release(self, counters: tuple[str, ...]) -> None:
        """Let go of reserved uses."""
        for name in counters:
            left = self._reserved.get(name, 0) - 1
            if left > 0:
                self._reserved[name] = left
            else:
                self._reserved.pop(name, None)


_NOTHING = chain.Pieces("0", ("0" * 256,), _NO_KEY)


def _outsider(reason: str) -> Decision:
    return Decision(False, reason, "", None, outsider=True)


def _counter(tag: bytes) -> str:
    """Name the count of a limit: by where in the chain it stands, without telling the tag."""
    return chain.fingerprint(tag.hex())
