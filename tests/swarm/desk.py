"""A desk at which tokens are minted, forged and presented, without a host."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from swarm.core.capability import chain
from swarm.core.capability.guard import DESK, WORK, Guard
from swarm.core.capability.keys import Keyring, derived
from swarm.core.capability.mint import Order, mint
from swarm.core.capability.rules import Decision
from swarm.core.capability.verbs import TABLE, Table
from swarm.stores.keyfile import MemoryKeys
from swarm.stores.ledger import MemoryLedger

__all__ = ("ALL", "NOW_S", "Desk", "encoded")

NOW_S = 1_800_000_000
ALL = DESK | WORK


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


class Desk:
    """Keys, a ledger and a guard; the clock stands where `now_s` says."""

    def __init__(self, table: Table = TABLE) -> None:
        self.now_s: float = NOW_S
        self.keys = MemoryKeys(lambda: self.now_s)
        self.ledger = MemoryLedger()
        self.guard = Guard(self.keys, self.ledger, lambda: self.now_s, table)

    @property
    def ring(self) -> Keyring:
        return self.keys.keyring()

    def mint(self, subject: str = "ada", role: str = "operator", **order: Any) -> str:
        return mint(self.ring, Order(subject, role, **order), self.now_s, self.guard.table)

    def check(self, token: Any, verb: str = "run.read", **at: Any) -> Decision:
        """Decide; a use that was reserved is counted."""
        passed = self.guard.check(token, verb, purposes=ALL, **at)
        if passed:
            passed.spend()
        return passed.decision

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return what a good token says, as data, with some of it changed."""
        whole = {
            "aud": self.ring.host,
            "sub": "ada",
            "role": "operator",
            "verbs": ["run.cancel", "run.read"],
            "run": None,
            "step": None,
            "att": None,
            "iat": int(self.now_s),
            "nbf": int(self.now_s),
            "exp": int(self.now_s) + 600,
            "jti": "0123456789abcdef" * 2,
            "uses": None,
            "depth": 0,
            "epoch": 0,
        }
        return {**whole, **changed}

    def signed(self, claims: Any, *, kid: str | None = None, purpose: str = "operator") -> str:
        """Sign anything with the real key: what a mistake in our own minting would be."""
        raw = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        key = self.ring.current
        return chain.seal(derived(key.secret, f"cap/{purpose}"), kid or key.kid, raw)

    def forged(self, **changed: Any) -> str:
        return self.signed(self.claims(**changed))

    def with_caveat(self, token: str, caveat: Any) -> str:
        """Add any caveat, as a bearer can."""
        pieces = chain.split(token)
        assert pieces is not None
        raw = caveat if isinstance(caveat, bytes) else json.dumps(caveat).encode()
        return chain.extended(token, pieces, raw)
