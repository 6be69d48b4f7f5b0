"""What is known of orders that are not on the desk: those that were, and those that will be.

A host that was started anew asks again for what it had not written down; who had the order
may be there before it does, and say what he has, with the order's token as the proof. That
lies here until the host asks. Of orders that are over it is known who answered. Both are
bounded; what lies here longest goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from swarm.operators.frames import Part
from swarm.ports.operators import Ending

__all__ = ("Shelf",)

# Of one order; there are few that hand over more.
_MOST_PARTS = 256


class Shelf:
    """Answers and parts that came early, and who answered what is over; *most* of each."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._endings: OrderedDict[str, tuple[Ending, str]] = OrderedDict()
        self._parts: OrderedDict[str, dict[str, Part]] = OrderedDict()
        self._past: OrderedDict[str, str] = OrderedDict()

    # -- what is to come ---------------------------------------------------------------

    def lay_ending(self, key: str, ending: Ending, subject: str) -> None:
        """Keep an answer for whoever will ask."""
        self._endings[key] = (ending, subject)
        self._bound(self._endings)

    def lay_part(self, part: Part) -> bool:
        """Keep a part of an answer; return whether there was room."""
        parts = self._parts.setdefault(part.key, {})
        if part.name not in parts and len(parts) >= _MOST_PARTS:
            return False
        parts[part.name] = part
        self._bound(self._parts)
        return True

    def take_parts(self, key: str) -> list[Part]:
        """Hand over the parts of an order that is asked for now."""
        return list(self._parts.pop(key, {}).values())

    def take_ending(self, key: str) -> tuple[Ending, str] | None:
        """Hand over the answer to an order that is asked for now, and whose it is."""
        return self._endings.pop(key, None)

    # -- what was ----------------------------------------------------------------------

    def note_over(self, key: str, subject: str = "") -> None:
        """Note that an order is over: answered by somebody, or taken back."""
        self._past[key] = subject
        self._bound(self._past)

    def is_over(self, key: str) -> bool:
        """Say whether an order was here, and is over."""
        return key in self._past

    def answered(self, key: str, subject: str) -> bool:
        """Say whether it is over with the answer of *subject*."""
        return self._past.get(key) == subject

    def _bound(self, kept: OrderedDict[str, Any]) -> None:
        while len(kept) > self._most:
            kept.popitem(last=False)
