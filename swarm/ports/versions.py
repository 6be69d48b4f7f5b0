"""What the host needs of a place that keeps the versions of blueprints.

Two words are kept apart. A **version** is what a blueprint says: the SHA-256 of its
canonical document. An **entry** is a line of its history: who put which version there,
when, why, and under which label. Going back to an older version adds an entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from flowir.records import dataclass
from swarm.blueprint.selector import Selector

__all__ = ("Contents", "Draft", "Entry", "Fault", "File", "Note", "VersionStore")


@dataclass(frozen=True, slots=True)
class File:
    """A file of a version; `executable` says whether its processes may start it."""

    body: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Contents:
    """What a version holds.

    Shape: `files` are the author's own by their paths below the blueprint's folder, with
    `/`; `source` is the one among them that the document was built from; `generated`
    says that it was printed from the document instead of written. `lines` maps places in
    the document to a file and a line of it, from 1.
    """

    document: Mapping[str, Any]
    files: Mapping[str, File]
    source: str
    generated: bool = False
    lines: Mapping[str, tuple[str, int | None]] = field(
        default_factory=dict[str, tuple[str, "int | None"]]
    )


@dataclass(frozen=True, slots=True)
class Note:
    """What is said of an entry: by whom, why, when (UTC seconds since 1970)."""

    author: str
    reason: str
    written_s: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a blueprint's history.

    Shape: `number` counts from 1; `digest` is the version; `label` three numbers; `commit`
    names the entry itself; `back_to` is the label that a rollback went back to.
    """

    blueprint: str
    number: int
    digest: str
    label: str
    commit: str
    note: Note
    back_to: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What was put aside although it has problems; the newest of a blueprint counts."""

    blueprint: str
    files: Mapping[str, File]
    source: str
    note: Note
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of a store that is not as it was written."""

    blueprint: str
    message: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


class VersionStore(Protocol):
    """Keeps the histories of blueprints; many writers, in many processes.

    Everything may raise SwarmError (version.damaged), where what is read is not what was
    written, and Refused (version.busy), where another process holds the store too long.
    """

    async def add(
        self,
        contents: Contents,
        note: Note,
        *,
        label: str,
        expected: str | None,
        back_to: str | None = None,
    ) -> Entry:
        """Put an entry behind the one whose commit is *expected* (None: the first).

        When it returns the entry will survive a loss of power.
        Raises: Refused (version.conflict) with `values["head"]`, the newest entry, where
        that is another; Refused (version.label), for a label that is not above all others;
        Refused (version.too_large, version.path).
        """
        ...

    async def find(self, selector: Selector) -> Entry:
        """Return the entry that is meant.

        Raises: Refused (version.unknown, version.ambiguous).
        """
        ...

    async def head(self, blueprint: str) -> Entry | None:
        """Return the newest entry, if there is a history."""
        ...

    async def read(self, entry: Entry) -> Contents:
        """Return what an entry holds, compared with what it says of itself."""
        ...

    async def log(
        self, blueprint: str, *, limit: int = 50, before: int | None = None
    ) -> Sequence[Entry]:
        """Return entries, the newest first, those with a number below *before*.

        Raises: Refused (version.unknown).
        """
        ...

    async def blueprints(self) -> Sequence[Entry]:
        """Return the newest entry of each blueprint, by id."""
        ...

    async def tags(self, blueprint: str) -> Mapping[str, Entry]:
        """Return what each tag of a blueprint points at."""
        ...

    async def tag(self, blueprint: str, tag: str, entry: Entry | None) -> None:
        """Move a tag to an entry, or remove it.

        Raises: Refused (version.tag, version.unknown).
        """
        ...

    async def put_draft(self, draft: Draft) -> None:
        """Keep a draft in the place of the one before."""
        ...

    async def draft(self, blueprint: str) -> Draft | None:
        """Return the draft of a blueprint, if there is one."""
        ...

    async def verify(self, *, repair: bool = False) -> Sequence[Fault]:
        """Return all that is damaged; with *repair* mend what can be, and return the rest."""
        ...

    async def collect(self, *, dry_run: bool = False) -> int:
        """Remove what nothing points at and pack the rest; return how many bytes that frees."""
        ...

    def close(self) -> None:
        """Let go of what is open; may be called again."""
        ...
