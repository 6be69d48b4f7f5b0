"""A store that lost its end: a host that opens it sets aside what may be shorter than it was."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from swarm.cli.main import invoke
from swarm.core.audit.checkpoint import signed
from swarm.core.capability.keys import Keyring
from swarm.errors import SwarmError
from swarm.host.host import Host
from swarm.host.standing import shortfall
from swarm.ports.audit import CheckpointSink
from swarm.stores.checkpoints import CHECKPOINTS
from swarm.stores.git.checkpoints import GitSink

ASK = {"name": "ask", "kind": "human", "prompt": "go on?"}
LONG: dict[str, Any] = {
    "swarm": 1,
    "id": "long",
    "agents": [{"name": "work", "kind": "function", "function": "work"}, ASK],
    "flow": {
        "kind": "seq",
        "children": [
            {"kind": "step", "ref": "ask", "in": "null", "out": "$.first"},
            {"kind": "step", "ref": "work", "in": "null", "out": "$.worked"},
            {"kind": "step", "ref": "ask", "in": "null", "out": "$.second"},
        ],
    },
}


@pytest.fixture
def anyio_backend() -> str:
    """Use one: what is looked at is on the disk."""
    return "asyncio"


class Store:
    """A store whose run has gone on since the file was last complete without its log."""

    def __init__(self, folder: Path, sinks: Sequence[CheckpointSink] | None = None) -> None:
        self.folder = folder
        self.sinks = sinks
        self.worked = 0

    def host(self) -> Host:
        host = Host(self.folder, checkpoints=self.sinks, checkpoint_every=1)

        @host.function("work")
        def work(given: Any) -> int:
            self.worked += 1
            return self.worked

        assert callable(work)
        return host

    async def filled(self) -> None:
        async with self.host() as host:
            run = await host.start(await host.load(LONG), run_id="demo")
            await asked(run)
        found = self.folder.parent / "found"
        async with self.host() as host:
            run = await host.resume("demo")
            (question,) = await asked(run)
            await run.answer(question.id, True)
            await asked(run, other_than=question.id)
            shutil.copytree(self.folder, found)
        self.folder = found

    def cut(self) -> None:
        log = self.folder / "journal.db-wal"
        assert log.stat().st_size > 0
        log.unlink()
        (self.folder / "journal.db-shm").unlink(missing_ok=True)

    async def goes_on(self) -> bool:
        """Open it, and see whether the run comes to a question."""
        async with self.host() as host:
            run = await host.run("demo")
            if run.status == "blocked":
                return False
            await asked(await host.resume("demo"))
            return True


async def asked(run: Any, other_than: str = "") -> Sequence[Any]:
    async for _ in run.events():
        found = [one for one in await run.questions() if one.id != other_than]
        if found:
            return found
    raise AssertionError("it ended")


@pytest.fixture(params=["file", "git"])
def sinks(request: pytest.FixtureRequest, tmp_path: Path) -> Sequence[CheckpointSink] | None:
    if request.param == "file":
        return None
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "git")], check=True)  # noqa: S603, S607
    return [GitSink(tmp_path / "git")]


async def test_a_run_that_may_be_shorter_is_set_aside_until_somebody_resumes_it(
    tmp_path: Path, sinks: Sequence[CheckpointSink] | None
) -> None:
    """A9."""
    store = Store(tmp_path / "store", sinks)
    await store.filled()
    assert store.worked == 1
    store.cut()
    async with store.host() as host:
        run = await host.run("demo")
        assert run.status == "blocked"
        error = (await run.wait()).error
        assert error is not None
        assert "got 1 — the end of the store was lost" in error["message"]
        with pytest.raises(SwarmError) as refused:
            await host.resume("demo")
        assert refused.value.code == "journal.shortened"
        assert store.worked == 1, "nothing was done again before somebody was told"
        told = [entry for entry in await host.audit() if entry.verb == "audit.prove"]
        assert [dict(entry.detail)["found"] for entry in told] == [1]
        await host.resume("demo")
        (question,) = await asked(run)
        await run.answer(question.id, True)
        await asked(run, other_than=question.id)
    assert await store.goes_on(), "what was accepted is not set aside again"
    print("A9: quarantined 1 / 1")  # noqa: T201


async def test_a_store_that_lost_nothing_goes_on_of_itself(
    tmp_path: Path, sinks: Sequence[CheckpointSink] | None
) -> None:
    store = Store(tmp_path / "store", sinks)
    await store.filled()
    assert await store.goes_on()
    assert store.worked == 1


async def test_without_a_witness_a_short_store_looks_like_one(tmp_path: Path) -> None:
    """The control."""
    store = Store(tmp_path / "store", [])
    await store.filled()
    store.cut()
    assert await store.goes_on()


@pytest.mark.parametrize("change", [{"size": 9_999}, {"host": "h_other"}, {"head": "00" * 32}])
async def test_a_checkpoint_that_this_store_did_not_sign_sets_nothing_aside(
    tmp_path: Path, change: Mapping[str, Any]
) -> None:
    store = Store(tmp_path / "store")
    await store.filled()
    file = store.folder / CHECKPOINTS
    last = json.loads(file.read_bytes().splitlines()[-1])
    file.write_text(json.dumps({**last, **change}) + "\n")
    assert await store.goes_on()


@pytest.mark.parametrize("text", ["", "{}", "{}\n", "[]\n", "no json}\n", '{"size": "x"}\n', "}\n"])
async def test_a_file_that_is_no_witness_keeps_no_store_shut(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path / "store")
    await store.filled()
    (store.folder / CHECKPOINTS).write_text(text)
    assert await store.goes_on()


# -- what a checkpoint is held against ---------------------------------------------------------

RING = Keyring.fresh(0.0)
HASHES = [bytes([number]) * 32 for number in range(1, 6)]


class Five:
    """A log of five entries, and the sink that kept a checkpoint of it."""

    size = len(HASHES)

    def __init__(self, latest: Any) -> None:
        self._latest = latest

    def end(self) -> tuple[int, bytes, bytes]:
        return self.size, HASHES[-1], b""

    @contextmanager
    def records(self) -> Generator[Any]:
        yield self

    def rows(self, since: int) -> Iterator[Any]:
        assert since >= 0
        return (SimpleNamespace(hash=found) for found in HASHES[since:])

    async def put(self, checkpoint: Mapping[str, Any]) -> None: ...

    async def latest(self) -> Any:
        if isinstance(self._latest, Exception):
            raise self._latest
        return self._latest

    async def shortfall(self, ring: Keyring = RING) -> SwarmError | None:
        log: Any = self
        return await shortfall(log, self.records, [log], lambda: cast("Any", Keys(ring)))


class Keys:
    def __init__(self, ring: Keyring) -> None:
        self._ring = ring

    def keyring(self) -> Keyring:
        return self._ring


def wire(size: int, head: bytes) -> dict[str, Any]:
    return signed(RING, size, b"r" * 32, head, 1.0).to_wire()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
async def test_what_was_signed_is_looked_for_where_it_stood(size: int) -> None:
    assert await Five(wire(size, HASHES[size - 1])).shortfall() is None
    for other in {0, 1, 2, 3, 4} - {size - 1}:
        short = await Five(wire(size, HASHES[other])).shortfall()
        assert short is not None
        assert (short.code, short.values["signed"], short.values["found"]) == (
            "journal.shortened", size, 5,
        )  # fmt: skip
        assert f"expected the {size} entries" in short.message
        assert "got others — the end of the store was lost" in short.message


async def test_of_a_log_that_was_longer_it_is_said_how_long_it_is() -> None:
    short = await Five(wire(6, HASHES[4])).shortfall()
    assert short is not None
    assert "expected the 6 entries of the audit log that a checkpoint has signed, got 5" in str(
        short
    )
    assert await Five(wire(0, b"n" * 32)).shortfall() is None, "of none, none is missing"
    assert await Five(None).shortfall() is None


@pytest.mark.parametrize(
    ("latest", "said"),
    [
        (
            wire(6, HASHES[4]) | {"host": "h_other"},
            "a checkpoint of 6 entries is not of this store",
        ),
        (wire(6, HASHES[4]) | {"more": 1}, "expected the members of a checkpoint, got others"),
        ({"size": "x", "head": "00"}, "the last checkpoint that was kept is none"),
        ({"size": 6, "head": 0}, "the last checkpoint that was kept is none"),
        (OSError("no such disk"), "the last checkpoint cannot be read"),
    ],
)
async def test_of_a_witness_that_cannot_be_believed_the_log_says_why(
    caplog: pytest.LogCaptureFixture, latest: Any, said: str
) -> None:
    assert await Five(latest).shortfall() is None
    assert said in caplog.text


def test_the_command_line_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "store")
    anyio.run(store.filled)
    store.cut()
    at = ["--store", str(store.folder)]
    assert invoke(["runs", "resume", "demo", *at]) == 1
    assert "journal.shortened" in capsys.readouterr().err
    assert invoke(["runs", "list", *at]) == 0
    assert "blocked" in capsys.readouterr().out
    # Told, it goes on with what is there: to the function that only this test has.
    invoke(["runs", "resume", "demo", *at])
    assert "journal.shortened" not in capsys.readouterr().err
