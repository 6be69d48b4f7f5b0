"""What every store of versions holds to: names of files, labels, who came first."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from swarm.blueprint.ranges import format_label, parse_label
from swarm.blueprint.selector import Selector
from swarm.errors import Refused
from swarm.ports.versions import Contents, Entry, Note

__all__ = (
    "DOCUMENT",
    "MAX_FILES",
    "META",
    "ambiguous",
    "check_expected",
    "check_files",
    "check_label",
    "plain_note",
    "unknown",
)

DOCUMENT: Final = "blueprint.json"
META: Final = "meta.json"
_MAX_FILE: Final = 4 * 1024 * 1024
MAX_FILES: Final = 1000
_MAX_TOTAL: Final = 16 * 1024 * 1024
_MAX_PATH: Final = 500
_PART: Final = re.compile(r"(?!\.{1,2}$)[^/\\\0-\x1f\x7f]{1,200}")
# What git refuses below a tree, or reads as its own.
_GITS: Final = re.compile(r"(?i)\.git.*|git~[0-9]+")
_MAX_AUTHOR: Final = 100
_MAX_REASON: Final = 500


def check_files(contents: Contents) -> None:
    """Refuse files that a version cannot hold.

    Raises: Refused (version.path, version.too_large).
    """
    files = contents.files
    folders = {parent for path in files for parent in _parents(path)}
    for path, file in files.items():
        if path in folders or not _is_plain(path):
            raise Refused(
                "version.path",
                f"{path!r}: expected a plain path below the blueprint's folder, other than "
                f"{DOCUMENT} and {META}",
                path=path,
            )
        _check_size(path, len(file.body), _MAX_FILE, "bytes")
    _check_size("files", len(files), MAX_FILES, "of them")
    total = sum(len(file.body) for file in files.values())
    _check_size("files", total, _MAX_TOTAL, "bytes in all")


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    plain = all(_PART.fullmatch(part) and not _GITS.fullmatch(part) for part in parts)
    return plain and path not in (DOCUMENT, META) and len(path) <= _MAX_PATH and path.isprintable()


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def _check_size(place: str, got: int, most: int, unit: str) -> None:
    if got > most:
        sentence = f"{place}: expected at most {most} {unit}, got {got}"
        raise Refused("version.too_large", sentence, at=place)


def check_label(label: str, head: Entry | None) -> None:
    """Refuse a label that is not above the newest one.

    Raises: Refused (version.label).
    """
    chosen = parse_label(label)
    if head is not None and chosen <= parse_label(head.label):
        raise Refused(
            "version.label",
            f"label: expected one above {head.label}, the newest of {head.blueprint}, got "
            f"{format_label(chosen)}",
            label=label,
            newest=head.label,
        )


def check_expected(
    blueprint: str, expected: str | None, head: Entry | None, begun: Entry | None
) -> None:
    """Refuse to write behind another entry than the newest; *begun* is the expected one.

    Raises: Refused (version.conflict).
    """
    found = None if head is None else head.commit
    if found == expected:
        return
    name = begun.label if begun is not None else f"entry {(expected or '')[:12]}"
    before = "no history" if expected is None else f"{name} to be the newest entry"
    now = "none" if head is None else f"{head.label} by {head.note.author}"
    raise Refused(
        "version.conflict",
        f"{blueprint}: expected {before}, got {now} — somebody wrote meanwhile; look at what "
        "came between, and try again on top of it",
        blueprint=blueprint,
        expected=expected,
        head=head,
    )


def unknown(selector: Selector) -> Refused:
    """Say that nothing is meant by a selector (version.unknown)."""
    if selector.text == "latest":
        sentence = f"{selector.blueprint}: expected a blueprint of this store, got none of that id"
    else:
        sentence = f"{selector.blueprint}: expected a version, got none for {selector.text!r}"
    return Refused("version.unknown", sentence, selector=str(selector))


def ambiguous(selector: Selector, digests: list[str]) -> Refused:
    """Say that several versions begin with the digits of a selector (version.ambiguous)."""
    shown = ", ".join(digest[:16] for digest in digests[:3])
    return Refused(
        "version.ambiguous",
        f"{selector}: expected the beginning of one hash, got that of {shown} — use more digits",
        selector=str(selector),
    )


def plain_note(note: Note) -> Note:
    """Return a note without control characters and marks of direction, cut to its limits."""
    author, reason = _plain(note.author, _MAX_AUTHOR), _plain(note.reason, _MAX_REASON)
    return Note(author or "unknown", reason, note.written_s)


def _plain(text: str, most: int) -> str:
    cut = text[: 4 * most]
    kept = (letter if unicodedata.category(letter)[0] != "C" else " " for letter in cut)
    return " ".join("".join(kept).split())[:most]
