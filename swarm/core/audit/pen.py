"""The entries of what one actor does to steps, written without an object for each.

There are two for each step, and what they have in common is written once. What an entry
says, and in which order, is known to `AuditEntry` alone; a test holds both ways to write
one against each other.
"""

from __future__ import annotations

import json.encoder
from collections.abc import Callable
from typing import Any, Final

from pydantic_core import to_json

from swarm.core.audit.entries import LATEST_S, MOST_BYTES
from swarm.ports.audit import AuditEntry, WrittenEntry

__all__ = ("Pen",)

# As the canonical encoder writes a text; in C, where the interpreter has that.
_text: Final[Callable[[str], str]] = json.encoder.encode_basestring
# Stands where a value is to be: a text of JSON never has it.
_GAP: Final = "\0"
# More than a time, an attempt and two digests take.
_VALUES_BYTES: Final = 256


class Pen:
    """Writes that an actor begins to do something to a step, and that it is done.

    Shape: the bytes that `body_of` makes of the same entry; or the entry itself, where that
    is to look at it. What an answer came to (*gave*) is a digest of `digest_of`.
    Raises: UnicodeEncodeError, for a run or a step that is no text.
    """

    __slots__ = (
        "_ahead",
        "_begun",
        "_done",
        "_given",
        "_room",
        "_run",
        "_said",
        "_step",
        "_tail",
        "_where",
    )

    def __init__(self, actor: str, verb: str) -> None:
        self._said: Final = (actor, verb)
        begun = _around(actor=actor, verb=verb, decision="begun", output=None)
        done = _around(actor=actor, verb=verb, decision="done")
        one, two, three, *_ = begun
        self._begun: Final = (one, two, f'{three}"')
        one, two, three, four, *tail = done
        self._done: Final = (one, two, f'{three}"', f'"{four}"')
        # Both end alike, with the run and the step, and the second of an attempt's entries
        # mostly follows the first, and a step another of its run.
        self._tail: Final = tail
        # In letters, of up to four bytes each.
        self._room: Final = (MOST_BYTES - _VALUES_BYTES - len("".join(done).encode())) // 4
        self._run: str | None = None
        self._step: str | None = None
        self._ahead = ""
        self._where: str | None = None
        # The last that was looked at, and is a digest.
        self._given: str | None = None

    def begun(
        self, at_s: float, run: str, step: str, attempt: int, given: str
    ) -> WrittenEntry | AuditEntry:
        """Write that an attempt begins, on an input of this digest."""
        where = self._go(run, step)
        if where and 1.0 < at_s < LATEST_S and (given is self._given or self._knows(given)):
            one, two, three = self._begun
            return f"{one}{to_json(at_s).decode()}{two}{attempt}{three}{given}{where}".encode()
        return AuditEntry(at_s, *self._said, "begun", run, step, attempt, given)

    def done(
        self, at_s: float, run: str, step: str, attempt: int, given: str, gave: str
    ) -> WrittenEntry | AuditEntry:
        """Write that an attempt has ended, with an answer of this digest."""
        here = step is self._step and run is self._run
        where = self._where if here else self._go(run, step)
        if where and 1.0 < at_s < LATEST_S and (given is self._given or self._knows(given)):
            one, two, three, four = self._done
            at = to_json(at_s).decode()
            return f"{one}{at}{two}{attempt}{three}{given}{four}{gave}{where}".encode()
        return AuditEntry(at_s, *self._said, "done", run, step, attempt, given, gave)

    def _go(self, run: str, step: str) -> str | None:
        """Write where the next entries are of; nothing, where that may be too long."""
        before, between, behind = self._tail
        ahead = self._ahead if run is self._run else f'"{before}{_text(run)}{between}'
        where = f"{ahead}{_text(step)}{behind}"
        self._run, self._step, self._ahead = run, step, ahead
        self._where = where = where if len(where) <= self._room else None
        return where

    def _knows(self, given: str) -> bool:
        """Tell whether it may be written as it is: layers of others may say what they like."""
        # Of bytes this takes a tenth of the time.
        if len(given) != 64 or not given.isascii() or not given.encode().isalnum():
            return False
        self._given = given
        return True


def _around(**said: Any) -> list[str]:
    """Return the pieces of an entry that stand around what is not *said* of it.

    Shape: what is said to be None is left out, as is the detail.
    """
    said["detail"] = None
    members = [
        f'"{name}":{_text(said[name]) if name in said else _GAP}'
        for name in sorted(AuditEntry._fields)
        if said.get(name, "") is not None
    ]
    return f"{{{','.join(members)}}}".split(_GAP)
