"""`Idempotency-Key`: a write that is sent again is answered again, and not done again.

What starts a run takes its run's id from the key, so that holds over restarts as well.
Other writes are remembered in memory: an answer for each token and key, for as long as
there is room. A key that comes back with another request is refused.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import field
from hashlib import sha256
from typing import Any

import anyio

from flowir.records import dataclass
from swarm.errors import Refused

__all__ = ("HEADER", "Answered", "Memory", "checked_key", "run_id_of")

HEADER = b"idempotency-key"
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def checked_key(raw: bytes) -> str:
    """Read a key.

    Raises: Refused (http.malformed).
    """
    text = raw.decode("latin-1")
    if _KEY.fullmatch(text) is None:
        said = "Idempotency-Key: expected 1 to 128 visible ASCII characters, got something else"
        raise Refused("http.malformed", said)
    return text


def run_id_of(subject: str, key: str) -> str:
    """Return the id of the run that *subject* starts under a key."""
    digest = sha256(b"\0".join((subject.encode(), key.encode()))).hexdigest()
    return f"i_{digest[:40]}"


@dataclass(slots=True)
class Answered:
    """What was answered, or is going to be."""

    request: bytes
    done: anyio.Event = field(default_factory=anyio.Event)
    messages: list[Any] = field(default_factory=list[Any])


class Memory:
    """The latest answers, at most *most* of them, and none that is larger than *largest*."""

    def __init__(self, most: int = 1000, largest: int = 64 * 1024) -> None:
        self._most = most
        self.largest = largest
        self._known: OrderedDict[bytes, Answered] = OrderedDict()

    def find(self, name: bytes, request: bytes) -> tuple[Answered, bool]:
        """Return the entry of a key, and whether it is new: then the caller answers.

        Raises: Refused (http.idempotency), where the key was used for something else.
        """
        entry = self._known.get(name)
        if entry is None:
            entry = self._known[name] = Answered(request)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
            return entry, True
        self._known.move_to_end(name)
        if entry.request != request:
            said = "Idempotency-Key: expected the request that it was used for, got another"
            raise Refused("http.idempotency", said)
        return entry, False

    def forget(self, name: bytes) -> None:
        """Let go of a key: what came of it is not to be told again."""
        entry = self._known.pop(name, None)
        if entry is not None:
            entry.done.set()
