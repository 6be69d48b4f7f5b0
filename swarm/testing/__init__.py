"""Every port in memory, for the tests of whoever builds on this, and for our own."""

from __future__ import annotations

from swarm.host.parts import Parts
from swarm.stores.memory import MemoryJournal
from swarm.testing.agents import ScriptedWorker, scripted_blueprint
from swarm.testing.clock import FakeClock
from swarm.testing.ids import CountedIds

__all__ = (
    "CountedIds",
    "FakeClock",
    "MemoryJournal",
    "Parts",
    "ScriptedWorker",
    "scripted_blueprint",
)
