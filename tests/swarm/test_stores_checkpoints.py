"""Checkpoints in a file of lines: each is whole or counts for nothing."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from swarm.stores.checkpoints import CHECKPOINTS, FileSink

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


ONE, TWO = {"size": 1}, {"size": 2}


async def test_what_was_put_last_is_the_latest(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINTS
    sink = FileSink(str(path))
    assert await sink.latest() is None
    for one in (ONE, TWO):
        await sink.put(one)
        assert await sink.latest() == one
        assert await FileSink(path).latest() == one
    assert path.read_bytes() == b'{"size": 1}\n{"size": 2}\n'


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        FileSink(tmp_path / "c").write(ONE)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o600


def test_a_line_is_on_the_disk_once_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []

    def fsync(handle: int) -> None:
        synced.append((tmp_path / "c").read_bytes())

    monkeypatch.setattr(os, "fsync", fsync)
    before = len(os.listdir("/proc/self/fd"))
    FileSink(tmp_path / "c").write(ONE)
    assert synced == [b'{"size": 1}\n']
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b'{"size": 2}\n'),
        (b'{"size": 1}\n', b'{"size": 1}\n{"size": 2}\n'),
        (b'{"size": 1}', b'{"size": 1}\n{"size": 2}\n'),
        (b'{"si', b'{"si\n{"size": 2}\n'),
        (b"\n", b'\n{"size": 2}\n'),
    ],
)
async def test_a_line_that_was_cut_short_swallows_no_other(
    tmp_path: Path, before: bytes, after: bytes
) -> None:
    path = tmp_path / "c"
    path.write_bytes(before)
    sink = FileSink(path)
    sink.write(TWO)
    assert path.read_bytes() == after
    assert await sink.latest() == TWO


@pytest.mark.parametrize(
    ("text", "latest"),
    [
        (b"", None),
        (b'{"size": 1}', None),
        (b'{"size": 1}\n', ONE),
        (b'{"size": 1}\n{"size": 2', ONE),
        (b'{"size": 1}\n{"size": 2}', ONE),
        (b'{"size": 1}\n{"si\n', ONE),
        (b'{"size": 1}\n\n', ONE),
        (b'5\n{"size": 1}\n5\n', ONE),
    ],
)
async def test_the_latest_is_the_last_that_is_whole(
    tmp_path: Path, text: bytes, latest: Any
) -> None:
    path = tmp_path / "c"
    path.write_bytes(text)
    assert await FileSink(path).latest() == latest


async def test_what_is_no_json_is_told_by_whoever_reads_it(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"{x}\n")
    with pytest.raises(ValueError, match="property name"):
        await FileSink(tmp_path / "c").latest()


async def test_of_a_long_file_only_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c"
    last = json.dumps({"size": 3, "more": "x" * 40_000}).encode() + b"\n"
    path.write_bytes(b'{"size": 1}\n' * 100_000 + last)
    found = await FileSink(path).latest()
    assert found is not None
    assert found["size"] == 3
    # A line that begins before the end that is read is not there as a whole.
    for size in (64 * 1024, 64 * 1024 + 1):
        path.write_bytes(json.dumps({"more": "x" * (size - 13)}).encode() + b"\n")
        assert path.stat().st_size == size
        if size == 64 * 1024:
            assert await FileSink(path).latest() is not None
        else:
            with pytest.raises(ValueError, match="Extra data"):
                await FileSink(path).latest()
