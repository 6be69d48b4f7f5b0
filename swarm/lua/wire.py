"""What the host says to a child that runs scripts; KEEP IN STEP with child.py."""

from __future__ import annotations

from struct import Struct

from swarm.lua.frames import pack
from swarm.lua.sandbox import Task
from swarm.ports.scripts import Script, ScriptLimits

__all__ = ("NUMBERS", "answer_frame", "author_frame", "syntax_frame", "text", "worker_frame")

# Seed, instructions, bytes of memory, seconds.
NUMBERS = Struct("<qqqd")


def syntax_frame(script: Script) -> bytes:
    """Ask whether a script compiles."""
    return pack(b"syntax", _bytes(script.name), _bytes(script.source))


def worker_frame(script: Script, task: Task, limits: ScriptLimits) -> bytes:
    """Ask for the first turn of a worker script."""
    return pack(
        b"worker",
        _bytes(script.name),
        _bytes(script.source),
        task.input,
        task.facts,
        ",".join(task.functions).encode(),
        _numbers(task.seed, limits),
    )


def author_frame(script: Script, limits: ScriptLimits) -> bytes:
    """Ask for the first turn of a blueprint script."""
    return pack(b"author", _bytes(script.name), _bytes(script.source), _numbers(0, limits))


def answer_frame(payload: bytes, *, ok: bool) -> bytes:
    """Give a script what it asked for, or why not, and ask for its next turn."""
    return pack(b"answer" if ok else b"refuse", payload)


def text(field: bytes) -> str:
    """Read a name or a source; what is odd in it is as odd as it was."""
    return field.decode(errors="surrogatepass")


def _bytes(written: str) -> bytes:
    return written.encode(errors="surrogatepass")


def _numbers(seed: int, limits: ScriptLimits) -> bytes:
    return NUMBERS.pack(seed, limits.instructions, limits.memory_bytes, limits.seconds)
