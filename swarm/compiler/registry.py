"""Which factory makes workers of which kind.

The host registers its own; other distributions add theirs as entry points of the group
`swarm.workers` (name = kind, value = a factory or a class of one). They are loaded when
their kind is first asked for, and one that cannot be loaded harms nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from swarm.errors import Refused
from swarm.ports.worker import WorkerFactory

__all__ = ("GROUP", "Registry")

GROUP = "swarm.workers"


class Registry:
    """Worker factories by kind."""

    def __init__(self, factories: Iterable[WorkerFactory] = (), *, plugins: bool = True) -> None:
        self._factories: dict[str, WorkerFactory] = {}
        self._plugins: dict[str, EntryPoint] | None = None if plugins else {}
        self._failures: dict[str, str] = {}
        for factory in factories:
            self.register(factory)

    def register(self, factory: WorkerFactory) -> None:
        """Add a factory; it hides an entry point of the same kind.

        Raises: Refused (kind.taken), when one of that kind was registered before.
        """
        if factory.kind in self._factories:
            raise Refused(
                "kind.taken",
                f"expected a new kind of worker, got {factory.kind!r} again",
                kind=factory.kind,
            )
        self._factories[factory.kind] = factory

    def get(self, kind: str) -> WorkerFactory | None:
        """Return the factory of a kind, or None; `failure` tells if it could not be loaded."""
        found = self._factories.get(kind)
        if found is None and kind in self._found():
            found = self._load(kind)
        return found

    def failure(self, kind: str) -> str | None:
        """Return why the entry point of a kind could not be loaded."""
        return self._failures.get(kind)

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds an agent may have, sorted, without loading any."""
        return tuple(sorted({*self._factories, *self._found()}))

    def _found(self) -> dict[str, EntryPoint]:
        if self._plugins is None:
            self._plugins = {point.name: point for point in entry_points(group=GROUP)}
        return self._plugins

    def _load(self, kind: str) -> WorkerFactory | None:
        point = self._found()[kind]
        try:
            loaded: Any = point.load()
            factory: WorkerFactory = loaded() if isinstance(loaded, type) else loaded
            if factory.kind != kind:
                raise TypeError(f"its kind is {factory.kind!r}")
        except Exception as e:  # noqa: BLE001  # a stranger's code may raise anything
            self._failures[kind] = f"{point.value}: {type(e).__name__}: {e}"
            del self._found()[kind]
            return None
        self._factories[kind] = factory
        return factory
