"""Who mints, revokes and judges the tokens of a host.

What was revoked stands in the store, and how many revocations there were beside the keys
as well. A store that knows of fewer than its keys do is an older copy: nobody can tell what
was revoked since, so every token that was minted before is void.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from swarm.core.acts import current, tell
from swarm.core.capability.chain import fingerprint
from swarm.core.capability.grant import Grant
from swarm.core.capability.guard import Guard, KeyStore
from swarm.core.capability.mint import Order, mark_of, mint, read, within
from swarm.core.capability.rules import Decision
from swarm.core.capability.verbs import MAX_TTL_S, SKEW_S, Table
from swarm.errors import Refused
from swarm.host.parts import Parts
from swarm.host.recorder import Recorder
from swarm.ports.capability import Revoked
from swarm.ports.worker import Call

__all__ = ("Authority",)

# What every token has outlived.
_LONGEST_S = max(MAX_TTL_S.values()) + SKEW_S
_STEP_GRACE_S = 60


class Authority:
    """The tokens of one host."""

    def __init__(self, parts: Parts, keys: KeyStore, recorder: Recorder, table: Table) -> None:
        self._keys = keys
        self._recorder = recorder
        self._ledger = parts.ledger
        self._journal = parts.journal
        self.guard = Guard(self._keys, parts.ledger, parts.clock.wall, table)
        self._reconcile()

    def _reconcile(self) -> None:
        ledger, now_s = self._ledger, self.guard.now_s()
        epoch = self._keys.keyring().epoch
        if ledger.epoch < epoch:
            ledger.revoke("all", "", epoch + 1, int(now_s) + _LONGEST_S)
        if ledger.epoch > epoch:
            self._keys.change(lambda ring: replace(ring, epoch=max(ring.epoch, ledger.epoch)))

    # -- minting -----------------------------------------------------------------------

    def mint(
        self,
        subject: str,
        role: str,
        verbs: Collection[str] | None = None,
        *,
        run: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
        ttl_s: int | None = None,
        uses: int | None = None,
        depth: int | None = None,
    ) -> str:
        """Sign a new token.

        Shape: *verbs* None: all that the role has; *run*, *step*, *attempt* None: any;
        *uses* None: any number. Units: *ttl_s* in seconds (None: the most of the role).
        Raises: Refused (capability.mint); Bug.
        """
        order = Order(subject, role, verbs, run, step, attempt, ttl_s, uses, depth)
        token = self._signed(order)
        if current() is None:
            self._recorder.note("owner", "token.mint", "allowed", detail=_told(token))
        else:
            tell({"minted": _told(token)})
        return token

    def for_step(self, call: Call) -> str:
        """Sign a token for the worker of an attempt: it ends a minute after the attempt must."""
        most_s = MAX_TTL_S["worker"]
        ttl_s = most_s
        if call.timeout_s is not None:
            ttl_s = min(most_s, int(call.timeout_s) + _STEP_GRACE_S)
        order = Order(
            f"agent:{call.agent}", "worker", None, call.run_id, call.key, call.attempt, ttl_s
        )
        return self._signed(order)

    def child(self, parent: Grant, order: Order) -> tuple[str | None, Decision]:
        """Sign a token that has less than *parent*; None where it would not."""
        fitted, fault = within(parent, order, self.guard.now_s())
        decision = Decision(fault is None, fault or "ok", "token.delegate", parent)
        if fault is not None:
            return None, decision
        token = self._signed(fitted)
        tell({"minted": _told(token)})
        return token, decision

    def _signed(self, order: Order) -> str:
        return mint(self._keys.keyring(), order, self.guard.now_s(), self.guard.table)

    # -- revoking ----------------------------------------------------------------------

    async def revoke(
        self,
        *,
        token: str | None = None,
        subject: str | None = None,
        run: str | None = None,
        kid: str | None = None,
    ) -> None:
        """Void tokens that were minted before now: one, a subject's, a run's, or a key's.

        Shape: exactly one of these; *token* is a token, or its fingerprint. It holds at
        once, and when this returns it has been written down.
        Raises: Refused (capability.revoke, capability.token, keys.unknown).
        """
        chosen = [(k, v) for k, v in (("token", token), ("subject", subject), ("run", run),
                                      ("kid", kid)) if v is not None]  # fmt: skip
        if len(chosen) != 1:
            said = f"revoke: expected one of token, subject, run and kid, got {len(chosen)}"
            raise Refused("capability.revoke", said)
        kind, name = chosen[0]
        name = mark_of(name) if kind == "token" else name
        now_s = self.guard.now_s()
        async with self._recorder.doing("owner", "token.revoke", always=True):
            tell({"revoked": kind, "name": name})
            if kind == "kid":
                self._keys.change(lambda ring: ring.without(name, now_s))
            else:
                await self._void(kind, name, now_s)

    async def _void(self, kind: Any, name: str, now_s: float) -> None:
        what: Revoked = kind
        epoch = max(self._ledger.epoch, self._keys.keyring().epoch) + 1
        self._ledger.revoke(what, name, epoch, int(now_s) + _LONGEST_S)
        await self._journal.commit()
        # Behind the commit: a store that is behind its keys counts as an older copy.
        self._keys.change(lambda r: replace(r, epoch=max(r.epoch, epoch), high_s=int(now_s)))

    def rotate(self) -> str:
        """Mint with a new signing key from now on; return its kid.

        Raises: Refused (keys.live).
        """
        now_s = self.guard.now_s()
        kid = self._keys.change(lambda ring: ring.rotated(now_s)).current.kid
        if current() is None:
            self._recorder.note("owner", "token.rotate", "allowed", detail={"kid": kid})
        else:
            tell({"kid": kid})
        return kid


def _told(token: str) -> dict[str, Any]:
    """Say what was minted, as far as the record may know it."""
    _, claims, _ = read(token)
    return {"subject": claims.sub, "role": claims.role, "token": fingerprint(claims.jti)}
