"""Where a host keeps its state: a folder, the parts themselves, or a store of another kind.

    swarm.Host("state")               a folder
    swarm.Host(Parts.in_memory())     parts that somebody put together
    swarm.Host("ledger://db/main")    the store that a distribution offers under `ledger`

A kind of store is an entry point of the group `swarm.stores`, named like its scheme. It is
looked up when the host is made, and opened when the host is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from flowir.records import dataclass
from swarm.blueprint.words import suggest
from swarm.compiler.plugins import Plugins
from swarm.errors import Refused
from swarm.host.parts import Parts, SystemClock
from swarm.ports.clock import Clock
from swarm.stores.sqlite import Durability

__all__ = ("GROUP", "Place", "StoreKind")

GROUP: Final = "swarm.stores"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)


class StoreKind(Protocol):
    """A kind of store that a distribution offers."""

    scheme: str

    def open(self, address: str) -> Parts:
        """Open the store at *address*, which is what stands behind `scheme://`.

        The host calls `close` of the parts when it is done with them.
        Raises: Refused (store.locked, store.unavailable …).
        """
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where the state of one host is; `parts` are there where they were handed in."""

    open: Callable[[], Parts]
    folder: Path | None = None
    parts: Parts | None = None

    @property
    def clock(self) -> Clock:
        """The clock, before the place is open."""
        return SystemClock() if self.parts is None else self.parts.clock

    @classmethod
    def of(cls, store: str | os.PathLike[str] | Parts, durability: Durability) -> Place:
        """Read what a host was made with.

        Raises: Refused (store.kind).
        """
        if isinstance(store, Parts):
            return cls(lambda: store, parts=store)
        named = _SCHEME.fullmatch(store) if isinstance(store, str) else None
        if named is None:
            return cls(lambda: Parts.at(store, durability), Path(store))
        kind, address = _kind(named[1]), named[2]
        return cls(lambda: kind.open(address))


def _kind(scheme: str) -> StoreKind:
    kinds = Plugins[StoreKind](GROUP, lambda kind: kind.scheme)
    found = kinds.get(scheme)
    if found is not None:
        return found
    why = kinds.failure(scheme)
    if why is not None:
        raise Refused("store.kind", f"store: {scheme}:// cannot be loaded: {why}")
    near = suggest(scheme, kinds.names())
    hint = f" — {near}" if near else ""
    said = "store: expected a folder, or a kind of store that is installed"
    raise Refused("store.kind", f"{said}, got '{scheme}://'{hint}")
