"""One Lua runtime with nothing of Python in it: the only module that knows lupa.

What crosses is strings and numbers. Values are written by `swarm.lua.convert`, put into
the runtime while it has no memory limit, and read back as bytes: lupa calls Lua's API
unprotected, so an allocation that fails while it converts an argument ends the process.

What is contained here: every loop in Lua (instructions, and the processor's time between
two looks), memory, recursion, escapes. What is not: one call into a C pattern loop cannot be
interrupted, nor can the wall clock be enforced while Lua runs; that takes a child process.
"""

from __future__ import annotations

import os.path
from functools import cache
from typing import Any, NamedTuple, NoReturn

# lupa ships no types, and the stub that pyright bundles lacks half of the constructor.
from lupa import lua54  # pyright: ignore[reportMissingTypeStubs]

from swarm.ports.scripts import Script, ScriptLimits

__all__ = ("LIST_PART", "LUA_VERSION", "Sandbox", "Task", "Turn")

LUA_VERSION = ".".join(map(str, lua54.LUA_VERSION))
# Under this key the list part of an author's table leaves, where it has names too.
LIST_PART = "__list"
# The order matters: each is handed what those before it returned.
_PARTS = ("convert", "meter", "library", "closures", "sandbox")


class Task(NamedTuple):
    """What a worker script is given: `input` and `facts` as `convert.encode` writes them.

    Shape: `functions` are the names of the host's functions, `seed` that of the script's
    random numbers.
    """

    input: bytes
    facts: bytes
    functions: tuple[str, ...]
    seed: int


class Turn(NamedTuple):
    """Where a script stands: `kind` is "done", "ask", "failed" or "refused".

    Shape: `payload` is the encoded result, the encoded arguments of the host function
    *name*, the encoded failure, or the compiler's message.
    """

    kind: str
    name: str
    payload: bytes


class Sandbox:
    """A Lua runtime that runs one script at a time, turn by turn.

    A script is begun with `worker` or `author`, then driven by `step` and `answer` until
    a turn is "done" or "failed"; `leave` makes room for the next. After a failure by
    budget or memory, or when a script is given up midway, throw the whole sandbox away.
    """

    def __init__(self) -> None:
        self._lua = _runtime()
        self._memory_bytes = 0
        parts: list[Any] = []
        for name in _PARTS:
            parts.append(self._lua.execute(_source(name), *parts, name=b"=[sandbox]", mode="t"))
        calls = parts[-1]
        self._worker: Any = calls[b"worker"]
        self._author: Any = calls[b"author"]
        self._answer: Any = calls[b"answer"]
        self._step: Any = calls[b"step"]
        self._failure: Any = calls[b"failure"]
        self._syntax: Any = calls[b"syntax"]
        self._leave: Any = calls[b"leave"]

    @property
    def memory_used(self) -> int:
        """Bytes that this runtime holds, garbage included."""
        return int(self._lua.get_memory_used())

    def syntax(self, script: Script) -> str | None:
        """Compile without running; return Lua's message, which begins with the place."""
        return _text(self._syntax(script.name.encode(), _bytes(script.source)))

    def worker(self, script: Script, task: Task, limits: ScriptLimits) -> str | None:
        """Begin a worker script; return why it cannot be compiled, if so."""
        self._memory_bytes = limits.memory_bytes
        return _text(
            self._worker(
                script.name.encode(),
                _bytes(script.source),
                task.input,
                task.facts,
                ",".join(task.functions).encode(),
                task.seed,
                limits.instructions,
                limits.seconds,
            )
        )

    def author(self, script: Script, limits: ScriptLimits) -> str | None:
        """Begin a blueprint script; return why it cannot be compiled, if so."""
        self._memory_bytes = limits.memory_bytes
        return _text(
            self._author(
                script.name.encode(),
                _bytes(script.source),
                limits.instructions,
                limits.seconds,
                LIST_PART.encode(),
            )
        )

    def step(self) -> Turn:
        """Run until the script asks for something, ends or fails."""
        return self._go(None)

    def answer(self, payload: bytes, *, ok: bool) -> Turn:
        """Give what it asked for, or (a string, or an object with a code) why not."""
        self._answer(payload)
        return self._go(ok)

    def leave(self) -> None:
        """Forget the script that ended."""
        self._leave()

    def _go(self, answered: bool | None) -> Turn:
        # A limit of zero means none: see the module's docstring for why it is lifted.
        self._lua.set_max_memory(self._memory_bytes)
        try:
            turn = self._step(answered)
            starved = False
        except lua54.LuaMemoryError:
            turn, starved = b"failed", True
        finally:
            self._lua.set_max_memory(0)
        if turn == b"failed":
            return Turn("failed", "", self._failure(starved))
        if turn[0] == b"ask":
            return Turn("ask", turn[1].decode(), turn[2])
        return Turn("done", "", turn[1])


def _runtime() -> Any:
    lua: Any = lua54.LuaRuntime(  # pyright: ignore[reportUnknownVariableType]
        encoding=None,  # pyright: ignore[reportCallIssue, reportArgumentType]
        unpack_returned_tuples=False,
        register_eval=False,  # pyright: ignore[reportCallIssue]
        register_builtins=False,  # pyright: ignore[reportCallIssue]
        attribute_filter=_deny,  # pyright: ignore[reportCallIssue]
        max_memory=0,  # pyright: ignore[reportCallIssue]
    )
    lua.execute(b"python, package.loaded.python = nil, nil", mode="t")
    return lua


def _deny(_object: object, _name: object, _setting: bool) -> NoReturn:
    raise AttributeError("denied")


@cache
def _source(part: str) -> bytes:
    # Neither by importlib.resources nor by pathlib: a child is waited for while it imports.
    with open(os.path.join(os.path.dirname(__file__), f"{part}.lua"), "rb") as file:
        return file.read()


def _bytes(source: str) -> bytes:
    # A lone surrogate would be an odd byte in a string or comment: Lua refuses it there
    # or the conversion out does; never a Python error here.
    return source.encode(errors="surrogatepass")


def _text(message: bytes | None) -> str | None:
    return None if message is None else message.decode()
