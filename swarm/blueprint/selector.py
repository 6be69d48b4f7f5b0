"""Which version of a blueprint is meant.

    id@latest          the newest entry of the history; `id` alone means the same
    id@{2026-11-01}    the newest entry at that moment (UTC; a day means its end)
    id@1.2.3           the entry with this label
    id@^1.2            the highest label in a range, written as npm writes ranges
    id@prod            the entry that a tag points at
    id@3f9ac41         the newest entry with this content, by 7 or more digits of its hash

They are tried in this order. A tag may look like none of the others, so the order matters
only for a hash that consists of decimal digits.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from flowir.errors import shorten
from flowir.records import dataclass
from swarm.blueprint.model import ID_RULE, is_blueprint_id
from swarm.blueprint.ranges import parse_range
from swarm.errors import Refused

__all__ = (
    "Kind",
    "Selector",
    "moment_of",
    "parse_blueprint_id",
    "parse_selector",
    "parse_tag",
)

Kind: TypeAlias = Literal["latest", "moment", "label", "range", "tag", "hash"]

_TAG = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){2}")
_HASH = re.compile(r"[0-9a-f]{7,64}")
_MOMENT = re.compile(r"\{([0-9T:.Z+ -]{10,40})\}")


@dataclass(frozen=True, slots=True)
class Selector:
    """A version of a blueprint, as somebody named it; `kinds` is what the words may mean."""

    blueprint: str
    text: str = "latest"
    kinds: tuple[Kind, ...] = ("latest",)

    def __str__(self) -> str:
        return f"{self.blueprint}@{self.text}"


def parse_selector(text: str) -> Selector:
    """Read `id` or `id@selector`.

    >>> parse_selector("review@^1.2").kinds
    ('range',)
    >>> parse_selector("review@1234567").kinds
    ('range', 'hash')

    Raises: Refused (version.id, version.selector).
    """
    name, at, wanted = text.partition("@") if isinstance(text, str) else (text, "", "")  # pyright: ignore[reportUnnecessaryIsInstance] - as below
    parse_blueprint_id(name)
    if not at:
        return Selector(name)
    kinds = _kinds_of(wanted)
    if not kinds:
        raise Refused(
            "version.selector",
            f"{name}: expected 'latest', a label such as 1.2.3, a range such as ^1.2, a tag, "
            "a moment such as {2026-11-01}, or 7 or more digits of a hash, got "
            f"{shorten(wanted)}",
            selector=text,
        )
    return Selector(name, wanted, kinds)


def _kinds_of(text: str) -> tuple[Kind, ...]:
    if text == "latest":
        return ("latest",)
    kinds: list[Kind] = []
    if moment_of(text) is not None:
        kinds.append("moment")
    if _LABEL.fullmatch(text):
        kinds.append("label")
    elif parse_range(text) is not None:
        kinds.append("range")
    elif _is_tag(text):
        kinds.append("tag")
    if _HASH.fullmatch(text):
        kinds.append("hash")
    return tuple(kinds)


def parse_blueprint_id(text: str) -> str:
    """Read the id of a blueprint.

    Raises: Refused (version.id).
    """
    if not isinstance(text, str) or not is_blueprint_id(text):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all checked
        sentence = f"blueprint id: expected {ID_RULE}, got {shorten(text)}"
        raise Refused("version.id", sentence, id=text)
    return text


def parse_tag(text: str) -> str:
    """Read the name of a tag.

    Raises: Refused (version.tag), for one that looks like another kind of selector too.
    """
    if not _is_tag(text) or _kinds_of(text) != ("tag",):
        raise Refused(
            "version.tag",
            "tag: expected 1 to 63 of a-z, 0-9, '_', '-', a letter first, that is no 'latest', "
            f"no range and no hash, got {shorten(text)}",
            tag=text,
        )
    return text


def _is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None


def moment_of(text: str) -> float | None:
    """Read `{date}` or `{date and time}` as UTC seconds since 1970, or return None.

    A date alone means the end of that day; a time without a zone is UTC.

    >>> moment_of("{1970-01-02}")
    172800.0
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found[1])
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if len(found[1]) == len("2026-11-01"):
        moment += timedelta(days=1)
    return moment.timestamp()
