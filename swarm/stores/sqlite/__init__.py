"""A store in one SQLite file.

    store ── journal ── group ── writer ──┐
          │          └─ collection ───────┤
          └─ reader ──────────────────────┴── connection ── schema

`open_store` is the door.
"""

from __future__ import annotations

from swarm.stores.sqlite.connection import Durability
from swarm.stores.sqlite.store import SqliteStore, open_store

__all__ = ("Durability", "SqliteStore", "open_store")
