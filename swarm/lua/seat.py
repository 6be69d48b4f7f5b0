"""One script from its first turn to its last, in a runtime of this process.

What runs here is the same in the host and in a child process; who talks to it differs.
"""

from __future__ import annotations

from swarm.lua.sandbox import Sandbox, Turn

__all__ = ("Seat",)

# A runtime that holds more after a script is not worth keeping.
_KEPT_BYTES = 8 * 1024 * 1024


class Seat:
    """A runtime, and whether it may serve another script.

    It may after a worker script that ended well and left little behind. One that failed,
    was stopped, starved or given up midway goes with all that is in it; a blueprint
    script wants a `fresh` one and leaves none.
    """

    def __init__(self) -> None:
        self._sandbox = Sandbox()
        self._author = False
        self.fresh = True
        self.reusable = True

    def syntax(self, name: bytes, source: bytes) -> bytes | None:
        """Compile without running; return Lua's message, which begins with the place."""
        return self._sandbox.syntax(name, source)

    def worker(self, *fields: bytes) -> Turn:
        """Run a worker script, told of as `wire.worker_fields`, until its first turn ends."""
        self.fresh = False
        return self._begun(self._sandbox.worker(*fields))

    def author(self, *fields: bytes) -> Turn:
        """Run a blueprint script, told of as `wire.author_fields`, until its first turn ends."""
        self.fresh, self._author = False, True
        return self._begun(self._sandbox.author(*fields))

    def answer(self, payload: bytes, *, ok: bool) -> Turn:
        """Give the script what it asked for, or why not, and run its next turn."""
        return self._settled(self._sandbox.answer(payload, ok=ok))

    def _begun(self, message: bytes | None) -> Turn:
        self.reusable = False
        if message is not None:
            return Turn("refused", message)
        return self._settled(self._sandbox.step())

    def _settled(self, turn: Turn) -> Turn:
        if turn.kind == "done" and not self._author:
            self._sandbox.leave()
            self.reusable = self._sandbox.memory_used <= _KEPT_BYTES
        return turn
