"""New tokens, and tokens with less: what may be asked for is checked before it is signed."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from flowir.errors import shorten
from flowir.records import dataclass
from flowir.report import nearest
from swarm.core.capability import chain
from swarm.core.capability.claims import Claims, Unread, caveat_bytes, read_claims
from swarm.core.capability.grant import Caveat, Grant
from swarm.core.capability.keys import Keyring, derived
from swarm.core.capability.verbs import (
    MAX_DEPTH,
    MAX_TTL_S,
    PURPOSE_OF,
    ROLES,
    TABLE,
    VERBS,
    Table,
)
from swarm.errors import Bug, Refused

__all__ = ("Order", "mark_of", "mint", "narrow", "read", "within")


@dataclass(frozen=True, slots=True)
class Order:
    """What a new token is to say; None takes the most that there is.

    Shape: `uses` None: any number; `depth` None: none, it hands nothing on.
    Units: `ttl_s` in seconds.
    """

    subject: str
    role: str
    verbs: Collection[str] | None = None
    run: str | None = None
    step: str | None = None
    attempt: int | None = None
    ttl_s: int | None = None
    uses: int | None = None
    depth: int | None = None


# What an order may name, for whoever asked for something else.
_SAYABLE: Final[Mapping[str, str]] = {
    "sub": "a subject of 1 to 64 of letters, digits, '.', '_', '@', ':', '+', '-', a letter or "
    "digit first",
    "run": "the id of a run",
    "step": "the key of a step, of at most 512 characters",
    "att": "an attempt, from 1",
    "uses": "uses, from 1",
}


def mint(keyring: Keyring, order: Order, now_s: float, table: Table = TABLE) -> str:
    """Sign a new token with the current key.

    Raises: Refused (capability.mint); Bug, where the source of chance repeats itself.
    """
    claims = _claims(keyring, order, int(now_s), table)
    try:
        text = claims.to_bytes()
        read_claims(text)
    except UnicodeEncodeError as e:
        raise _refused("expected text without lone surrogates, got some") from e
    except Unread as e:
        name, got = str(e), shorten(getattr(claims, str(e), None))
        said = _SAYABLE.get(name, f"{name!r} as a token may say it")
        raise _refused(f"expected {said}, got {got}") from e
    key = keyring.current
    return chain.seal(derived(key.secret, f"cap/{PURPOSE_OF[order.role]}"), key.kid, text)


def narrow(text: str, *caveats: Caveat) -> str:
    """Return a token with less: no key is needed, and none is at hand to check it.

    Raises: Refused (capability.token), for what has not the form of a token; Refused
    (capability.caveat), for one caveat too many, or one that no token may say.
    """
    for caveat in caveats:
        pieces = chain.split(text)
        if pieces is None:
            raise _no_token()
        if len(pieces.body) > chain.MAX_CAVEATS:
            said = f"narrow: expected at most {chain.MAX_CAVEATS} caveats, got one more"
            raise Refused("capability.caveat", said)
        try:
            written = caveat_bytes(caveat)
        except (Unread, UnicodeEncodeError) as e:
            said = f"narrow: expected '{e}' as a caveat may say it, got {caveat}"
            raise Refused("capability.caveat", said) from e
        text = chain.extended(text, pieces, written)
        if chain.split(text) is None:
            raise Refused("capability.caveat", "narrow: the token would be longer than 4096 bytes")
    return text


def read(text: str) -> tuple[str, Claims, tuple[bytes, ...]]:
    """Read kid, claims and caveats of a token without a key: nothing says that they hold.

    Raises: Refused (capability.token).
    """
    pieces = chain.split(text)
    if pieces is None:
        raise _no_token()
    raw = [chain.decoded(part) for part in pieces.body]
    try:
        claims = read_claims(raw[0] or b"")
    except Unread as e:
        raise _no_token() from e
    return pieces.kid, claims, tuple(part or b"" for part in raw[1:])


def within(parent: Grant, order: Order, now_s: float) -> tuple[Order, str | None]:
    """Fit the order for a child token into what its parent covers; say why it does not fit.

    A child is of the same subject, so that revoking that one reaches it as well; what it
    leaves open is taken over.
    """
    if parent.depth < 1 or (order.depth or 0) > parent.depth - 1:
        return order, "spawn_depth"
    verbs = parent.verbs if order.verbs is None else frozenset(order.verbs)
    if verbs is None or parent.verbs is None or not verbs <= parent.verbs:
        return order, "verb"
    for mine, asked in (
        (parent.run, order.run),
        (parent.step, order.step),
        (parent.attempt, order.attempt),
    ):
        if mine is not None and asked not in (None, mine):
            return order, "run"
    left_s = MAX_TTL_S[parent.role] if parent.expires_s is None else parent.expires_s - int(now_s)
    if order.ttl_s is not None and order.ttl_s > left_s:
        return order, "expires"
    most = min((limit for _, limit in parent.counters), default=None)
    if most is not None and (order.uses is None or order.uses > most):
        return order, "uses"
    return replace(
        order,
        subject=parent.subject,
        role=parent.role,
        verbs=verbs,
        run=parent.run or order.run,
        step=parent.step or order.step,
        attempt=parent.attempt or order.attempt,
        ttl_s=left_s if order.ttl_s is None else order.ttl_s,
    ), None


def _claims(keyring: Keyring, order: Order, now_s: int, table: Table) -> Claims:
    if order.role not in table:
        raise _refused(f"expected a role of {', '.join(ROLES)}, got {shorten(order.role)}")
    row = table[order.role]
    verbs = row if order.verbs is None else order.verbs
    for verb in verbs:
        if verb not in row:
            raise _refused(_verb_fault(order.role, verb, row))
    if not verbs:
        raise _refused("expected one verb or more, got none")
    most_s = MAX_TTL_S[order.role]
    ttl_s = most_s if order.ttl_s is None else order.ttl_s
    if not 0 < ttl_s <= most_s:
        raise _refused(f"expected 1 to {most_s} seconds for role {order.role!r}, got {ttl_s}")
    if order.step is not None and order.run is None:
        raise _refused("expected a run beside the step, got none")
    if order.attempt is not None and order.step is None:
        raise _refused("expected a step beside the attempt, got none")
    depth = 0 if order.depth is None else order.depth
    if not 0 <= depth <= MAX_DEPTH:
        raise _refused(f"expected a depth of 0 to {MAX_DEPTH}, got {depth}")
    return Claims(
        aud=keyring.host,
        sub=order.subject,
        role=order.role,
        verbs=tuple(sorted(set(verbs))),
        run=order.run,
        step=order.step,
        att=order.attempt,
        iat=now_s,
        nbf=now_s,
        exp=now_s + ttl_s,
        jti=_name(),
        uses=order.uses,
        depth=depth,
        epoch=keyring.epoch,
    )


def _name() -> str:
    """Draw the name of a token. A source that says the same twice is no source of chance."""
    one, other = secrets.token_bytes(16), secrets.token_bytes(16)
    if one == other:
        raise Bug("the source of chance gave the same 16 bytes twice; no token was minted")
    return one.hex()


def _verb_fault(role: str, verb: Any, row: frozenset[str]) -> str:
    if verb in VERBS:
        return f"expected verbs that role {role!r} has, got {verb!r} — swarm token verbs"
    near = nearest(str(verb), VERBS)
    hint = f" — {near}" if near else ""
    return f"expected verbs that there are, got {shorten(verb)}{hint}"


def _refused(said: str) -> Refused:
    return Refused("capability.mint", f"mint: {said}")


def _no_token() -> Refused:
    # What was handed over is not shown: it may be a secret of something else.
    return Refused("capability.token", "expected a token (v1.kid.claims.tag), got something else")


def mark_of(text: str) -> str:
    """Return the fingerprint of a token, or that which *text* is.

    Raises: Refused (capability.token).
    """
    return text if chain.FINGERPRINT.fullmatch(text) else chain.fingerprint(read(text)[1].jti)
