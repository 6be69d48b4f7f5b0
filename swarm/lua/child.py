"""The child that runs scripts: reads frames on 0, writes frames on 1, has nothing else.

    host → child   syntax  name source
                   worker  name source input facts functions numbers
                   author  name source numbers
                   answer  payload | refuse payload      to what the script asked for
    child → host   ready   measures that hold             once, first
                   done payload | failed payload | refused message | ask payload name

One script at a time, turn by turn. The host ends a child that does not come back, and the
child ends when the host's end of the pipe does. It imports no more than it must, in all its
modules: it is waited for, and `typing` or `enum` take a tenth of its start each.
"""

from __future__ import annotations

import gc
import os

from swarm.lua.frames import FrameBuffer, pack
from swarm.lua.jail import lock_down
from swarm.lua.sandbox import Turn
from swarm.lua.seat import Seat

__all__ = ("main",)

# What a pipe holds: the room for more would be asked of the system at every read, which takes
# longer than to read a short frame.
_CHUNK = 64 * 1024


def main() -> None:
    """Serve until the host closes the pipe."""
    seat = Seat()
    gc.enable()
    _say(pack(b"ready", " ".join(lock_down()).encode()))
    buffer = FrameBuffer()
    try:
        while True:
            seat = _serve(seat, _hear(buffer))
    except EOFError:
        return


def _serve(seat: Seat, fields: list[bytes]) -> Seat:
    kind, *rest = fields
    if kind == b"syntax":
        name, source = rest
        message = seat.syntax(name, source)
        _say(pack(b"done") if message is None else pack(b"refused", message))
        return seat
    if kind == b"author" and not seat.fresh:
        seat = Seat()
    turn = _turn(seat, kind, rest)
    _say(pack(turn.kind.encode(), turn.payload, turn.name.encode()))
    # A runtime for the next script, while the host reads of this one's end.
    return seat if seat.reusable or turn.kind == "ask" else Seat()


def _turn(seat: Seat, kind: bytes, rest: list[bytes]) -> Turn:
    if kind in (b"answer", b"refuse"):
        return seat.answer(rest[0], ok=kind == b"answer")
    return seat.author(*rest) if kind == b"author" else seat.worker(*rest)


def _hear(buffer: FrameBuffer) -> list[bytes]:
    while True:
        fields = buffer.take()
        if fields is not None:
            return fields
        buffer.feed(os.read(0, _CHUNK))


def _say(frame: bytes) -> None:
    left = memoryview(frame)
    while left:
        left = left[os.write(1, left) :]
