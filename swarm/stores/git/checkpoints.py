"""Checkpoints of the audit log as commits under a ref: pushed where others can see them.

A commit for each checkpoint, its parent the one before; only objects and the ref are
written, no work tree and no index, so this may be the repository that somebody works in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pygit2
from anyio import to_thread
from pygit2.enums import FileMode

from swarm.errors import Refused

__all__ = ("REF", "GitSink", "published")

REF: Final = "refs/audit/checkpoints"
_FILE = "checkpoint.json"


class GitSink:
    """Commits each checkpoint in the repository at *path*, under *ref*.

    Raises: Refused (audit.repository).
    """

    def __init__(self, path: str | os.PathLike[str], ref: str = REF) -> None:
        self._path = Path(path)
        self._ref = ref
        _opened(self._path).free()

    async def put(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep a checkpoint.

        Raises: Refused (audit.repository); pygit2.GitError.
        """
        await to_thread.run_sync(self.write, checkpoint)

    async def latest(self) -> Mapping[str, Any] | None:
        """Return the last checkpoint that was committed.

        Raises: Refused (audit.repository); ValueError.
        """

        def read() -> Mapping[str, Any] | None:
            found = next(published(self._path, self._ref), None)
            return None if found is None else json.loads(found)

        return await to_thread.run_sync(read)

    def write(self, checkpoint: Mapping[str, Any]) -> None:
        """Do so, and return when it is there."""
        git = _opened(self._path)
        try:
            text = json.dumps(checkpoint, indent=1, sort_keys=True).encode() + b"\n"
            builder = git.TreeBuilder()
            builder.insert(_FILE, git.create_blob(text), FileMode.BLOB)
            said = f"checkpoint: {checkpoint['size']} entries\n"
            who = pygit2.Signature("swarm", "audit@swarm.invalid", checkpoint["at_s"], 0)
            tip = git.references.get(self._ref)
            parents = [] if tip is None else [tip.target]
            git.create_commit(self._ref, who, who, said, builder.write(), parents)
        finally:
            git.free()


def published(path: str | os.PathLike[str], ref: str = REF) -> Iterator[bytes]:
    """Return what was committed under *ref*, the latest first; nothing says that it holds.

    Raises: Refused (audit.repository).
    """
    git = _opened(Path(path))
    try:
        tip = git.references.get(ref)
        commit = None if tip is None else tip.peel(pygit2.Commit)
        while commit is not None:
            yield git[commit.tree[_FILE].id].peel(pygit2.Blob).data
            commit = commit.parents[0] if commit.parents else None
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise _refused(Path(path), str(error)) from error
    finally:
        git.free()


def _opened(path: Path) -> pygit2.Repository:
    try:
        return pygit2.Repository(str(path))
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise _refused(path, str(error)) from error


def _refused(path: Path, got: str) -> Refused:
    said = f"{path}: expected a git repository with checkpoints that can be read, got: {got}"
    return Refused("audit.repository", said)
