"""Letters to whoever has a store open: a folder that other processes put requests into.

    inbox/new/      written elsewhere and moved in: whole or not there
    inbox/taken/    claimed by the owner, who acts on it
    inbox/done/     what came of it, until whoever asked has read it

A letter is in one of the folders at a time, and moving it is what claims or withdraws it: so
it is acted on once, or not at all. What an owner had claimed when it died the next one claims
again, so acts must bear being done twice.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from uuid_utils import uuid7

from flowir.door import parse_json
from flowir.errors import FlowError
from swarm.stores.present import present

__all__ = ("Inbox",)

_MAX: Final = 4 * 1024 * 1024
# A receipt that nobody came for.
_STALE_S: Final = 3600.0


class Inbox:
    """The letters of the store in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "inbox"
        self._new = self._folder / "new"
        self._taken = self._folder / "taken"
        self._done = self._folder / "done"

    # -- who asks ----------------------------------------------------------------------

    def put(self, letter: Mapping[str, Any]) -> str:
        """Put a letter in; return its name."""
        name = f"{uuid7().hex}.json"
        _write(self._new / name, letter)
        return name

    def withdraw(self, name: str) -> bool:
        """Take a letter back; False: it was claimed already."""
        try:
            (self._new / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def receipt(self, name: str) -> Mapping[str, Any] | None:
        """Return what came of a letter, once, if anything has."""
        try:
            text = (self._done / name).read_bytes()
        except FileNotFoundError:
            return None
        (self._done / name).unlink(missing_ok=True)
        return parse_json(text)

    # -- who has the store -------------------------------------------------------------

    def open(self) -> None:
        """Claim again what an owner before had claimed; forget old receipts."""
        for left in _names(self._taken):
            os.replace(self._taken / left, self._new / left)
        old = time.time() - _STALE_S
        for place, status in present(self._done / name for name in _names(self._done)):
            if status.st_mtime < old:
                place.unlink(missing_ok=True)

    def take(self) -> tuple[str, Any] | None:
        """Claim the oldest letter, with its contents; None in the place of what is no JSON."""
        for name in _names(self._new):
            self._taken.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # withdrawn meanwhile
                os.replace(self._new / name, self._taken / name)
                return name, _read(self._taken / name)
        return None

    def answer(self, name: str, receipt: Mapping[str, Any]) -> None:
        """Say what came of a claimed letter, and let go of it."""
        _write(self._done / name, receipt)
        (self._taken / name).unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except FileNotFoundError:
        return []


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return parse_json(file.read(_MAX + 1), max_bytes=_MAX)
    except FlowError:
        return None


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    with half.open("wb") as file:
        file.write(json.dumps(value, ensure_ascii=False).encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(half, path)
