"""The text of a blueprint's file, or the sentence why there is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from flowir.limits import DEFAULT_LIMITS
from swarm.blueprint.words import allowed, near
from swarm.errors import BlueprintInvalid, Place, Problem

__all__ = ("SUFFIXES", "is_file_name", "is_text", "read_source")

SUFFIXES = (".json", ".lua", ".yaml", ".yml")


def is_file_name(text: str) -> bool:
    """Tell the name of a file from that of a version of a store (`review@1.2`)."""
    return "/" in text or text.endswith(SUFFIXES)


def read_source(file: str) -> str:
    """Read a blueprint's file as text.

    Raises: BlueprintInvalid (file.suffix, file.missing, file.unreadable, file.special,
    file.too_large, file.binary, file.encoding).
    """
    if not file.endswith(SUFFIXES):
        _refuse("file.suffix", file, f"expected a file ending in {allowed(SUFFIXES)}, got {file!r}")
    if not is_text(os.path.abspath(file)):  # as it is journaled, for whoever resumes
        _refuse("file.encoding", file, f"expected a path in UTF-8, got {os.path.abspath(file)!a}")
    data = _read(file)
    if len(data) > DEFAULT_LIMITS.document_bytes:
        limit = DEFAULT_LIMITS.document_bytes
        _refuse("file.too_large", file, f"expected at most {limit} bytes, got more")
    if b"\0" in data:
        _refuse("file.binary", file, "expected text, got a binary file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        sentence = f"expected UTF-8 text, got the byte 0x{data[e.start]:02x}"
        _refuse("file.encoding", file, sentence, line=line)


def is_text(path: str) -> bool:
    """Tell whether a path is text: bytes that are no UTF-8 are lone surrogates in Python."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(file: str) -> bytes:
    """Read one byte more than is allowed, of a regular file only: a pipe may never end."""
    path = Path(file)
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            what = "a folder" if path.is_dir() else "something else"
            _refuse("file.special", file, f"expected a file, got {what}")
        with path.open("rb") as opened:
            return opened.read(DEFAULT_LIMITS.document_bytes + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        _refuse("file.missing", file, "expected a file, got nothing of that name", _neighbour(file))
    except OSError as e:
        _refuse("file.unreadable", file, f"cannot be read: {(e.strerror or str(e)).lower()}")


def _neighbour(file: str) -> str | None:
    """Return the hint that another file of the folder was meant."""
    path = Path(file)
    try:
        there = {o.stem: o.name for o in path.parent.iterdir() if o.suffix in SUFFIXES}
    except (OSError, ValueError):
        return None
    meant = near(path.stem, there)
    return None if meant is None else f"did you mean {str(path.with_name(there[meant]))!r}?"


def _refuse(
    code: str, file: str, sentence: str, hint: str | None = None, *, line: int | None = None
) -> NoReturn:
    raise BlueprintInvalid([Problem(code, sentence, Place(file, line), hint=hint)]) from None
