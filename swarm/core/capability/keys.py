"""The signing keys of a host, as data: at most three live ones, one key for each purpose.

    live from    minted with from here on
    retired      another is minted with; what it signed still holds, for the overlap
    gone         nothing that it signed holds

One secret of 32 random bytes has a name, its kid; the key of a purpose is derived from it
(HKDF-SHA256), so no two purposes ever share one. A purpose's key says nothing of another's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import field, replace
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from flowir.records import dataclass
from swarm.core.capability.verbs import MAX_TTL_S
from swarm.errors import Refused

__all__ = ("KEY_BYTES", "KID", "MAX_LIVE", "OVERLAP_S", "Keyring", "SigningKey", "derived")

KID: Final = re.compile(r"[a-z0-9]{1,16}")
KEY_BYTES: Final = 32
MAX_LIVE: Final = 3
# The longest life of a token, and a minute for clocks that differ.
OVERLAP_S: Final = max(MAX_TTL_S.values()) + 60


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One secret. Units: UTC seconds since 1970; `retired_s` is None for the current one."""

    kid: str
    secret: bytes = field(repr=False)
    made_s: int
    retired_s: int | None = None

    def lives(self, now_s: float) -> bool:
        """Whether what it signed may hold."""
        return self.retired_s is None or now_s < self.retired_s + OVERLAP_S


@dataclass(frozen=True, slots=True)
class Keyring:
    """A host's name and its signing keys, the current one last.

    Shape: `epoch` counts revocations; it stands beside the keys so that no older copy of
    the store can take it back. `witnesses` are the public halves of every key that has
    signed a checkpoint, by kid, kept for good. `high_s` is the latest time ever seen.
    """

    host: str
    keys: tuple[SigningKey, ...]
    epoch: int = 0
    high_s: int = 0
    witnesses: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def fresh(cls, now_s: float) -> Keyring:
        """Make a host's first."""
        return cls(f"h_{secrets.token_hex(12)}", (_new(now_s),))

    @property
    def current(self) -> SigningKey:
        """The key to mint with.

        Raises: Refused (keys.file), where there is none: their file cannot be trusted.
        """
        if not self.keys:
            raise Refused(
                "keys.file",
                "expected a key to sign with, got a file of signing keys that is gone or cannot "
                "be trusted — put it back, with mode 0600 and its owner",
            )
        return self.keys[-1]

    def find(self, kid: str, now_s: float) -> SigningKey | None:
        """Return a live key by its name."""
        for key in self.keys:
            if key.kid == kid and key.lives(now_s):
                return key
        return None

    def rotated(self, now_s: float) -> Keyring:
        """Return it with a new current key; what the others signed holds for the overlap.

        Raises: Refused (keys.live), where three live already.
        """
        living = [key for key in self.keys if key.lives(now_s)]
        if len(living) >= MAX_LIVE:
            ends_s = (living[0].retired_s or 0) + OVERLAP_S
            raise Refused(
                "keys.live",
                f"rotate: expected at most {MAX_LIVE} live signing keys, got one more — "
                f"{living[0].kid!r} ends in {max(0, int(ends_s - now_s))} s, or revoke it",
            )
        retired = replace(living[-1], retired_s=int(now_s))
        return replace(self, keys=(*living[:-1], retired, _new(now_s)))

    def without(self, kid: str, now_s: float) -> Keyring:
        """Return it without a key: nothing that it signed holds any more.

        Raises: Refused (keys.unknown).
        """
        kept = tuple(key for key in self.keys if key.kid != kid)
        if len(kept) == len(self.keys):
            known = ", ".join(repr(key.kid) for key in self.keys)
            raise Refused("keys.unknown", f"expected a signing key of {known}, got {kid!r}")
        if not kept or kept[-1].retired_s is not None:
            kept = (*kept, _new(now_s))
        return replace(self, keys=kept)


@lru_cache(maxsize=32)
def derived(secret: bytes, info: str) -> bytes:
    """Derive the key of a purpose; those of the latest few are kept."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode()).derive(secret)


def _new(now_s: float) -> SigningKey:
    return SigningKey(secrets.token_hex(4), secrets.token_bytes(KEY_BYTES), int(now_s))
