"""A token's bytes: `v1.kid.claims(.caveat){0,8}.tag`, and the MAC that holds them together.

    t0 = HMAC(key of kid and purpose, "cap.v1" NUL kid NUL claims)
    t1 = HMAC(t0, "caveat.v1" NUL caveat 1)
    …         the tag is the last of them

Claims and caveats enter the MAC as the characters that were received: nothing is decoded,
and nothing is parsed, before the tag holds. Whoever has a token can add a caveat, because
its tag is the key of the next; nobody can take one away, because no tag tells the key that
it was made with. This is the construction of macaroons, with caveats of the first party
only. HMAC-SHA256 is implied by `v1`; a token cannot choose.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from swarm.core.capability.claims import MAX_TOKEN

__all__ = (
    "FINGERPRINT",
    "MAX_CAVEATS",
    "Pieces",
    "decoded",
    "extended",
    "fingerprint",
    "holds",
    "seal",
    "split",
)

MAX_CAVEATS: Final = 8

# \Z and no flags: one spelling, ASCII, no newline at the end. 43 characters are 32 bytes.
_TOKEN = re.compile(
    r"v1\.([a-z0-9]{1,16})\.([A-Za-z0-9_-]{2,})((?:\.[A-Za-z0-9_-]{2,}){0,8})\.([A-Za-z0-9_-]{43})\Z",
    re.ASCII,
)
FINGERPRINT: Final = re.compile(r"[0-9a-f]{16}")
_SHA256 = SHA256()


class Pieces(NamedTuple):
    """A token taken apart; `body` is claims and caveats as they were received."""

    kid: str
    body: tuple[str, ...]
    tag: bytes


def split(text: object) -> Pieces | None:
    """Take a token apart; None: it has not the form of one."""
    if type(text) is not str or len(text) > MAX_TOKEN:
        return None
    found = _TOKEN.match(text)
    if found is None:
        return None
    kid, claims, caveats, tag = found.groups()
    raw = decoded(tag)
    if raw is None:
        return None
    return Pieces(kid, (claims, *caveats.split(".")[1:]), raw)


def holds(pieces: Pieces, key: bytes) -> tuple[bytes, ...] | None:
    """Return the tags along the chain, if the last is the token's; else None.

    Compared in a time that does not depend on where they differ.
    """
    tags = _tags(key, pieces.kid, pieces.body)
    return tags if bytes_eq(tags[-1], pieces.tag) else None


def seal(key: bytes, kid: str, claims: bytes) -> str:
    """Make a token without caveats."""
    body = _encoded(claims)
    (tag,) = _tags(key, kid, (body,))
    return f"v1.{kid}.{body}.{_encoded(tag)}"


def extended(text: str, pieces: Pieces, caveat: bytes) -> str:
    """Return the token with one caveat more; takes no key."""
    written = _encoded(caveat)
    tag = _mac(pieces.tag, _caveat(written))
    return f"{text.rpartition('.')[0]}.{written}.{_encoded(tag)}"


def decoded(text: str) -> bytes | None:
    """Decode base64url without padding; None, where it is another spelling of its bytes."""
    if len(text) % 4 == 1:
        return None
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return raw if _encoded(raw) == text else None


def fingerprint(text: str) -> str:
    """Return a name for something secret or long that tells nothing of it."""
    return sha256(b"fp.v1\0" + text.encode()).hexdigest()[:16]


def _tags(key: bytes, kid: str, body: tuple[str, ...]) -> tuple[bytes, ...]:
    tag = _mac(key, f"cap.v1\0{kid}\0{body[0]}".encode())
    tags = [tag]
    for caveat in body[1:]:
        tag = _mac(tag, _caveat(caveat))
        tags.append(tag)
    return tuple(tags)


def _caveat(written: str) -> bytes:
    return b"caveat.v1\0" + written.encode()


def _mac(key: bytes, message: bytes) -> bytes:
    mac = HMAC(key, _SHA256)
    mac.update(message)
    return mac.finalize()


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
