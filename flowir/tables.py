"""Parsing tables, worked out beforehand: beside each grammar stands what lark makes of it.

To work a table out takes 80 ms, to read it 4, and every program that parses one expression
would pay. What was worked out from another grammar, or by another lark, is not used.
`tests/flowir/test_tables.py` holds the files against the grammars, and says
how they are written anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias, cast

__all__ = ("Tables", "read_tables", "stamp_of", "tables_path", "text_of")

# What lark calls `data` and `memo`: dictionaries of plain values.
Tables: TypeAlias = dict[str, Any]

# Stands for an object whose keys are numbers.
_PAIRS = "\x01"


def tables_path(grammar: Path) -> Path:
    """Return where the tables of *grammar* are kept."""
    return grammar.with_suffix(".tables.json")


def stamp_of(grammar: Path, imports: Iterable[Path], *options: object) -> str:
    """Return the name of all that tables depend on, but for lark itself."""
    told = sha256(repr(options).encode())
    for path in (grammar, *imports):
        told.update(path.read_bytes())
    return told.hexdigest()


def read_tables(grammar: Path, stamp: str, lark: str) -> Tables | None:
    """Return the tables of *grammar*, if those that are kept are of this stamp and lark."""
    try:
        kept = json.loads(tables_path(grammar).read_text("utf-8"), object_hook=_object)
    except FileNotFoundError:
        return None
    return kept["tables"] if (kept["stamp"], kept["lark"]) == (stamp, lark) else None


def text_of(tables: Tables, stamp: str, lark: str) -> str:
    """Return *tables* as they are kept."""
    kept = {"lark": lark, "stamp": stamp, "tables": _plain(tables)}
    return json.dumps(kept, separators=(",", ":"), sort_keys=True) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast("dict[Any, Any]", value)
        plain = {key: _plain(member) for key, member in members.items()}
        if all(isinstance(key, str) for key in plain):
            return plain
        return {_PAIRS: [[key, member] for key, member in plain.items()]}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Iterable[Any]", value)]
    return value


def _object(members: dict[str, Any]) -> Any:
    pairs = members.get(_PAIRS)
    return members if pairs is None else dict(pairs)
