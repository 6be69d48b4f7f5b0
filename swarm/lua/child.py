"""The child that runs scripts: reads frames on 0, writes frames on 1, has nothing else.

    host → child   syntax  name source
                   worker  name source input facts functions numbers
                   author  name source numbers
                   answer  payload | refuse payload      to what the script asked for
    child → host   ready   measures that hold             once, first
                   done payload | failed payload | refused message | ask payload name

One script at a time, turn by turn. The host ends a child that does not come back, and the
child ends when the host's end of the pipe does. It imports no more than it must: it is
waited for.
"""

from __future__ import annotations

import os

from swarm.lua.frames import FrameBuffer, pack
from swarm.lua.jail import lock_down
from swarm.lua.sandbox import Task, Turn
from swarm.lua.seat import Seat
from swarm.lua.wire import NUMBERS, text
from swarm.ports.scripts import Script, ScriptLimits

__all__ = ("main",)

# What a pipe holds: the room for more would be asked of the system at every read, which takes
# longer than to read a short frame.
_CHUNK = 64 * 1024


def main() -> None:
    """Serve until the host closes the pipe."""
    seat = Seat()
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
        message = seat.syntax(Script(text(rest[0]), text(rest[1])))
        _say(pack(b"done") if message is None else pack(b"refused", message.encode()))
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
    script = Script(text(rest[0]), text(rest[1]))
    seed, instructions, memory, seconds = NUMBERS.unpack(rest[-1])
    limits = ScriptLimits(instructions, memory, seconds)
    if kind == b"author":
        return seat.author(script, limits)
    functions = tuple(text(rest[4]).split(",")) if rest[4] else ()
    return seat.worker(script, Task(rest[2], rest[3], functions, seed), limits)


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
