"""Every port in memory, for the tests of whoever builds on this, and for our own."""

from __future__ import annotations

from swarm.host.parts import Parts
from swarm.stores.audit import MemoryAudit
from swarm.stores.memory import MemoryJournal
from swarm.testing.agents import ScriptedWorker, scripted_blueprint
from swarm.testing.cast import Real, Scripted
from swarm.testing.clock import FakeClock
from swarm.testing.ids import CountedIds
from swarm.testing.layers import RecordedLink, built_layer, call_through
from swarm.testing.operators import FakeOperators
from swarm.testing.proposers import ScriptedProposer
from swarm.testing.rehearsal import Rehearsal, Rehearsed

__all__ = (
    "CountedIds",
    "FakeClock",
    "FakeOperators",
    "MemoryAudit",
    "MemoryJournal",
    "Parts",
    "Real",
    "RecordedLink",
    "Rehearsal",
    "Rehearsed",
    "Scripted",
    "ScriptedProposer",
    "ScriptedWorker",
    "built_layer",
    "call_through",
    "scripted_blueprint",
)
