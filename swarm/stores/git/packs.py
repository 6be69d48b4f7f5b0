"""Packs that are looked at before libgit2 maps them into memory.

libgit2 reads a pack that was cut short for ever, and an index with a flipped bit can end
the process. So before a repository is opened each index is compared with its own
checksum, and the end of each pack with what its index says; a flipped bit inside a pack
is an error of libgit2's, like any other.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from swarm.errors import SwarmError

__all__ = ("Packs",)

_HASH: Final = 20


class _Look(NamedTuple):
    """What a file was like when it was looked at."""

    size: int
    changed_ns: int
    inode: int


class Packs:
    """The packs in *folder*; each is looked at once as long as it does not change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sound: dict[str, tuple[_Look, _Look]] = {}

    def check(self) -> None:
        """Refuse packs that are not as they were written.

        Raises: SwarmError (version.damaged).
        """
        for index, why in self._damaged():
            raise SwarmError(
                "version.damaged",
                f"{index.with_suffix('.pack')}: {why} — swarm blueprint verify --repair, or "
                "fetch the blueprints again from a copy",
                pack=index.stem,
            )

    def set_aside(self) -> list[str]:
        """Take the indexes of damaged packs away, so that nobody reads them; return what is wrong.

        A pack stays where it is: `git unpack-objects -r` reads what is left in it.
        """
        told: list[str] = []
        for index, why in self._damaged():
            index.rename(index.with_suffix(".idx.damaged"))
            told.append(f"{index.stem}.pack: {why}")
        return told

    def _damaged(self) -> list[tuple[Path, str]]:
        found: list[tuple[Path, str]] = []
        for index in sorted(self._folder.glob("*.idx")):
            try:
                looks = (_look(index), _look(index.with_suffix(".pack")))
                why = None if self._sound.get(index.name) == looks else _damage(index)
            except FileNotFoundError:
                # Another process removes or makes them: nobody reads one without the other.
                continue
            if why is None:
                self._sound[index.name] = looks
            else:
                found.append((index, why))
        return found


def _look(path: Path) -> _Look:
    status = path.stat()
    return _Look(status.st_size, status.st_mtime_ns, status.st_ino)


def _damage(index: Path) -> str | None:
    """Return what is wrong with an index or its pack, or None."""
    body = index.read_bytes()
    own = hashlib.sha1(body[:-_HASH], usedforsecurity=False).digest()
    if len(body) < 2 * _HASH or own != body[-_HASH:]:
        return "its index is not what was written"
    with index.with_suffix(".pack").open("rb") as pack:
        pack.seek(0, 2)
        pack.seek(max(pack.tell() - _HASH, 0))
        if pack.read() != body[-2 * _HASH : -_HASH]:
            return "it is cut short, or not the pack of its index"
    return None
