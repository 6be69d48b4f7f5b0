"""The versions of blueprints as the bearer of a token sees them.

A guest hands in documents, and names versions: a path would be one of the host's machine,
and none of his business. What he changes is written down in the name of his token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeAlias

from swarm.blueprint.difference import Difference
from swarm.errors import Refused
from swarm.host.blueprints import Blueprints, Bump, Registered
from swarm.ports.versions import Contents, Entry

if TYPE_CHECKING:
    # What judges tokens leans on a large library.
    from swarm.core.capability.guard import Pass

__all__ = ("GuestBlueprints",)

_Act: TypeAlias = Callable[[str], AbstractAsyncContextManager["Pass"]]


class GuestBlueprints:
    """What a host offers of its versions; each method raises Denied, and what the host's does."""

    def __init__(self, act: _Act, versions: Blueprints) -> None:
        self._act = act
        self._versions = versions

    # -- reading -----------------------------------------------------------------------

    async def find(self, selector: str) -> Entry:
        """Return the entry that `id` or `id@selector` means."""
        async with self._act("blueprint.read"):
            return await self._versions.find(selector)

    async def list(self) -> Sequence[Entry]:
        """Return the newest entry of each blueprint, by id."""
        async with self._act("blueprint.read"):
            return await self._versions.list()

    async def log(
        self, blueprint: str, *, limit: int = 50, before: int | None = None
    ) -> Sequence[Entry]:
        """Return entries, the newest first, those with a number below *before*."""
        async with self._act("blueprint.read"):
            return await self._versions.log(blueprint, limit=limit, before=before)

    async def read(self, selector: str) -> Contents:
        """Return the document and the files of a version."""
        async with self._act("blueprint.read"):
            return await self._versions.read(selector)

    async def tags(self, blueprint: str) -> Mapping[str, Entry]:
        """Return what each tag of a blueprint points at."""
        async with self._act("blueprint.read"):
            return await self._versions.tags(blueprint)

    async def diff(self, old: str, new: str) -> Difference:
        """Compare two versions."""
        async with self._act("blueprint.read"):
            return await self._versions.diff(old, new)

    # -- writing -----------------------------------------------------------------------

    async def register(
        self,
        document: Mapping[str, Any],
        *,
        reason: str = "",
        bump: Bump = "patch",
        label: str | None = None,
        expected: str | None = None,
    ) -> Registered:
        """Put a document behind the newest entry of its history.

        Raises: Denied; Refused (capability.path), for anything but a document; as
        `Blueprints.register`.
        """
        async with self._act("blueprint.register") as passed:
            if not isinstance(document, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all checked
                said = f"register: expected a document of a guest, got {type(document).__name__}"
                raise Refused("capability.path", said)
            return await self._versions.register(
                document,
                author=passed.decision.actor,
                reason=reason,
                bump=bump,
                label=label,
                expected=expected,
            )

    async def patch(
        self,
        selector: str,
        operations: Sequence[Mapping[str, Any]],
        *,
        reason: str = "",
        bump: Bump = "patch",
    ) -> Registered:
        """Change a version's document by RFC 6902 operations, as a new entry."""
        async with self._act("blueprint.register") as passed:
            author = passed.decision.actor
            return await self._versions.patch(
                selector, operations, author=author, reason=reason, bump=bump
            )

    async def rollback(self, selector: str, *, reason: str = "") -> Registered:
        """Put an older version at the head of the history again, as a new entry."""
        async with self._act("blueprint.rollback") as passed:
            author = passed.decision.actor
            return await self._versions.rollback(selector, author=author, reason=reason)

    async def tag(self, selector: str, tag: str) -> Entry:
        """Let *tag* point at the version that is meant."""
        async with self._act("blueprint.tag"):
            return await self._versions.tag(selector, tag)

    async def untag(self, blueprint: str, tag: str) -> None:
        """Remove a tag."""
        async with self._act("blueprint.tag"):
            await self._versions.untag(blueprint, tag)
