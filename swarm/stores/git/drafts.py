"""Drafts as trees: the author's files, and `draft.json` with what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from flowir.door import parse_json
from flowir.errors import FlowError
from swarm.ports.versions import Draft, File, Note

__all__ = ("draft_files", "draft_of")

_FACTS: Final = "draft.json"


def draft_files(draft: Draft) -> dict[str, tuple[bytes, bool]]:
    """Return the files of a draft's tree; the author's stand in a folder of their own."""
    facts = {
        "id": draft.blueprint,
        "author": draft.note.author,
        "reason": draft.note.reason,
        "written_s": draft.note.written_s,
        "source": draft.source,
        "problems": list(draft.problems),
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False).encode()
    files = {f"files/{path}": (one.body, one.executable) for path, one in draft.files.items()}
    return {**files, _FACTS: (text, False)}


def draft_of(blueprint: str, files: Mapping[str, File]) -> Draft:
    """Read a draft back.

    Raises: ValueError, KeyError, where it is not what was written.
    """
    try:
        facts = parse_json(files[_FACTS].body)
    except FlowError as error:
        raise ValueError(f"{_FACTS}: {error}") from None
    note = Note(facts["author"], facts["reason"], facts["written_s"])
    own = {p.removeprefix("files/"): one for p, one in files.items() if p.startswith("files/")}
    return Draft(blueprint, own, facts["source"], note, tuple(facts["problems"]))
