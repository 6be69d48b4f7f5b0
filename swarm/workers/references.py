"""References on their way to a program: kept as they are, put inline, or written as files.

    keep     {"report": {"$ref": "sha256:…", "size": 9, "type": "text"}}   the default
    inline   {"report": "the text"}
    files    {"report": {"$ref": …, "size": 9, "type": "text", "path": "/tmp/swarm-…/….txt"}}

The files are the attempt's own copies, and are gone when it is over.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

from anyio import to_thread
from pydantic_core import to_json

from flowir.errors import WorkerFailure
from swarm.blueprint.shapes import is_array, is_object
from swarm.core.outputs import Reference, reference_of
from swarm.ports.worker import StepLink

__all__ = ("REFS", "handed")

REFS: Final = ("keep", "inline", "files")

_SUFFIXES: Final = {"text": ".txt", "json": ".json", "bytes": ".bin"}

_Put: TypeAlias = Callable[[Any, Reference], Awaitable[Any]]


@asynccontextmanager
async def handed(input: Any, link: StepLink, refs: str, *, is_text: bool) -> AsyncGenerator[Any]:
    """Prepare a step's input for a program; what was made for it is gone at the end.

    Shape: *is_text*: the program reads plain text, so a reference that is the whole input
    is the text, or the bytes, that it stands for.
    Raises: flowir.WorkerFailure (output.*), for what cannot be read or does not fit.
    """
    if is_text and reference_of(input) is not None:
        yield _plain(await link.read(input))
    elif refs == "inline":
        yield await _replaced(input, _Inline(link))
    elif refs == "files":
        with TemporaryDirectory(prefix="swarm-") as folder:
            yield await _replaced(input, _Files(link, Path(folder)))
    else:
        yield input


def _plain(value: Any) -> str | bytes:
    return value if isinstance(value, (str, bytes)) else to_json(value).decode()


async def _replaced(value: Any, put: _Put) -> Any:
    """Return a copy of *value* with what *put* says instead of each reference."""
    if is_array(value):
        return [await _replaced(item, put) for item in value]
    if not is_object(value):
        return value
    reference = reference_of(value)
    if reference is not None:
        return await put(value, reference)
    return {name: await _replaced(member, put) for name, member in value.items()}


class _Inline:
    """Puts the value instead."""

    def __init__(self, link: StepLink) -> None:
        self._link = link

    async def __call__(self, value: Any, reference: Reference) -> Any:
        read = await self._link.read(value)
        if isinstance(read, bytes):
            said = "expected text or JSON, which JSON can hold, got a reference to bytes"
            raise WorkerFailure("output.type", f'{said} — refs = "files" hands them over', True)
        return read


class _Files:
    """Writes a file, and says where."""

    def __init__(self, link: StepLink, folder: Path) -> None:
        self._link = link
        self._folder = folder

    async def __call__(self, value: Any, reference: Reference) -> Any:
        path = self._folder / f"{reference.digest}{_SUFFIXES[reference.type]}"
        body = _plain(await self._link.read(value))
        await to_thread.run_sync(
            path.write_bytes, body if isinstance(body, bytes) else body.encode()
        )
        return {**value, "path": str(path)}
