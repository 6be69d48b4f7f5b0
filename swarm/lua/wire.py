"""What a place that runs scripts is told of one, as bytes: KEEP IN STEP with child.py.

The same fields go to a runtime of this process, and over a pipe to a child's.
"""

from __future__ import annotations

from typing import NamedTuple

from swarm.lua.frames import NUMBERS
from swarm.ports.scripts import Script, ScriptLimits

__all__ = ("Task", "author_fields", "syntax_fields", "worker_fields")


class Task(NamedTuple):
    """What a worker script is given: `input` and `facts` as `convert.encode` writes them.

    Shape: `functions` are the names of the host's functions, `seed` that of the script's
    random numbers.
    """

    input: bytes
    facts: bytes
    functions: tuple[str, ...]
    seed: int


def syntax_fields(script: Script) -> tuple[bytes, bytes]:
    """Ask whether a script compiles: its name and its source."""
    return script.name.encode(), _bytes(script.source)


def worker_fields(
    script: Script, task: Task, limits: ScriptLimits
) -> tuple[bytes, bytes, bytes, bytes, bytes, bytes]:
    """Ask for the first turn of a worker script."""
    functions, numbers = ",".join(task.functions).encode(), _numbers(task.seed, limits)
    return *syntax_fields(script), task.input, task.facts, functions, numbers


def author_fields(script: Script, limits: ScriptLimits) -> tuple[bytes, bytes, bytes]:
    """Ask for the first turn of a blueprint script."""
    return *syntax_fields(script), _numbers(0, limits)


def _bytes(source: str) -> bytes:
    # A lone surrogate would be an odd byte in a string or comment: Lua refuses it there
    # or the conversion out does; never a Python error here.
    return source.encode(errors="surrogatepass")


def _numbers(seed: int, limits: ScriptLimits) -> bytes:
    return NUMBERS.pack(seed, limits.instructions, limits.memory_bytes, limits.seconds)
