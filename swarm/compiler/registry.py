"""Which factory makes workers of which kind, and which layers there are.

The host registers its own; other distributions add workers as entry points of the group
`swarm.workers` (name = kind, value = a factory or a class of one). They are loaded when
their kind is first asked for, and one that cannot be loaded harms nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable

from swarm.compiler.layering import Layering
from swarm.compiler.plugins import Plugins
from swarm.errors import Refused
from swarm.ports.worker import WorkerFactory

__all__ = ("GROUP", "Registry")

GROUP = "swarm.workers"


class Registry:
    """Worker factories by kind; `layers` are what may stand around them (None: nothing)."""

    def __init__(
        self,
        factories: Iterable[WorkerFactory] = (),
        *,
        layers: Layering | None = None,
        plugins: bool = True,
    ) -> None:
        self.layers = layers
        self._plugins = Plugins[WorkerFactory](GROUP if plugins else None, lambda f: f.kind)
        for factory in factories:
            self.register(factory)

    def register(self, factory: WorkerFactory) -> None:
        """Add a factory; it hides an entry point of the same kind.

        Raises: Refused (kind.taken), when one of that kind was registered before.
        """
        if not self._plugins.add(factory):
            raise Refused(
                "kind.taken",
                f"expected a new kind of worker, got {factory.kind!r} again",
                kind=factory.kind,
            )

    def get(self, kind: str) -> WorkerFactory | None:
        """Return the factory of a kind, or None; `failure` tells if it could not be loaded."""
        return self._plugins.get(kind)

    def failure(self, kind: str) -> str | None:
        """Return why the entry point of a kind could not be loaded."""
        return self._plugins.failure(kind)

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds an agent may have, sorted, without loading any."""
        return self._plugins.names()
