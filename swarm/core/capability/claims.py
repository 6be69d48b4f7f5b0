"""What a token says, in its written form: strict both ways.

Claims are a JSON object with exactly these members, a caveat one with one or more of its
own; nothing unknown, nothing twice, integers only, every id of few characters. What is
read here has been signed already: strictness is for what our own minting, or the bearer's
narrowing, must never mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from flowir.door import parse_json
from flowir.errors import FlowError
from flowir.limits import Limits
from flowir.records import dataclass
from swarm.blueprint.canonical import canonical_bytes
from swarm.core.capability.grant import Caveat, Grant
from swarm.core.capability.verbs import MAX_DEPTH, MAX_TTL_S, ROLES, SKEW_S, VERBS

__all__ = (
    "HOST_ID",
    "JTI",
    "MAX_TOKEN",
    "SUBJECT",
    "Claims",
    "Unread",
    "caveat_bytes",
    "read_caveat",
    "read_claims",
)

MAX_TOKEN: Final = 4_096
_LIMITS = Limits(value_size=MAX_TOKEN * 4, value_depth=4)
_INT_MAX = 2**53
_USES_MAX = 1_000_000
_STEP_MAX = 512

HOST_ID: Final = re.compile(r"h_[a-z0-9]{8,40}")
SUBJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,63}")
JTI: Final = re.compile(r"[0-9a-f]{32}")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Unread(Exception):
    """A text that says nothing: not what a token may say. The text is for records only."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What whoever minted a token signed.

    Shape: `epoch` is the host's count of revocations at that time. Units: `iat`, `nbf`
    and `exp` in UTC seconds since 1970.
    """

    aud: str
    sub: str
    role: str
    verbs: tuple[str, ...]
    run: str | None
    step: str | None
    att: int | None
    iat: int
    nbf: int
    exp: int
    jti: str
    uses: int | None
    depth: int
    epoch: int

    def to_bytes(self) -> bytes:
        """Return the JSON that is signed."""
        return canonical_bytes({name: _plain(getattr(self, name)) for name in _CLAIMS})

    def time_fault(self, now_s: float) -> str | None:
        """Say why it is not its time, if so."""
        if now_s >= self.exp:
            return "expired"
        if self.iat > now_s + SKEW_S or self.nbf > now_s + SKEW_S:
            return "not_yet"
        if self.exp - self.iat > MAX_TTL_S[self.role] or self.exp <= self.iat:
            return "lifetime"
        return None

    def grant(self, token: str, counter: str) -> Grant:
        """Return what the token covers before its caveats."""
        counters = () if self.uses is None else ((counter, self.uses),)
        return Grant(
            self.sub, self.role, frozenset(self.verbs), self.run, self.step, self.att,
            self.exp, counters, self.depth, token,
        )  # fmt: skip


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# -- what each member may be -----------------------------------------------------------

_Check: TypeAlias = Callable[[Any], bool]


def _text(pattern: re.Pattern[str]) -> _Check:
    return lambda v: type(v) is str and pattern.fullmatch(v) is not None


def _int(least: int, most: int = _INT_MAX) -> _Check:
    return lambda v: type(v) is int and least <= v <= most


def _maybe(check: _Check) -> _Check:
    return lambda v: v is None or check(v)


def _verbs(value: Any) -> bool:
    known = type(value) is list and all(type(v) is str and v in VERBS for v in value)
    return known and len(set(value)) == len(value) > 0


def _step(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= _STEP_MAX


_CLAIMS: Final[Mapping[str, _Check]] = {
    "aud": _text(HOST_ID),
    "sub": _text(SUBJECT),
    "role": lambda v: type(v) is str and v in ROLES,
    "verbs": _verbs,
    "run": _maybe(_text(_RUN)),
    "step": _maybe(_step),
    "att": _maybe(_int(1)),
    "iat": _int(0),
    "nbf": _int(0),
    "exp": _int(0),
    "jti": _text(JTI),
    "uses": _maybe(_int(1, _USES_MAX)),
    "depth": _int(0, MAX_DEPTH),
    "epoch": _int(0),
}
# A caveat may take everything away: no verbs, no uses, an end long past.
_CAVEAT: Final[Mapping[str, _Check]] = {
    "verbs": lambda v: v == [] or _verbs(v),
    "run": _text(_RUN),
    "step": _step,
    "att": _int(1),
    "exp": _int(0),
    "uses": _int(0, _USES_MAX),
    "depth": _int(0, MAX_DEPTH),
}


def read_claims(text: bytes) -> Claims:
    """Read what was signed.

    Raises: Unread.
    """
    found = _object(text)
    if found.keys() != _CLAIMS.keys():
        raise Unread("members")
    _check(found, _CLAIMS)
    found["verbs"] = tuple(found["verbs"])
    return Claims(**found)


def read_caveat(text: bytes, counter: str) -> Caveat:
    """Read a restriction.

    Raises: Unread.
    """
    found = _object(text)
    if not found or not found.keys() <= _CAVEAT.keys():
        raise Unread("members")
    _check(found, _CAVEAT)
    verbs = found.get("verbs")
    return Caveat(
        None if verbs is None else frozenset(verbs),
        found.get("run"),
        found.get("step"),
        found.get("att"),
        found.get("exp"),
        found.get("uses"),
        found.get("depth"),
        counter,
    )


def caveat_bytes(caveat: Caveat) -> bytes:
    """Return the JSON of a restriction.

    Raises: Unread, for one that no token may say.
    """
    members = {
        "verbs": None if caveat.verbs is None else sorted(caveat.verbs),
        "run": caveat.run,
        "step": caveat.step,
        "att": caveat.attempt,
        "exp": caveat.expires_s,
        "uses": caveat.uses,
        "depth": caveat.depth,
    }
    text = canonical_bytes({name: v for name, v in members.items() if v is not None})
    read_caveat(text, "")
    return text


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = parse_json(text, limits=_LIMITS)
    except FlowError as e:
        raise Unread("json") from e
    if type(found) is not dict:
        raise Unread("json")
    return found


def _check(found: Mapping[str, Any], checks: Mapping[str, _Check]) -> None:
    for name, value in found.items():
        if not checks[name](value):
            raise Unread(name)
