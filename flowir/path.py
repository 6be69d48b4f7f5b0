"""Paths: where a value stands in the context (flow-ir.md §2).

Parses, prints, reads. Writing shares structure and is the machine's: `flowir.store`.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from flowir.errors import FlowError, Malformed, Problem, shorten
from flowir.records import dataclass

__all__ = ("ROOT", "Path", "format_path", "missing", "parse_path", "read")

Segment = str | int

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOTTED = re.compile(r"[^\s.\[\]\"'$@]+")
_INDEX = re.compile(r"-?(?:0|[1-9][0-9]*)\]")
_VARIABLE = re.compile(r"@([A-Za-z_][A-Za-z0-9_]*)")
# RFC 9535: either quote, with JSON's escapes and the quote in use.
_QUOTED = re.compile(
    r"""\[(?:"((?:[^"\\\x00-\x1f]|\\.)*)"|'((?:[^'\\\x00-\x1f]|\\.)*)')\]""", re.DOTALL
)
_INDEX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path: `segments` below `root`.

    Shape: `root` is None for the context, or the name of a bound variable; a segment is
    a member's name or an index from zero (negative: from the end).
    """

    segments: tuple[Segment, ...]
    root: str | None = None

    def __str__(self) -> str:
        return format_path(self)


ROOT = Path(())


def parse_path(text: str, *, at: str = "") -> Path:
    """Parse a path as documents write it.

    >>> parse_path("$.files[0]['a b']").segments
    ('files', 0, 'a b')

    Raises: Malformed, naming the column.
    Source: flow-ir.md §2; quoting after RFC 9535.
    """
    try:
        return _parse(text)
    except _Bad as bad:
        message = f"expected a path, got {shorten(text)}: {bad.why} at column {bad.column}"
        raise Malformed([Problem("malformed", at, message, bad.hint)]) from None


class _Bad(Exception):
    def __init__(self, why: str, column: int, hint: str | None = None) -> None:
        self.why = why
        self.column = column + 1
        self.hint = hint


@lru_cache(maxsize=4096)
def _parse(text: str) -> Path:
    root, i = _parse_root(text)
    segments: list[Segment] = []
    while i < len(text):
        segment, i = _parse_segment(text, i)
        segments.append(segment)
    return Path(tuple(segments), root)


def _parse_root(text: str) -> tuple[str | None, int]:
    if text.startswith("$"):
        return None, 1
    if text.startswith("ctx") and text[3:4] in ("", ".", "["):
        return None, 3
    if found := _VARIABLE.match(text):
        return found[1], found.end()
    raise _Bad("it does not begin with '$', 'ctx' or '@name'", 0, "write $.name")


def _parse_segment(text: str, i: int) -> tuple[Segment, int]:
    if text[i] == ".":
        found = _DOTTED.match(text, i + 1)
        if found is None:
            raise _Bad("a name is missing", i + 1, 'write .name or ["any key"]')
        return found[0], found.end()
    if text[i] != "[":
        raise _Bad(f"unexpected {text[i]!r}", i, 'write .name, [0] or ["any key"]')
    if found := _INDEX.match(text, i + 1):
        digits = found[0][:-1]
        if digits == "-0" or len(digits) > _INDEX_DIGITS:
            raise _Bad(f"{digits[:20]} is not an index", i + 1)
        return int(digits), found.end()
    found = _QUOTED.match(text, i)
    if found is None:
        raise _Bad("expected an index or a quoted key, closed by ']'", i + 1)
    key = _unquote(found, i)
    if not key:
        raise _Bad("a key may not be empty", i + 1)
    return key, found.end()


def _unquote(found: re.Match[str], i: int) -> str:
    if found[1] is not None:
        body = found[1].replace("\\'", "\\x")  # \' belongs to the other quote: refused
    else:
        body = found[2].replace('\\"', "\\x")
        body = re.sub(r"\\(.)|\"", _requote, body, flags=re.DOTALL)
    try:
        key: str = json.loads(f'"{body}"')
        key.encode()
    except ValueError:
        raise _Bad("the quoted key has a wrong escape", i + 1) from None
    return key


def _requote(found: re.Match[str]) -> str:
    if found[0] == '"':
        return '\\"'
    return "'" if found[1] == "'" else found[0]


def format_path(path: Path, root: str = "$") -> str:
    """Print a path in its canonical form, which parses back to it.

    >>> format_path(parse_path("ctx['a'].b[-1]"))
    '$.a.b[-1]'
    """
    parts = [root if path.root is None else f"@{path.root}"]
    for segment in path.segments:
        if isinstance(segment, int):
            parts.append(f"[{segment}]")
        elif _NAME.fullmatch(segment):
            parts.append(f".{segment}")
        else:
            parts.append(f"[{json.dumps(segment, ensure_ascii=False)}]")
    return "".join(parts)


def read(value: Any, path: Path) -> Any:
    """Read what stands at *path* below *value* (a path's root is the caller's affair).

    Raises: FlowError path.missing, naming the first step that is not there.
    """
    here = value
    for depth, segment in enumerate(path.segments):
        if isinstance(segment, str):
            if type(here) is not dict or segment not in here:
                raise missing(path, depth, here)
            here = here[segment]
        else:
            if type(here) is not list or not -len(here) <= segment < len(here):
                raise missing(path, depth, here)
            here = here[segment]
    return here


def missing(path: Path, depth: int, here: Any) -> FlowError:
    """Build the error of a read that finds nothing: *here* has no segment *depth*."""
    segment = path.segments[depth]
    above = format_path(Path(path.segments[:depth], path.root))
    if isinstance(segment, str):
        got = "which has no such member" if type(here) is dict else f"got {shorten(here)}"
        wanted = f"a member {shorten(segment)} of {above}"
    else:
        got = f"which has {len(here)} items" if type(here) is list else f"got {shorten(here)}"
        wanted = f"an item [{segment}] of {above}"
    return FlowError("path.missing", f"expected {wanted}, {got}", path=format_path(path))
