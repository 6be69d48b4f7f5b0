"""Messages that arrive once and in order, over lines that break: one end of it.

    post ──→ numbered, kept until acknowledged ──→ line ──→ take: known, early, or next

Each side numbers what it says, from one. Who receives a number again drops it; one that
overtook others waits for them; `ack` tells up to where everything is there. A line that
breaks loses nothing: what is not acknowledged is sent again on the next, and also on the
same line after a while. Pure: times are handed in, texts are handed out.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from flowir.records import dataclass
from swarm.operators.faults import PeerFault
from swarm.operators.frames import Frame, Numbered, numbered_text
from swarm.operators.limits import Bounds

__all__ = ("Channel",)


# What goes before the rest of a message: three numbers and their names.
_HEAD = 100


@dataclass(slots=True)
class _Kept:
    n: int
    body: bytes
    sent_s: float


class Channel:
    """What one side has said and heard in a session.

    Shape: `sent` is the last number given out, `received` the one up to which everything
    is there; `epoch` counts the lines of the session; `owes` whether something that was
    received has not been acknowledged; `duplicates` counts what came again.
    """

    __slots__ = ("_bounds", "_bytes", "_early", "_kept", "duplicates", "epoch", "owes",
                 "received", "sent")  # fmt: skip

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._kept: deque[_Kept] = deque()
        self._early: dict[int, Numbered | None] | None = None
        self._bytes = 0
        self.sent = 0
        self.received = 0
        self.epoch = 0
        self.owes = False
        self.duplicates = 0

    @property
    def unacked(self) -> int:
        """How many messages the other side has not acknowledged."""
        return len(self._kept)

    @property
    def full(self) -> bool:
        """Whether more is kept than may be: the other side is too slow."""
        return len(self._kept) > self._bounds.unacked or self._bytes > self._bounds.unacked_bytes

    # -- saying ------------------------------------------------------------------------

    def post(self, frame: Numbered, now_s: float) -> str:
        """Number a message and keep it; return its text.

        Raises: PeerFault (operator.too_large): it was not said, and has no number.
        """
        body = numbered_text(frame)
        if len(body) + _HEAD > self._bounds.message_bytes:
            said = f"{frame.kind}: expected at most {self._bounds.message_bytes} bytes, got more"
            raise PeerFault("operator.too_large", said)
        self.sent += 1
        kept = _Kept(self.sent, body, now_s)
        self._kept.append(kept)
        self._bytes += len(kept.body)
        return self._text(kept)

    def again(self, now_s: float) -> list[str]:
        """Return what was sent a while ago and is not acknowledged."""
        due_s = now_s - self._bounds.redeliver_s
        late = [kept for kept in self._kept if kept.sent_s <= due_s]
        for kept in late:
            kept.sent_s = now_s
        return [self._text(kept) for kept in late]

    def attach(self, epoch: int, last: int, now_s: float) -> list[str]:
        """Begin with a new line; return what the other side has not got.

        Raises: PeerFault (operator.malformed), for numbers that were never given out.
        """
        self.acknowledge(last)
        self.epoch = epoch
        for kept in self._kept:
            kept.sent_s = now_s
        return [self._text(kept) for kept in self._kept]

    def stamp(self, frame: Frame) -> Frame:
        """Return an unnumbered message with what it says of the session; pays what is owed."""
        self.owes = False
        return frame.model_copy(update={"ack": self.received, "epoch": self.epoch})

    def _text(self, kept: _Kept) -> str:
        self.owes = False
        head = f'{{"n":{kept.n},"ack":{self.received},"epoch":{self.epoch},'
        return head + kept.body[1:].decode()

    # -- hearing -----------------------------------------------------------------------

    def acknowledge(self, ack: int) -> None:
        """Let go of what the other side has.

        Raises: PeerFault (operator.malformed), for a number that was never given out.
        """
        if ack > self.sent:
            said = f"message.ack: expected at most {self.sent}, got {ack}"
            raise PeerFault("operator.malformed", said)
        while self._kept and self._kept[0].n <= ack:
            self._bytes -= len(self._kept.popleft().body)

    def take(self, frame: Frame) -> list[Frame]:
        """Take a message in; return those whose turn it is now, none for one that is known.

        Raises: PeerFault (operator.malformed).
        """
        self.acknowledge(frame.ack)
        if not isinstance(frame, Numbered):
            return [frame]
        if frame.n is None:
            said = f"message.n: expected a number for {frame.kind!r}, got none"
            raise PeerFault("operator.malformed", said)
        return self._turn(frame.n, frame)

    def skip(self, n: int) -> list[Frame]:
        """Count a message as received that nobody could read."""
        return self._turn(n, None)

    def _turn(self, n: int, frame: Numbered | None) -> list[Any]:
        self.owes = True
        if n <= self.received or (self._early is not None and n in self._early):
            self.duplicates += 1
            return []
        if n > self.received + self._bounds.early:
            said = f"message.n: expected {self.received + 1}, got {n}"
            raise PeerFault("operator.malformed", said)
        if n != self.received + 1:
            self._early = self._early or {}
            self._early[n] = frame
            return []
        self.received = n
        ready = [] if frame is None else [frame]
        while self._early:
            if self.received + 1 not in self._early:
                break
            self.received += 1
            early = self._early.pop(self.received)
            if early is not None:
                ready.append(early)
        return ready
