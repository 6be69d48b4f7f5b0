"""One Lua runtime with nothing of Python in it: the only module that knows lupa.

What crosses is strings and numbers. Values are written by `swarm.lua.convert`, put into
the runtime while it has no memory limit, and read back as bytes: lupa calls Lua's API
unprotected, so an allocation that fails while it converts an argument ends the process.

What is contained here: every loop in Lua (instructions, and the processor's time between
two looks), memory, recursion, patterns that go on for ever, escapes. What is not: one
instruction on strings of many megabytes cannot be interrupted, nor can the wall clock be
enforced while Lua runs; that takes a child process.
"""

from __future__ import annotations

import os.path

# lupa ships no types, and the stub that pyright bundles lacks half of the constructor.
import lupa.lua54 as lua54  # pyright: ignore[reportMissingTypeStubs]

from swarm.lua.frames import NUMBERS

# A child imports this, and is waited for: `typing` alone takes longer than all of it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ("LIST_PART", "LUA_VERSION", "Sandbox", "Turn")

LUA_VERSION = ".".join(map(str, lua54.LUA_VERSION))
# Under this key the list part of an author's table leaves, where it has names too.
LIST_PART = "__list"
# The order matters: each is handed a table of what those before it returned.
_PARTS = ("convert", "meter", "patterns", "matching", "library", "closures", "sandbox")


class Turn:
    """Where a script stands: `kind` is "done", "ask", "failed" or "refused".

    Shape: `payload` is the encoded result, the encoded arguments of the host function
    *name*, the encoded failure, or the compiler's message.
    """

    __slots__ = ("kind", "name", "payload")

    def __init__(self, kind: str, payload: bytes, name: str = "") -> None:
        self.kind = kind
        self.payload = payload
        self.name = name


class Sandbox:
    """A Lua runtime that runs one script at a time, turn by turn.

    A script is begun with `worker` or `author`, told of as `swarm.lua.wire` writes it, then
    driven by `step` and `answer` until a turn is "done" or "failed"; `leave` makes room for
    the next. After a failure by budget or memory, or when a script is given up midway, throw
    the whole sandbox away.
    """

    def __init__(self) -> None:
        self._lua = _runtime()
        parts: Any = self._lua.table()
        for name in _PARTS:
            source = _source(name)
            parts[name.encode()] = self._lua.execute(source, parts, name=b"=[sandbox]", mode="t")
        calls = parts[b"sandbox"]
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

    def syntax(self, name: bytes, source: bytes) -> bytes | None:
        """Compile without running; return Lua's message, which begins with the place."""
        return self._syntax(name, source)

    def worker(
        self,
        name: bytes,
        source: bytes,
        input: bytes,
        facts: bytes,
        functions: bytes,
        numbers: bytes,
    ) -> bytes | None:
        """Begin a worker script; return why it cannot be compiled, if so."""
        seed, instructions, self._memory_bytes, seconds = NUMBERS.unpack(numbers)
        return self._worker(name, source, input, facts, functions, seed, instructions, seconds)

    def author(self, name: bytes, source: bytes, numbers: bytes) -> bytes | None:
        """Begin a blueprint script; return why it cannot be compiled, if so."""
        _, instructions, self._memory_bytes, seconds = NUMBERS.unpack(numbers)
        return self._author(name, source, instructions, seconds, LIST_PART.encode())

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
            return Turn("failed", self._failure(starved))
        if turn[0] == b"ask":
            return Turn("ask", turn[2], turn[1].decode())
        return Turn("done", turn[1])


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


_SOURCES: dict[str, bytes] = {}


def _source(part: str) -> bytes:
    # Neither by importlib.resources nor by pathlib: a child is waited for while it imports.
    if part not in _SOURCES:
        with open(os.path.join(os.path.dirname(__file__), f"{part}.lua"), "rb") as file:
            _SOURCES[part] = file.read()
    return _SOURCES[part]
