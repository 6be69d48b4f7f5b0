"""What a version says of itself: `meta.json`, and the files of its tree.

blueprint.json   the canonical document, printed for readers; one document, one text
meta.json        the facts of the entry; nothing is ever read from a commit's message
…                the author's files as written, each with its digest in meta.json
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from flowir.door import parse_json
from flowir.errors import FlowError
from flowir.limits import DEFAULT_LIMITS
from flowir.records import dataclass
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.document import DOCUMENT_LIMITS
from swarm.blueprint.ranges import parse_label
from swarm.errors import SwarmError
from swarm.ports.versions import Contents, File, Note
from swarm.stores.version_rules import DOCUMENT, META, plain_note

__all__ = ("Facts", "damaged", "document_text", "message_of")

_FORM: Final = 1
_MAX_META: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of an entry, as `meta.json` holds them."""

    blueprint: str
    digest: str
    label: str
    parent: str | None
    note: Note
    source: str
    generated: bool
    back_to: str | None
    files: Mapping[str, str]
    lines: Mapping[str, tuple[str, int | None]]

    @classmethod
    def of(
        cls,
        contents: Contents,
        note: Note,
        *,
        label: str,
        parent: str | None,
        back_to: str | None,
    ) -> Facts:
        """Gather what a new entry says of itself."""
        document = contents.document
        return cls(
            document["id"],
            digest_of(document),
            label,
            parent,
            note,
            contents.source,
            contents.generated,
            back_to,
            {path: _digest(file.body) for path, file in contents.files.items()},
            contents.lines,
        )

    def to_text(self) -> bytes:
        """Write them down."""
        members = {
            "form": _FORM,
            "id": self.blueprint,
            "digest": self.digest,
            "label": self.label,
            "parent": self.parent,
            "author": self.note.author,
            "reason": self.note.reason,
            "written_s": self.note.written_s,
            "source": self.source,
            "generated": self.generated,
            "back_to": self.back_to,
            "files": self.files,
            "lines": {at: list(place) for at, place in self.lines.items()},
        }
        return _printed(members)

    @classmethod
    def from_text(cls, text: bytes) -> Facts:
        """Read them.

        Raises: ValueError, with what is wrong.
        """
        members = _parsed(META, text, _MAX_META)
        if not isinstance(members, dict) or members.get("form") != _FORM:
            raise ValueError(f"{META}: expected an object of form {_FORM}")
        try:
            said = (_text(members["author"]), _text(members["reason"]))
            note = Note(*said, float(members["written_s"]))
            return cls(
                _text(members["id"]),
                _hash(members["digest"]),
                _label(members["label"]),
                None if members["parent"] is None else _hash(members["parent"]),
                # Another swarm may have written it: it is shown to people.
                plain_note(note),
                _text(members["source"]),
                bool(members["generated"]),
                None if members["back_to"] is None else _label(members["back_to"]),
                {_text(path): _text(digest) for path, digest in members["files"].items()},
                {at: _line(place) for at, place in members["lines"].items()},
            )
        except (
            KeyError, TypeError, ValueError, AttributeError, OverflowError, SwarmError
        ) as error:  # fmt: skip
            raise ValueError(f"{META}: expected its members as written, got {error}") from None

    def tree(self, contents: Contents) -> dict[str, tuple[bytes, bool]]:
        """Return the files of the entry's tree."""
        files = {path: (file.body, file.executable) for path, file in contents.files.items()}
        own = {DOCUMENT: document_text(contents.document), META: self.to_text()}
        return {**files, **{name: (body, False) for name, body in own.items()}}

    def contents(self, tree: Mapping[str, tuple[bytes, bool]]) -> Contents:
        """Read a tree back, and compare it with the facts.

        Raises: ValueError, with what is wrong.
        """
        text = tree[DOCUMENT][0]
        document = _parsed(DOCUMENT, text, 2 * DEFAULT_LIMITS.document_bytes)
        if document_text(document) != text or digest_of(document) != self.digest:
            raise ValueError(f"{DOCUMENT}: expected the document of version {self.digest[:12]}")
        if document["id"] != self.blueprint:
            raise ValueError(f"{DOCUMENT}: expected the document of {self.blueprint!r}")
        files = {p: File(*one) for p, one in tree.items() if p not in (DOCUMENT, META)}
        found = {path: _digest(file.body) for path, file in files.items()}
        if found != dict(self.files):
            odd = sorted(set(found.items()) ^ set(self.files.items()))[0][0]
            raise ValueError(f"{odd}: expected the file that {META} speaks of")
        if self.source not in files:
            raise ValueError(f"{self.source}: expected the source of the document, got none")
        return Contents(document, files, self.source, self.generated, self.lines)


def document_text(document: Any) -> bytes:
    r"""Print a document for readers: sorted, indented, one text for one document.

    >>> document_text({"b": 1, "a": []})
    b'{\n  "a": [],\n  "b": 1\n}\n'
    """
    return _printed(document)


def message_of(facts: Facts) -> str:
    """Return what `git log` shows of an entry; nobody reads it back."""
    first = f"{facts.blueprint} {facts.label}"
    if facts.back_to is not None:
        first += f", back to {facts.back_to}"
    return f"{first}\n\n{facts.note.reason}\n" if facts.note.reason else f"{first}\n"


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _printed(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def _parsed(name: str, text: bytes, most: int) -> Any:
    try:
        return parse_json(text, limits=DOCUMENT_LIMITS, max_bytes=most)
    except FlowError as error:
        raise ValueError(f"{name}: {error}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _hash(value: Any) -> str:
    if not re.fullmatch("[0-9a-f]{64}", _text(value)):
        raise TypeError(f"{value!r} for a hash")
    return _text(value)


def _label(value: Any) -> str:
    parse_label(_text(value))
    return _text(value)


def _line(value: Any) -> tuple[str, int | None]:
    file, line = value
    if line is not None and type(line) is not int:
        raise TypeError(f"{line!r} for a line")
    return _text(file), line


def damaged(blueprint: str, commit: str, why: str) -> SwarmError:
    """Say that an entry is not what was written."""
    return SwarmError(
        "version.damaged",
        f"{blueprint}: entry {commit[:12]}: {why} — swarm blueprint verify --repair",
        blueprint=blueprint,
        commit=commit,
    )
