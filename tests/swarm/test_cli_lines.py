"""Lines of stdin: each once, in order, however they come."""

from __future__ import annotations

import os
from collections.abc import Generator

import anyio
import pytest

from swarm.cli.lines import Lines

pytestmark = pytest.mark.anyio


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Generator[int]:
    reads, writes = os.pipe()
    with os.fdopen(reads) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield writes


async def test_what_was_read_too_much_is_kept_for_the_next(pipe: int) -> None:
    lines = Lines()
    os.write(pipe, "one\n  zwö \n\nthr".encode())
    assert [await lines.next() for _ in range(3)] == ["one", "zwö", ""]
    os.write(pipe, b"ee\nlast")
    os.close(pipe)
    assert [await lines.next() for _ in range(3)] == ["three", "last", None]


async def test_who_gives_up_waiting_loses_nothing(pipe: int) -> None:
    lines = Lines()
    os.write(pipe, b"half")
    with anyio.move_on_after(0.1):
        await lines.next()
    os.write(pipe, b" a line\n")
    assert await lines.next() == "half a line"
    os.close(pipe)
